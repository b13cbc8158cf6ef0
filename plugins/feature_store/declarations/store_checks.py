"""What must hold of the files of a store's relations, and between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from pathlib import Path

from feature_store.declarations.dag_outline import Outline, Refresh
from feature_store.declarations.files.sql_file import WITHOUT_QUOTES, SqlFile
from feature_store.declarations.known_columns import given_columns
from feature_store.declarations.row_sets import RowSet
from feature_store.declarations.specifications import FOLDER as SPECIFICATIONS
from feature_store.declarations.specifications import Specification
from feature_store.errors import BadInput
from feature_store.relation_name import Name, folded

# Folders of a store up to version 0.11.
_OF_THE_PACKAGE = ("audit", "governance")


def check_nothing_is_ignored(sql_dir: Path, relations: set[str], suites: Iterable[str]) -> None:
    """Refuse a file that stands where nobody reads it, or is about what no file defines.

    Raises:
        BadInput: there is one.
    """
    known = {*Refresh, "guards", "history", "witness"}
    known.add(SPECIFICATIONS)
    known |= {f"expectations/{suite}" for suite in suites}
    for path in sorted(sql_dir.rglob("*.sql")):
        folder = path.parent.relative_to(sql_dir).as_posix()
        if folder in _OF_THE_PACKAGE:
            raise BadInput(
                f"{path} is left from an earlier version: the package has its own {folder} now.",
                next_step=f"Delete the folder {path.parent}.",
            )
        if folder not in known:
            raise BadInput(
                f"{path} is not in a folder that is read.",
                next_step=f"Move it to one of {', '.join(sorted(known))}.",
            )
        if folder in ("witness", SPECIFICATIONS) and path.stem not in relations:
            raise BadInput(f"{path} is named after {path.stem}, which no file defines.")


def check_kind(file: SqlFile, refresh: Refresh) -> None:
    """Refuse a file in a folder whose kind of refresh does not fit it.

    Raises:
        BadInput: it does not.
    """
    wants_materialized = refresh is not Refresh.NEVER
    if file.materialized is not wants_materialized:
        kind = "materialized views" if wants_materialized else "plain views"
        raise BadInput(f"{file.path}: the folder {refresh.value} is for {kind}.")
    if refresh is Refresh.CONCURRENT and not file.unique_indexes:
        raise BadInput(
            f"{file.path}: {file.name} has no plain unique index, so it cannot be refreshed "
            f"concurrently.",
            next_step="Add a CREATE UNIQUE INDEX on columns, without WHERE; or move the file to "
            "base.",
        )


def check_adopted(specification: Specification | None, file: SqlFile, rows: RowSet | None) -> None:
    """Refuse a specification that keeps columns from an owner and could not compare them.

    Raises:
        BadInput: no line says which relation has the same rows, or the file has no such column.
    """
    if specification is None or not specification.not_by_owner:
        return
    if rows is None:
        raise BadInput(
            f"{specification.path}: Adopted: {file.path} has no line 'Rows: those of RELATION', so "
            f"nothing says which {', '.join(specification.not_by_owner)} is right."
        )
    known = given_columns(file.path, file.query, {})
    unknown = [c for c in specification.not_by_owner if known is not None and c not in known]
    if unknown:
        raise BadInput(f"{specification.path}: Adopted: {file.path} has no {', '.join(unknown)}.")


def check_reads(file: SqlFile, known: Set[Name]) -> None:
    """Refuse a file that reads what is neither a relation nor a source.

    Raises:
        BadInput: it does.
    """
    unknown = file.reads - known
    if unknown:
        small = {folded(str(name)) for name in known}
        quotes = all(str(name) in small for name in unknown)
        raise BadInput(
            f"{file.path} reads {', '.join(map(str, sorted(unknown)))}, which is "
            f"neither a relation of the store nor a source.",
            next_step=WITHOUT_QUOTES
            if quotes
            else "Fix the name, or declare the source in include/sources.toml.",
        )


def check_outlines(files: Mapping[Name, SqlFile], outlines: Mapping[Name, Outline]) -> None:
    """Hold the DAG's edges, which come from the outlines, to what the SQL reads.

    Raises:
        BadInput: they differ.
    """
    for name, outline in outlines.items():
        reads = files[name].reads & files.keys()
        for other in sorted(outline.reads - reads):
            raise BadInput(
                f"{files[name].path} names {other} without reading it.",
                next_step=f"Rename that alias, column or function in {name}.",
            )
        for other in sorted(reads - outline.reads):
            raise BadInput(
                f"{files[name].path} reads {other} in a way that the DAG cannot see.",
                next_step=f"Write {other} plainly: a quote escaped with a backslash hides the "
                "text after it.",
            )
