"""What the leak gates check, and what they find."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from feature_store.database.stored_queries.dependency_closure import MATERIALIZED, Closure, Member
from feature_store.declarations.declared_exceptions import DeclaredException
from feature_store.declarations.feature_sets import FeatureSet
from feature_store.declarations.leak_rules import LeakRules
from feature_store.declarations.store_definition import Store
from feature_store.relation_name import Name
from feature_store.validation.leaks.column_influence import NOTHING, Column, Columns
from feature_store.validation.leaks.column_origin import origins
from feature_store.validation.leaks.relation_influence import Influences, trace

TIME_OF_QUERY = "time of query"
OUTCOMES = "outcomes"
READERS = "readers of as-of sources"
EXCEPTIONS = "declared exceptions"
FAILURE, WARNING = "failure", "warning"


@dataclass(frozen=True)
class LeakFinding:
    """One thing that a gate found.

    Attributes:
        gate: which gate, one of the names above.
        severity: ``failure``, or ``warning`` if it is harmless.
        relation: the relation that must be fixed.
        file: the SQL file that defines it; None if it has none.
        column: the column that it is about; None for the whole relation.
        path: for an outcome, from its column to the relation; otherwise from the relation to the
            feature set's.
        words: what is wrong, in a sentence.
    """

    gate: str
    severity: str
    relation: str
    file: Path | None
    column: str | None
    path: tuple[str, ...]
    words: str

    def __str__(self) -> str:
        """The finding as a person reads it."""
        where = f"{self.relation}, column {self.column}" if self.column else self.relation
        file = f"\nFile: {self.file}" if self.file else ""
        way = f"\nPath: {' → '.join(self.path)}" if len(self.path) > 1 else ""
        return f"{where}: {self.words}{file}{way}"


@dataclass(frozen=True, eq=False)
class GateContext:
    """Everything that the gates check, with the rules for it.

    Attributes:
        closure: what the feature sets reach, and every other relation of the store.
        store: what the files say.
        feature_sets: the sets.
        rules: the rules of the gates.
        exceptions: the declared exceptions.
    """

    closure: Closure
    store: Store
    feature_sets: tuple[FeatureSet, ...]
    rules: LeakRules
    exceptions: tuple[DeclaredException, ...]

    @cached_property
    def influences(self) -> dict[int, Influences]:
        """What reaches the columns and rows of each relation."""
        return {oid: trace(member) for oid, member in self.closure.members.items()}

    @cached_property
    def _origins(self) -> dict[int, dict[int, Columns]]:
        """By relation, as they are asked for."""
        return {}

    @cached_property
    def files(self) -> dict[Name, Path]:
        """The SQL file of each relation of the store."""
        return {relation.name: relation.file.path for relation in self.store.relations}

    @cached_property
    def sources(self) -> frozenset[int]:
        """The user's sources, and what they read if they are views."""
        known = {source.name for source in self.store.sources} - self.files.keys()
        found: set[int] = set()
        for member in self.closure.members.values():
            if member.name in known:
                found |= {member.oid, *self.closure.below(member.oid)}
        return frozenset(o for o in found if self.closure.members[o].name not in self.files)

    @cached_property
    def nameable(self) -> frozenset[int]:
        """Relations that have a file or a feature set: a leak is fixed there."""
        ours = {m.oid for m in self.closure.members.values() if m.name in self.files}
        return frozenset(ours | set(self.closure.roots)) - self.sources

    @cached_property
    def unpinned(self) -> frozenset[int]:
        """What other sessions compute, with settings that the store does not pin.

        Plain views are computed by whoever reads a feature set, foreign materialized views by
        whoever refreshes them.
        """
        foreign = [
            member
            for member in self.closure.members.values()
            if member.kind == MATERIALIZED and member.name not in self.files
        ]
        asked = [*self.closure.roots, *(oid for member in foreign for oid in member.reads)]
        return self.closure.plain_views(asked) | {member.oid for member in foreign}

    def member(self, oid: int) -> Member:
        """A relation of the closure."""
        return self.closure.members[oid]

    def made_of(self, column: Column) -> Columns:
        """What a column's value is made of, one step down, below a source, too."""
        oid, number = column
        if oid not in self._origins:
            self._origins[oid] = origins(self.member(oid))
        return self._origins[oid].get(number, NOTHING)

    def each(self, columns: Columns) -> list[Column]:
        """The columns one by one, in order; a whole row is all of its columns."""
        found = {c for c in columns if c[1] > 0}
        for oid, number in columns:
            if number == 0:
                found |= {(oid, n) for n in self.member(oid).columns}
        return sorted(found)

    def label(self, column: Column) -> str:
        """A column with its relation's name."""
        member = self.member(column[0])
        return f"{member.name}.{member.columns.get(column[1], '*')}"

    def finding(
        self,
        gate: str,
        member: Member,
        words: str,
        *,
        column: str | None = None,
        path: tuple[str, ...] | None = None,
        severity: str = FAILURE,
    ) -> LeakFinding:
        """A finding about a relation; its path leads to the feature set if none is given."""
        if path is None:
            path = tuple(str(m.name) for m in self.closure.way_up(member.oid))
        file = self.files.get(member.name)
        return LeakFinding(gate, severity, str(member.name), file, column, path, words)
