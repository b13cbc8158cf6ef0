"""What each column of one relation is made of, for outside tools: only between stored rows.

The leak gates compute what reaches a column one step down, plain views included. Nobody refreshes a
plain view, so here reading one counts as reading what is below it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from feature_store.database.stored_queries.dependency_closure import VIEW
from feature_store.relation_name import Name
from feature_store.validation.leaks.column_influence import NOTHING, Column, Columns
from feature_store.validation.leaks.gate_context import GateContext

Named = tuple[Name, str]


@dataclass(frozen=True)
class RelationLineage:
    """A relation and what it is made of.

    Attributes:
        relation: its name.
        reads: the tables and materialized views that it reads.
        made_of: for each column, the columns that its value is made of.
        decided_by: for each column, what decides which values are taken, such as look-up columns.
        rows: what decides which rows there are.
    """

    relation: Name
    reads: tuple[Name, ...]
    made_of: dict[str, tuple[Named, ...]]
    decided_by: dict[str, tuple[Named, ...]]
    rows: tuple[Named, ...]


def relation_lineage(context: GateContext, relation: Name) -> RelationLineage | None:
    """Compute the lineage of a relation; None if it does not exist."""
    oids = [oid for oid, member in context.closure.members.items() if member.name == relation]
    return _Walk(context).of(oids[0]) if oids else None


class _Walk:
    """Steps down from one relation, skipping plain views."""

    def __init__(self, context: GateContext) -> None:
        self._context = context

    def of(self, oid: int) -> RelationLineage:
        member, context = self._context.member(oid), self._context
        made = {name: self._values((oid, number)) for number, name in member.columns.items()}
        reach = {name: self._influences((oid, number)) for number, name in member.columns.items()}
        rows = self._rows(oid)
        read = rows.union(
            *made.values(), *reach.values(), self._down(context.influences[oid].reads)
        )
        return RelationLineage(
            relation=member.name,
            reads=tuple(sorted({context.member(below).name for below, _ in read})),
            made_of={name: self._named(columns) for name, columns in made.items()},
            decided_by={name: self._named(reach[name] - made[name]) for name in made},
            rows=self._named(rows),
        )

    def _is_view(self, oid: int) -> bool:
        return self._context.member(oid).kind == VIEW and oid not in self._context.sources

    def _values(self, column: Column) -> Columns:
        return self._each(self._context.made_of(column), self._values)

    def _influences(self, column: Column) -> Columns:
        below = self._context.influences[column[0]].columns.get(column[1], NOTHING)
        return self._each(below, self._influences)

    def _rows(self, oid: int) -> Columns:
        rows = self._context.influences[oid].rows
        views = [o for o in self._context.member(oid).reads if self._is_view(o)]
        return self._each(rows, self._influences).union(*map(self._rows, views))

    def _down(self, columns: Columns) -> Columns:
        return self._each(columns, self._influences)

    def _each(self, columns: Columns, through: Callable[[Column], Columns]) -> Columns:
        found = NOTHING
        for column in self._context.each(columns):
            found |= through(column) if self._is_view(column[0]) else frozenset({column})
        return found

    def _named(self, columns: Iterable[Column]) -> tuple[Named, ...]:
        members = self._context.closure.members
        named = ((members[oid].name, members[oid].columns.get(n)) for oid, n in columns)
        return tuple(sorted((relation, column) for relation, column in named if column))
