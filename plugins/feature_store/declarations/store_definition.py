"""The whole store as its files define it: relations, how each refreshes, and what reads what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from feature_store.declarations.dag_outline import Refresh, read_outlines, refreshed_before
from feature_store.declarations.guards import Guard, read_guards
from feature_store.declarations.row_sets import RowSet, read_key, read_rows
from feature_store.declarations.source_tables import Source, read_sources
from feature_store.declarations.spam import read_spam
from feature_store.declarations.specifications import FOLDER as SPECIFICATIONS
from feature_store.declarations.specifications import Specification, read_specifications
from feature_store.declarations.sql_file import SqlFile, read_sql_file
from feature_store.declarations.sql_header import read_header
from feature_store.declarations.store_profile import StoreProfile, read_profile
from feature_store.declarations.suites import read_suites
from feature_store.declarations.text_file import files_in, read_text
from feature_store.errors import BadInput
from feature_store.relation_name import Name

# Folders of a store up to version 0.11.
_OF_THE_PACKAGE = ("audit", "governance")


@dataclass(frozen=True)
class Relation:
    """One relation of the store.

    Attributes:
        file: the SQL file that defines it.
        refresh: how it is refreshed.
        witness: SQL that records what a refresh of it saw, run in the refresh's transaction.
        specification: the second query for its rows.
        guards: what must hold for it and its sources before it is refreshed.
        sources: the user's tables that its refresh or its specification reads, also through plain
            views. Their rows may change at any moment.
        key: the columns that its header names as its key; none if an index is enough, or rows may
            be equal.
        other_key: the key that it may have instead if it was adopted.
        rows: which rows it holds, if its header says so.
    """

    file: SqlFile
    refresh: Refresh
    witness: str | None
    specification: Specification | None = None
    guards: tuple[Guard, ...] = ()
    sources: frozenset[Name] = frozenset()
    key: tuple[str, ...] = ()
    other_key: tuple[str, ...] = ()
    rows: RowSet | None = None

    @property
    def name(self) -> Name:
        """The relation's name."""
        return self.file.name

    @property
    def reads(self) -> frozenset[Name]:
        """Every relation and source that its query names."""
        return self.file.reads

    @property
    def keys(self) -> dict[str, tuple[str, ...]]:
        """The columns by which its rows are told apart, by the index, or else its own name."""
        keys = dict(self.file.unique_indexes)
        if self.key and set(self.key) not in map(set, keys.values()):
            keys[self.name.relation] = self.key
        return keys

    @property
    def specified_by_refresh(self) -> Specification | None:
        """Its specification, if only its refresh, in its own snapshot, can compare it with that."""
        by_refresh = self.refresh is not Refresh.NEVER and self.sources
        return self.specification if by_refresh else None


@dataclass(frozen=True)
class Store:
    """Every relation, each after everything that it reads, and the sources below them.

    Attributes:
        profile: its name and where it is.
        relations: in an order in which they can be created and refreshed.
        sources: the user's tables that they read.
        source_guards: what must hold for the sources before anything is refreshed.
    """

    profile: StoreProfile
    relations: tuple[Relation, ...]
    sources: tuple[Source, ...]
    source_guards: tuple[Guard, ...]

    @property
    def refreshed(self) -> tuple[Relation, ...]:
        """The materialized views, in an order in which they can be refreshed."""
        return tuple(r for r in self.relations if r.refresh is not Refresh.NEVER)

    def find(self, text: str) -> Relation:
        """The relation of that name.

        Raises:
            BadInput: there is none.
        """
        for relation in self.relations:
            if str(relation.name) == text:
                return relation
        raise BadInput(
            f"{text!r} is not a relation of the store.",
            next_step="Use one of " + ", ".join(str(r.name) for r in self.relations) + ".",
        )

    def refreshed_before(self, relation: Relation) -> tuple[Relation, ...]:
        """The materialized views that a relation reads, directly or through plain views."""
        found = refreshed_before(relation.name, {r.name: r for r in self.relations})
        return tuple(r for r in self.relations if r.name in found)


def closure(store: Store, relation: Relation) -> tuple[Relation, ...]:
    """A relation and all of the store's that it reads, directly or not, in order of refresh."""
    by_name = {r.name: r for r in store.relations}
    found: set[Name] = set()
    pending = [relation.name]
    while pending:
        name = pending.pop()
        if name in by_name and name not in found:
            found.add(name)
            pending.extend(by_name[name].file.reads)
    return tuple(r for r in store.relations if r.name in found)


def read_store(include_dir: Path) -> Store:
    """Read ``include/sql``, ``include/sources.toml`` and ``include/store.toml``.

    Raises:
        BadInput: a file that cannot be used, a cycle between files, a relation that reads what is
            neither a relation nor a source, or one whose reads its outline does not show.
    """
    sources = read_sources(include_dir / "sources.toml")
    relations = {r.name: r for r in _relations(include_dir)}
    known = relations.keys() | {source.name for source in sources}
    for relation in relations.values():
        check_reads(relation.file, known)
    _check_outlines(relations, include_dir)
    order = ordered({name: r.file for name, r in relations.items()})
    refreshed = {name for name, r in relations.items() if r.refresh is not Refresh.NEVER}
    guards = read_guards(include_dir, refreshed | {source.name for source in sources})
    store = Store(
        read_profile(include_dir),
        tuple(_guarded(relations[name], relations, guards) for name in order),
        sources,
        tuple(guards[source.name] for source in sources if source.name in guards),
    )
    _check_layers(store)
    return store


