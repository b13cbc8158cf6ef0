"""The whole store as its files define it: relations, how each refreshes, and what reads what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from feature_store.declarations.dag_outline import (
    Refresh,
    in_order,
    read_outlines,
    refreshed_before,
)
from feature_store.declarations.files.sql_file import SqlFile, read_sql_file
from feature_store.declarations.files.sql_header import read_header
from feature_store.declarations.files.text_file import files_in, read_text
from feature_store.declarations.guards import Guard, read_guards
from feature_store.declarations.row_sets import RowSet, read_key, read_rows
from feature_store.declarations.source_tables import Source, read_sources
from feature_store.declarations.spam import read_spam
from feature_store.declarations.specifications import Specification, read_specifications
from feature_store.declarations.store_checks import (
    check_adopted,
    check_kind,
    check_nothing_is_ignored,
    check_outlines,
    check_reads,
)
from feature_store.declarations.store_profile import StoreProfile, read_profile
from feature_store.declarations.suites import read_suites
from feature_store.declarations.undecided import require_decided
from feature_store.errors import BadInput
from feature_store.relation_name import Name


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
        BadInput: a file that cannot be used, or in which a person has something to decide, two
            relations of one name, a cycle between files, a base layer that reads a read layer, a
            relation that reads what is neither a relation nor a source, or one whose reads its
            outline does not show.
    """
    require_decided(include_dir)
    sources = read_sources(include_dir / "sources.toml")
    relations = {r.name: r for r in _relations(include_dir)}
    known = relations.keys() | {source.name for source in sources}
    for relation in relations.values():
        check_reads(relation.file, known)
    outlines = read_outlines(include_dir)
    check_outlines({name: r.file for name, r in relations.items()}, outlines)
    refreshed = {name for name, r in relations.items() if r.refresh is not Refresh.NEVER}
    guards = read_guards(include_dir, refreshed | {source.name for source in sources})
    return Store(
        read_profile(include_dir),
        tuple(_guarded(relations[name], relations, guards) for name in in_order(outlines)),
        sources,
        tuple(guards[source.name] for source in sources if source.name in guards),
    )


def _relations(include_dir: Path) -> Iterable[Relation]:
    sql_dir, spam = include_dir / "sql", read_spam(include_dir)
    seen: set[str] = set()
    witnesses = {path.name: path for path in files_in(sql_dir / "witness", ".sql", required=False)}
    specifications = read_specifications(sql_dir, spam)
    for refresh in Refresh:
        for path in files_in(sql_dir / refresh.value, ".sql", required=False):
            file = read_sql_file(path)
            check_kind(file, refresh)
            seen.add(str(file.name))
            witness = witnesses.get(path.name)
            header = read_header(path, read_text(path), ())
            specification, rows = specifications.get(file.name), read_rows(path, header, spam)
            check_adopted(specification, file, rows)
            yield Relation(
                file,
                refresh,
                read_text(witness) if witness else None,
                specification,
                key=read_key(header, "Key"),
                other_key=read_key(header, "Other key"),
                rows=rows,
            )
    if not seen:
        raise BadInput(
            f"{sql_dir} has no relation.",
            next_step="Point FEATURE_STORE_INCLUDE_DIR at the package's include folder.",
        )
    check_nothing_is_ignored(sql_dir, seen, read_suites(include_dir))


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
