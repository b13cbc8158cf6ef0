"""Leak gate 2: only declared readers may read what is known only after t0."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from feature_store.database.stored_queries.dependency_closure import Member
from feature_store.declarations.leak_rules import EVERY_COLUMN, Outcome
from feature_store.relation_name import Name
from feature_store.validation.leaks.column_influence import ROWS, Column, Columns
from feature_store.validation.leaks.gate_context import OUTCOMES, GateContext, LeakFinding

# An outcome (its place in the rules, and its column), and its path, starting with itself.
_Key = tuple[int, str]
_Way = tuple[Column, ...]
_Carried = dict[_Key, _Way]


def outcome_findings(context: GateContext) -> Iterator[LeakFinding]:
    """Find undeclared readers of an outcome, direct or not, and rules about no column."""
    for member in context.closure.members.values():
        if member.name in context.files:
            yield from _unknown_columns(context, member)
    yield from _Tracer(context).findings()


def _unknown_columns(context: GateContext, member: Member) -> Iterator[LeakFinding]:
    """Rules that guard nothing, as after a slip of the pen or a new name.

    Only of the store's own relations: no gate asks for a rule about each of their columns. A source
    may lack a column that nobody reads.
    """
    rules = context.rules
    named = {c for o in rules.outcomes if o.relation == member.name for c in o.columns}
    named |= {column for name, column in rules.columns_not_as_of if name == member.name}
    for column in sorted(named - {EVERY_COLUMN} - set(member.columns.values())):
        words = (
            f"{rules.path.name} names its column {column}, which it does not have. The column that "
            "is meant is not guarded."
        )
        yield context.finding(OUTCOMES, member, words, column=column)


class _Tracer:
    def __init__(self, context: GateContext) -> None:
        self._context = context
        self._known: dict[Column, _Carried] = {}

    def findings(self) -> Iterator[LeakFinding]:
        unnamed: list[tuple[Member, _Key, _Way]] = []
        blamed: set[tuple[int, _Key]] = set()
        for member in self._context.closure.members.values():
            if member.oid in self._context.sources:
                yield from self._of_source(member)
                continue
            for key, way in self._unlawful(member).items():
                if any(oid in self._context.nameable for oid, _ in way[1:]):
                    continue  # the cause is further down
                if member.oid in self._context.nameable:
                    blamed |= {(oid, key) for oid, _ in way}
                    yield self._read(member, key, way)
                else:
                    unnamed.append((member, key, way))
            yield from self._of_reader(member)
        for member, key, way in unnamed:
            if (member.oid, key) not in blamed:
                yield self._read(member, key, way)

    def _unlawful(self, member: Member) -> _Carried:
        """The outcomes that a relation reads without being declared."""
        reads = self._context.influences[member.oid].reads
        looked_at = {oid for oid, number in reads if number != ROWS}
        # For some relations even the number of rows must not be known.
        whole = {(oid, 0) for oid in member.reads if oid not in looked_at and self._closed_by(oid)}
        return {
            key: way
            for key, way in self._through(reads | whole).items()
            if member.name not in self._outcome(key).read_by
        }

    def _of_reader(self, member: Member) -> Iterator[LeakFinding]:
        """A declared reader may put an outcome only into its declared columns."""
        for number, influences in sorted(self._context.influences[member.oid].columns.items()):
            column = member.columns.get(number, str(number))
            carried = self._through(influences)
            for key, way in (self._counted(influences, carried) | carried).items():
                lawful = self._outcome(key).read_by.get(member.name)
                below = any(oid in self._context.nameable for oid, _ in way[1:])
                if lawful is not None and column not in lawful and not below:
                    words = (
                        f"makes {column} of {self._called(key, way)}; it is declared to make "
                        f"only {', '.join(sorted(lawful)) or 'nothing'} of it."
                    )
                    path = (*map(self._context.label, way), f"{member.name}.{column}")
                    yield self._context.finding(OUTCOMES, member, words, column=column, path=path)

    def _counted(self, columns: Columns, carried: _Carried) -> _Carried:
        """The closed relations of which only the rows are counted."""
        known = {place for place, _ in carried}
        return {
            (place, EVERY_COLUMN): ((oid, 0),)
            for oid, number in sorted(columns)
            for place in (self._closed_by(oid) if number == ROWS else ())
            if place not in known
        }

    def _of_source(self, member: Member) -> Iterator[LeakFinding]:
        """A source may have outcomes, but must not choose its rows by one."""
        for key, way in self._through(self._context.influences[member.oid].rows).items():
            words = f"chooses its rows by {self._called(key, way)}."
            path = (*map(self._context.label, way), str(member.name))
            yield self._context.finding(OUTCOMES, member, words, column=key[1], path=path)

    def _through(self, columns: Columns) -> _Carried:
        """The outcomes in columns, each with the shortest path."""
        found: _Carried = {}
        for column in self._context.each(columns):
            for key, way in self._carried(column).items():
                if key not in found or len(way) < len(found[key]):
                    found[key] = way
        return found

    def _carried(self, column: Column) -> _Carried:
        if column not in self._known:
            self._known[column] = {}
            self._known[column] = self._carry(column)
        return self._known[column]

    def _carry(self, column: Column) -> _Carried:
        own = self._own(column)
        if own is not None:
            return {own: (column,)}
        oid, number = column
        member = self._context.member(oid)
        influences = self._context.influences[oid]
        values = influences.columns.get(number, frozenset())
        found: _Carried = {}
        for key, way in self._through(values).items():
            lawful = self._outcome(key).read_by.get(member.name, frozenset())
            if member.columns[number] not in lawful:
                found[key] = (*way, column)
        if oid not in self._context.sources:
            for key, way in self._through(influences.rows).items():
                if member.name not in self._outcome(key).read_by:
                    found.setdefault(key, (*way, column))
        return found

    def _own(self, column: Column) -> _Key | None:
        """The outcome that a column is, by its name or by that of a source made of it."""
        oid, number = column
        name = self._context.member(oid).columns[number]
        for owner in (oid, *self._made_of.get(oid, ())):
            for wanted in (name, EVERY_COLUMN) if owner == oid else (name,):
                for place in self._places.get(self._context.member(owner).name, ()):
                    if wanted in self._context.rules.outcomes[place].columns:
                        return place, name
        return None

    @cached_property
    def _places(self) -> dict[Name, list[int]]:
        found: dict[Name, list[int]] = {}
        for place, outcome in enumerate(self._context.rules.outcomes):
            found.setdefault(outcome.relation, []).append(place)
        return found

    @cached_property
    def _made_of(self) -> dict[int, list[int]]:
        """For a relation below a source that is a view: the sources that read it."""
        found: dict[int, list[int]] = {}
        for oid in sorted(self._context.sources):
            if self._context.member(oid).name in self._places:
                for below in self._context.closure.below(oid) & self._context.sources:
                    found.setdefault(below, []).append(oid)
        return found

    def _closed_by(self, oid: int) -> list[int]:
        """The rules, by place, that close a relation: even how many rows it has is an outcome."""
        places = self._places.get(self._context.member(oid).name, ())
        return [p for p in places if EVERY_COLUMN in self._context.rules.outcomes[p].columns]

    def _outcome(self, key: _Key) -> Outcome:
        return self._context.rules.outcomes[key[0]]

    def _called(self, key: _Key, way: _Way) -> str:
        return (
            f"the outcome {self._context.label(way[0])} ({self._outcome(key).reason.rstrip('.')})"
        )

    def _read(self, member: Member, key: _Key, way: _Way) -> LeakFinding:
        readers = ", ".join(map(str, sorted(self._outcome(key).read_by))) or "no relation"
        words = f"reads {self._called(key, way)}; declared for it: {readers}."
        path = (*map(self._context.label, way), str(member.name))
        return self._context.finding(OUTCOMES, member, words, column=key[1], path=path)
