"""What reaches the columns and rows of one relation, one step down."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from feature_store.database.stored_queries.dependency_closure import Member
from feature_store.database.stored_queries.node_tree import Node
from feature_store.validation.leaks.column_influence import NOTHING, Columns, Query, Scope, selected


@dataclass(frozen=True)
class Influences:
    """What reaches the columns and rows of a relation.

    Attributes:
        columns: what reaches each of its columns, by number.
        rows: what decides which rows it has.
        reads: everything that it reads, for any purpose.
    """

    columns: dict[int, Columns]
    rows: Columns
    reads: Columns


class Row(Scope):
    """One row of a table, as policies and generated columns see it."""

    def __init__(self, relation: int) -> None:
        self._relation = relation

    def column(self, table: int, number: int) -> Columns:  # noqa: ARG002  # there is one table
        """The column itself."""
        return frozenset({(self._relation, number)})


# Cached, because `apply` asks for the same relations once for each relation that it adopts.
@lru_cache(maxsize=256)
def trace(member: Member) -> Influences:
    """Trace what reaches a relation's columns and rows, one step down. Do not change the result."""
    own = Row(member.oid)
    policies = [own.influences(tree) for tree in member.policies.values()]
    rows = NOTHING.union(*policies)
    columns = {number: own.influences(tree) for number, tree in member.generated.items()}
    reads = rows | selected(list(member.policies.values()))
    if isinstance(member.query, list):
        for query in member.query:
            if isinstance(query, Node):
                scope = Query(query, ())
                columns |= dict(enumerate(scope.columns, start=1))
                rows |= scope.rows
                reads |= selected(query)
    return Influences(columns, rows, reads.union(rows, *columns.values()))
