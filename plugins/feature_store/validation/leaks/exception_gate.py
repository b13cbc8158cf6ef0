"""Declared exceptions: what is not as of t0 may reach a feature only if that is declared."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from feature_store.database.stored_queries.dependency_closure import MATERIALIZED, VIEW, Member
from feature_store.declarations.declared_exceptions import DeclaredException
from feature_store.declarations.feature_sets import FeatureSet
from feature_store.relation_name import Name
from feature_store.validation.leaks.column_influence import Column
from feature_store.validation.leaks.gate_context import (
    EXCEPTIONS,
    WARNING,
    GateContext,
    LeakFinding,
)
from feature_store.validation.leaks.time_gate import Judged

_Feature = tuple[str, str]


def exception_findings(context: GateContext, judged: tuple[Judged, ...]) -> Iterator[LeakFinding]:
    """Find what is not as of t0 and not declared, and declarations that are no longer true."""
    live_calls = {
        (one.oid, function)
        for one in judged
        if one.oid in context.unpinned
        for function in one.objection.pinned
    }
    yield from _Declared(context, live_calls).findings()


class _Declared:
    def __init__(self, context: GateContext, live_calls: set[tuple[int, str]]) -> None:
        self._context = context
        self._live_calls = live_calls
        of_reads = [e for e in context.exceptions if e.reads is not None]
        self._reads = {(e.relation, e.reads): e for e in of_reads if not e.columns}
        self._columns = {(e.relation, e.reads, c): e for e in of_reads for c in e.columns}
        self._known: dict[Column, frozenset[str]] = {}
        self._known_values: dict[Column, frozenset[str]] = {}

    def findings(self) -> Iterator[LeakFinding]:
        for member in self._context.closure.members.values():
            if member.oid not in self._context.sources:
                for oid in member.reads:
                    yield from self._of_edge(member, self._context.member(oid))
                yield from self._of_columns(member)
        for exception in self._context.exceptions:
            if exception.taints.keys() & self._sets.keys():
                yield from self._of_exception(exception)

    @cached_property
    def _sets(self) -> dict[str, FeatureSet]:
        """The feature sets whose relation exists, by name."""
        live = {self._context.member(oid).name for oid in self._context.closure.roots}
        return {s.name: s for s in self._context.feature_sets if s.relation in live}

    def _of_edge(self, member: Member, read: Member) -> Iterator[LeakFinding]:
        rules = self._context.rules
        if read.name in rules.not_as_of:
            if (member.name, read.name) not in self._reads:
                yield self._context.finding(
                    EXCEPTIONS,
                    member,
                    f"reads {read.name}, which is not as of t0 "
                    f"({rules.not_as_of[read.name].rstrip('.')}); no exception declares that.",
                )
        elif not (
            read.kind in (VIEW, MATERIALIZED) and read.oid not in self._context.sources
        ) and read.name not in {*rules.as_of, *self._context.files}:
            yield self._context.finding(
                EXCEPTIONS,
                member,
                f"reads {read.name}, and {rules.path.name} does not say whether that is as of t0.",
            )

    def _of_columns(self, member: Member) -> Iterator[LeakFinding]:
        """Only the columns of a source that sources.toml lists may count as known at t0."""
        yield from self._of_columns_not_as_of(member)
        known = {s.name: s.columns.keys() for s in self._context.store.sources}
        outcomes = {(o.relation, c) for o in self._context.rules.outcomes for c in o.columns}
        others: dict[Name, list[str]] = {}
        for oid, number in sorted(self._context.influences[member.oid].reads):
            read = self._context.member(oid)
            column = read.columns.get(number)
            if column and column not in known.get(read.name, {column}):
                others.setdefault(read.name, []).append(column)
        for name, columns in others.items():
            listed = ", ".join(c for c in columns if (name, c) not in outcomes)
            if listed:
                yield self._context.finding(
                    EXCEPTIONS,
                    member,
                    f"reads {listed} of {name}, which sources.toml does not have; nobody has said "
                    f"that a feature may know that at t0.",
                )

    def _of_columns_not_as_of(self, member: Member) -> Iterator[LeakFinding]:
        """Columns that a source overwrites, although its rows have a day."""
        rules = self._context.rules.columns_not_as_of
        found: dict[tuple[Name, str], list[str]] = {}
        for oid, number in self._context.each(self._context.influences[member.oid].reads):
            read = self._context.member(oid)
            column = read.columns.get(number, "")
            reason = rules.get((read.name, column))
            if reason and (member.name, read.name, column) not in self._columns:
                found.setdefault((read.name, reason), []).append(column)
        for (name, reason), columns in found.items():
            yield self._context.finding(
                EXCEPTIONS,
                member,
                f"reads {', '.join(columns)} of {name}, not as of t0 ({reason.rstrip('.')}); no "
                f"exception declares that.",
            )

    def _of_exception(self, exception: DeclaredException) -> Iterator[LeakFinding]:
        if not self._is_there(exception):
            does = f"reads {exception.reads}" if exception.reads else f"calls {exception.calls}"
            yield self._stale(exception, f"no feature set's {exception.relation} {does} now.")
            return
        declared = {(s, f) for s, features in exception.taints.items() for f in features}
        declared = {(s, f) for s, f in declared if s in self._sets}
        contracted = {(s.name, f.name) for s in self._sets.values() for f in s.features}
        gone = declared - contracted
        if gone:
            yield self._stale(exception, f"no contract has {_list(gone)}.")
        if exception.reads is None:
            return  # a call's effect is not always visible in a column
        tainted = {f for f in contracted if exception.id in self._taints(f, exception)}
        if tainted - declared:
            member = next(
                m for m in self._context.closure.members.values() if m.name == exception.relation
            )
            yield self._context.finding(
                EXCEPTIONS,
                member,
                f"what it reads of {exception.reads} also reaches {_list(tainted - declared)}, "
                f"which the exception {exception.id} does not name.",
                column=", ".join(sorted(f for _, f in tainted - declared)),
            )
        # What only chooses rows reaches no single column, but all of them.
        if tainted and declared - gone - tainted:
            words = f"it does not reach {_list(declared - gone - tainted)}."
            yield self._stale(exception, words)

    def _is_there(self, exception: DeclaredException) -> bool:
        for member in self._context.closure.members.values():
            if member.name == exception.relation:
                if exception.reads is None:
                    return (member.oid, exception.calls) in self._live_calls
                if exception.columns:
                    reads = self._context.each(self._context.influences[member.oid].reads)
                    keys = {self._key(member.oid, column) for column in reads}
                    return any(self._columns.get(key) is exception for key in keys)
                return exception.reads in {self._context.member(o).name for o in member.reads}
        return False

    def _key(self, oid: int, read: Column) -> tuple[Name, Name, str]:
        source = self._context.member(read[0])
        return self._context.member(oid).name, source.name, source.columns.get(read[1], "")

    def _taints(self, feature: _Feature, exception: DeclaredException) -> frozenset[str]:
        ids = self._ids_of_value if exception.columns else self._ids
        relation = self._sets[feature[0]].relation
        for oid in self._context.closure.roots:
            member = self._context.member(oid)
            if member.name == relation:
                numbers = [n for n, name in member.columns.items() if name == feature[1]]
                return frozenset().union(*(ids((oid, n)) for n in numbers))
        return frozenset()

    def _ids(self, column: Column) -> frozenset[str]:
        """The exceptions that reach a column."""
        if column not in self._known:
            oid, number = column
            found: frozenset[str] = frozenset()
            self._known[column] = found
            influences = self._context.influences[oid].columns.get(number, frozenset())
            if oid in self._context.sources:
                influences = frozenset()
            for read in self._context.each(influences):
                edge = (
                    self._context.member(oid).name,
                    self._context.member(read[0]).name,
                )
                found |= self._ids(read)
                if edge in self._reads:
                    found |= {self._reads[edge].id}
            self._known[column] = found
        return self._known[column]

    def _ids_of_value(self, column: Column) -> frozenset[str]:
        """The exceptions about columns that a column's value is made of.

        What only breaks a tie between rows of one entity and one moment does not count: it would
        name every column.
        """
        if column not in self._known_values:
            oid = column[0]
            found: frozenset[str] = frozenset()
            self._known_values[column] = found
            if oid not in self._context.sources:
                for read in self._context.each(self._context.made_of(column)):
                    found |= self._ids_of_value(read)
                    if declared := self._columns.get(self._key(oid, read)):
                        found |= {declared.id}
            self._known_values[column] = found
        return self._known_values[column]

    def _stale(self, exception: DeclaredException, words: str) -> LeakFinding:
        name: Name = exception.relation
        return LeakFinding(
            gate=EXCEPTIONS,
            severity=WARNING,
            relation=str(name),
            file=self._context.files.get(name),
            column=None,
            path=(str(name),),
            words=f"the declared exception {exception.id} is no longer true: {words}",
        )


def _list(features: set[_Feature]) -> str:
    return ", ".join(f"{feature} of {name}" for name, feature in sorted(features))