def _relations(include_dir: Path) -> Iterable[Relation]:
    sql_dir, spam = include_dir / "sql", read_spam(include_dir)
    seen: set[str] = set()
    witnesses = {path.name: path for path in files_in(sql_dir / "witness", ".sql", required=False)}
    specifications = read_specifications(sql_dir, spam)
    for refresh in Refresh:
        for path in files_in(sql_dir / refresh.value, ".sql", required=False):
            file = read_sql_file(path)
            _check_kind(file, refresh)
            if file.name.relation in seen:
                raise BadInput(
                    f"{path}: another file defines a relation called {file.name.relation} too.",
                    next_step="Rename it: tasks are named after the relation, without the schema.",
                )
            seen.add(file.name.relation)
            witness = witnesses.get(path.name)
            header = read_header(path, read_text(path), ())
            yield Relation(
                file,
                refresh,
                read_text(witness) if witness else None,
                specifications.get(file.name),
                key=read_key(header, "Key"),
                other_key=read_key(header, "Other key"),
                rows=read_rows(path, header, spam),
            )
    if not seen:
        raise BadInput(
            f"{sql_dir} has no relation.",
            next_step="Point FEATURE_STORE_INCLUDE_DIR at the package's include folder.",
        )
    _check_nothing_is_ignored(sql_dir, seen, read_suites(include_dir))


def _guarded(
    relation: Relation, relations: Mapping[Name, Relation], guards: Mapping[Name, Guard]
) -> Relation:
    """The relation with the sources below it, its own guard, and theirs."""
    read = set[Name]()
    specification = relation.specification
    pending = [*relation.reads, *(specification.reads if specification else ())]
    while pending:
        name = pending.pop()
        if name not in relations:
            read.add(name)
        elif relations[name].refresh is Refresh.NEVER:
            pending.extend(relations[name].reads)
    held = tuple(guards[n] for n in sorted({relation.name, *read}) if n in guards)
    return replace(relation, guards=held, sources=frozenset(read))


def _check_nothing_is_ignored(sql_dir: Path, relations: set[str], suites: Iterable[str]) -> None:
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
        if folder in ("witness", SPECIFICATIONS) and path.stem.partition(".")[2] not in relations:
            raise BadInput(f"{path} is named after {path.stem}, which no file defines.")


def _check_kind(file: SqlFile, refresh: Refresh) -> None:
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


def check_reads(file: SqlFile, known: Set[Name]) -> None:
    """Refuse a file that reads what is neither a relation nor a source.

    Raises:
        BadInput: it does.
    """
    unknown = file.reads - known
    if unknown:
        raise BadInput(
            f"{file.path} reads {', '.join(map(str, sorted(unknown)))}, which is "
            f"neither a relation of the store nor a source.",
            next_step="Fix the name, or declare the source in include/sources.toml.",
        )


def _check_outlines(relations: dict[Name, Relation], include_dir: Path) -> None:
    """Check that the DAG's edges, which come from the outlines, are what the SQL reads."""
    for name, outline in read_outlines(include_dir).items():
        reads = relations[name].file.reads & relations.keys()
        for other in sorted(outline.reads - reads):
            raise BadInput(
                f"{relations[name].file.path} names {other} without reading it.",
                next_step=f"Rename that alias, column or function in {name}.",
            )
        for other in sorted(reads - outline.reads):
            raise BadInput(
                f"{relations[name].file.path} reads {other} in a way that the DAG cannot see.",
                next_step=f"Write {other} plainly: a quote escaped with a backslash hides the "
                "text after it.",
            )


def ordered(files: Mapping[Name, SqlFile]) -> list[Name]:
    """The relations, each after those that it reads.

    Raises:
        BadInput: they read each other in a cycle.
    """
    sorter: TopologicalSorter[Name] = TopologicalSorter()
    for name, file in files.items():
        sorter.add(name, *sorted(file.reads & files.keys()))
    try:
        return list(sorter.static_order())
    except CycleError as error:
        raise BadInput(
            "The SQL files read each other in a cycle: " + " → ".join(map(str, error.args[1])) + "."
        ) from None


def _check_layers(store: Store) -> None:
    for relation in store.refreshed:
        if relation.refresh is Refresh.BLOCKING:
            above = [r for r in store.refreshed_before(relation) if r.refresh is Refresh.CONCURRENT]
            if above:
                raise BadInput(
                    f"{relation.file.path} is a base layer but reads the read layer "
                    f"{above[0].name}. All base layers are refreshed before any read layer.",
                    next_step="Move the file to the folder read.",
                )
