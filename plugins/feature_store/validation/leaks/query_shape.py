"""What a query does to its rows: whether it adds them up, makes some, or leaves some out."""

from __future__ import annotations

from feature_store.database.stored_queries.node_tree import Node, walk

LIMITS = ("limitCount", "limitOffset")
# SetOperation of PostgreSQL 15 to 18.
_UNION = 1


def operations(query: Node) -> list[Node]:
    """Its UNION, INTERSECT and EXCEPT; none if it is a plain query."""
    found = walk(query.node("setOperations"))
    return [node for node in found if node.tag == "SETOPERATIONSTMT"]


def compares(query: Node) -> bool:
    """Whether it compares the rows of its branches to tell which stay."""
    return any(n.text("all") == "false" or n.number("op") != _UNION for n in operations(query))


def limited(query: Node) -> bool:
    """Whether it has a LIMIT or OFFSET."""
    return any(query.node(field) for field in LIMITS)


def chooses(query: Node) -> bool:
    """Whether it leaves rows out, so that the values of the others tell of those."""
    taken_away = any(node.number("op") != _UNION for node in operations(query))
    return limited(query) or taken_away or query.text("hasDistinctOn") == "true"


def is_one_row(query: Node) -> bool:
    """Whether it adds up all rows to one, which there is even if there are none."""
    grouped = query.nodes("groupClause") or query.nodes("groupingSets")
    return query.text("hasAggs") == "true" and not grouped


def row_makers(query: Node, targets: list[Node]) -> list[Node]:
    """Those of its targets of which each value is a row."""
    if query.text("hasTargetSRFs") != "true":
        return []
    return [target for target in targets if _returns_sets(target)]


def _returns_sets(target: Node) -> bool:
    return any("true" in (n.text("funcretset"), n.text("opretset")) for n in walk(target))
