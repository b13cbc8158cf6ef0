"""The join tree of a query: its conditions, and what its outer joins may leave empty.

A condition may have queries of its own: those are no part of the tree.
"""

from __future__ import annotations

from dataclasses import dataclass

from feature_store.database.stored_queries.node_tree import Node, Value

# JoinType of PostgreSQL 15 to 18.
_LEFT, _FULL, _RIGHT = 1, 2, 3


@dataclass(frozen=True)
class Joined:
    """Some tables of a join tree, and conditions on them.

    Attributes:
        tables: by number, the joins between them included.
        conditions: WHERE and ON.
    """

    tables: frozenset[int]
    conditions: list[Value]


@dataclass(frozen=True, eq=False)
class OptionalSide:
    """A side of an outer join whose columns are NULL where no row of it fits.

    Attributes:
        tables: all its tables, by number.
        decided_by: what of it, and of the join, decides whether a row fits.
    """

    tables: frozenset[int]
    decided_by: Joined


def everything(tree: Node | None) -> Joined:
    """All of a join tree."""
    return _joined(_parts(tree))


def needed(tree: Node | None) -> Joined:
    """What decides whether a join tree has a row: an outer join removes none of the other side."""
    return _joined(_parts(tree, only_needed=True))


def optional(tree: Node | None) -> list[OptionalSide]:
    """The sides of outer joins that may be left empty."""
    found = []
    for join in _parts(tree):
        kind = join.number("jointype")
        sides = [join.node("rarg")] if kind in (_LEFT, _FULL) else []
        sides += [join.node("larg")] if kind in (_RIGHT, _FULL) else []
        for side in sides:
            inner = needed(side)
            decided_by = Joined(inner.tables, [join.fields.get("quals"), *inner.conditions])
            found.append(OptionalSide(everything(side).tables, decided_by))
    return found


def _parts(tree: Node | None, *, only_needed: bool = False) -> list[Node]:
    """The joins and tables of a join tree, itself first."""
    found = [tree] if tree else []
    for node in found:
        kind = node.number("jointype") if only_needed else 0
        left = None if kind == _RIGHT else node.node("larg")
        right = None if kind == _LEFT else node.node("rarg")
        found += [part for part in (left, right, *node.nodes("fromlist")) if part]
    if only_needed:  # the condition of an outer join keeps no row away
        return [node for node in found if node.number("jointype") not in (_LEFT, _FULL, _RIGHT)]
    return found


def _joined(parts: list[Node]) -> Joined:
    tables = frozenset(part.number("rtindex") for part in parts) - {0}
    return Joined(tables, [part.fields.get("quals") for part in parts])
