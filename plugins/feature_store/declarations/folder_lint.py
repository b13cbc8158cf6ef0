"""Everything that is wrong with a store's folder, in one list, without a database.

`whole_folder.check_declarations` raises the first fault, because no run goes on after it. Here each
file is read separately, so that one fault does not hide another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from feature_store.declarations.dag_outline import Outline, Refresh, in_order
from feature_store.declarations.declared_exceptions import read_exceptions
from feature_store.declarations.feature_sets import read_feature_set
from feature_store.declarations.files.sql_file import SqlFile, read_sql_file
from feature_store.declarations.files.sql_header import read_header
from feature_store.declarations.files.text_file import files_in, read_text
from feature_store.declarations.known_columns import known_columns
from feature_store.declarations.leak_rules import read_rules
from feature_store.declarations.named_columns import column_problems
from feature_store.declarations.source_tables import read_sources
from feature_store.declarations.spam import read_spam
from feature_store.declarations.specifications import (
    FOLDER,
    Specification,
    read_specification,
)
from feature_store.declarations.specified import unspecified
from feature_store.declarations.store_checks import check_reads
from feature_store.declarations.store_definition import read_store
from feature_store.declarations.store_profile import read_profile
from feature_store.declarations.suites import read_suites
from feature_store.declarations.thresholds import read_thresholds
from feature_store.declarations.undecided import undecided
from feature_store.declarations.whole_folder import checks
from feature_store.errors import BadInput
from feature_store.relation_name import Name

HEADER = ("Relation", "Grain", "As-of", "Never sees", "Refresh")
"""The header fields of every relation's file; the DAG and the page show them."""

# How headers say it, and the folder of what is refreshed so. Other words are a person's own.
_SAID = {
    "blocking": Refresh.BLOCKING,
    "concurrent": Refresh.CONCURRENT,
    "none": Refresh.NEVER,
    "never": Refresh.NEVER,
}

_Read = TypeVar("_Read")


@dataclass
class _Found:
    """What was read, and what is wrong."""

    problems: list[str] = field(default_factory=list)

    def take(self, read: Callable[[], _Read]) -> _Read | None:
        """What a reader returns; None if it finds a fault, which is kept."""
        try:
            return read()
        except BadInput as error:
            told = error.problem + (f" {error.next_step}" if error.next_step else "")
            if told not in self.problems:
                self.problems.append(told)
            return None


def folder_problems(include_dir: Path) -> list[str]:
    """Read a store's folder, file by file, and name everything that is wrong with it."""
    waiting = undecided(include_dir)
    found = _Found([str(place) for place in waiting])
    profile = found.take(partial(read_profile, include_dir))
    if not include_dir.exists():
        return found.problems
    sources = found.take(partial(read_sources, include_dir / "sources.toml"))
    for read in (read_suites, read_thresholds, read_rules, read_exceptions):
        found.take(partial(read, include_dir))
    files = dict(_relations(include_dir, found))
    specifications = list(_specifications(include_dir, found))
    registry = profile.registry if profile else ""
    sets = [
        one
        for path in found.take(lambda: files_in(include_dir / "contracts", ".toml")) or ()
        if (one := found.take(partial(read_feature_set, path, registry)))
    ]
    columns: dict[Name, tuple[str, ...] | None] = dict(known_columns(files))
    if sources is not None:
        known = files.keys() | {source.name for source in sources}
        for file in files.values():
            found.take(partial(check_reads, file, known))
        found.take(partial(in_order, dict(_outlines(files))))
        columns |= {source.name: tuple(source.columns) for source in sources}
    bound = {one.relation for one in sets}
    for file in files.values():
        specified = (include_dir / "sql" / FOLDER / f"{file.name}.sql").exists()
        if (file.materialized or file.name in bound) and not specified:
            found.take(partial(_raise, unspecified(file)))
    found.problems += column_problems(files, specifications, sets, columns)
    # What waits for a person is told already; it would be told once more.
    store = None if waiting else found.take(partial(read_store, include_dir))
    if store is not None:
        for check in checks(include_dir, store):
            found.take(check)
    return found.problems


def _relations(include_dir: Path, found: _Found) -> Iterator[tuple[Name, SqlFile]]:
    for refresh in Refresh:
        folder = include_dir / "sql" / refresh.value
        for path in found.take(partial(files_in, folder, ".sql", required=False)) or ():
            found.take(partial(_header, path))
            file = found.take(partial(read_sql_file, path))
            if file is not None:
                yield file.name, file


def _outlines(files: Mapping[Name, SqlFile]) -> Iterator[tuple[Name, Outline]]:
    for name, file in files.items():
        refresh = Refresh(file.path.parent.name)
        yield name, Outline(name, refresh, {}, file.reads & files.keys(), file.reads, file.path)


def _header(path: Path) -> None:
    try:
        name = Name.parse(path.stem)
    except BadInput as error:
        raise BadInput(f"{path} is not the file of a relation: {error.problem}") from None
    said = read_header(path, read_text(path), HEADER)
    if not re.match(
        rf"({re.escape(str(name))}|{re.escape(name.quoted)})(?![\w.])", said["Relation"]
    ):
        raise BadInput(
            f"{path}: Relation: is {said['Relation']!r}, but it is the file of {name}.",
            next_step="Correct the header.",
        )
    (word,) = re.findall(r"^\w*", said["Refresh"])
    if _SAID.get(word, path.parent.name) != path.parent.name:
        raise BadInput(
            f"{path}: Refresh: is {said['Refresh']!r}, but what is in {path.parent} is not "
            "refreshed so.",
            next_step="Correct the header, or move the file.",
        )


def _raise(error: BadInput) -> None:
    raise error


def _specifications(include_dir: Path, found: _Found) -> Iterator[Specification]:
    spam = found.take(partial(read_spam, include_dir))
    folder = include_dir / "sql" / FOLDER
    for path in found.take(partial(files_in, folder, ".sql")) or ():
        specification = found.take(partial(read_specification, path, spam))
        if specification is not None:
            yield specification
