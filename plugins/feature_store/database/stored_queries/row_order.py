"""Where a query's answer depends on an order of its rows that it does not say.

The server may find rows in another order each time. An unordered array_agg is let through unless
somebody picks elements of it: what is made of it, such as its elements as rows, may have no order.
"""

from __future__ import annotations

from collections.abc import Iterator

from feature_store.database.stored_queries.node_tree import Node, Value, walk

# By their numbers in PostgreSQL 15 to 18. A rank without an order is always 1.
_WINDOWED = {
    3100: "row_number",
    3105: "ntile",
    **dict.fromkeys((3106, 3107, 3108), "lag"),
    **dict.fromkeys((3109, 3110, 3111), "lead"),
    3112: "first_value",
    3113: "last_value",
    3114: "nth_value",
}
_JOINED = {3538: "string_agg", 3545: "string_agg", 2901: "xmlagg"}
_ANY_VALUE, _ARRAYS = 6291, (2335, 4053)
# Of frameOptions: it counts rows, and begins or ends at the partition's own end.
_ROWS, _FROM_START, _TO_END = 0x4, 0x20, 0x100
_SUBQUERY, _EXISTS = 1, 0  # RTEKind and SubLinkType


def unsaid_orders(tree: Value) -> Iterator[str]:
    """What in a tree takes rows in an order that nothing says, in words."""
    nodes = list(walk(tree))
    asked_for_any = {id(n.node("subselect")) for n in nodes if _is_exists(n)}
    for query in nodes:
        if query.tag == "QUERY" and not _is_fed_in_order(query):
            yield from _of_functions(query)
            if id(query) not in asked_for_any:
                yield from _of_choices(query)


def _of_functions(query: Node) -> Iterator[str]:
    unordered = {c.number("winref"): c for c in query.nodes("windowClause") if not _is_ordered(c)}
    for node in _own(query):
        name = ""
        if node.tag == "WINDOWFUNC" and node.number("winref") in unordered:
            called = node.number("winfnoid")
            name = (_WINDOWED | _JOINED).get(called, "")
            if not name and _counts_rows(unordered[node.number("winref")]):
                name = "a window of ROWS"
        elif node.tag == "AGGREF" and not (node.items("aggorder") or node.items("aggdistinct")):
            name = _JOINED.get(node.number("aggfnoid"), "")
        elif node.tag == "SUBSCRIPTINGREF" and _is_unordered_array(query, node.node("refexpr")):
            name = "an element of array_agg"
        if node.tag in ("AGGREF", "WINDOWFUNC") and _called(node) == _ANY_VALUE:
            yield "any_value, which takes any row of several"
        if name:
            yield f"{name} without ORDER BY, whose answer depends on the order in which rows come"


def _of_choices(query: Node) -> Iterator[str]:
    ordered = len(query.nodes("sortClause"))
    distinct = {key.number("tleSortGroupRef") for key in query.nodes("distinctClause")}
    shown = [t for t in query.nodes("targetList") if t.text("resjunk") != "true"]
    varied = [t for t in shown if (e := t.node("expr")) and e.tag != "CONST"]
    if query.text("hasDistinctOn") == "true" and ordered <= len(distinct):
        if any(target.number("ressortgroupref") not in distinct for target in varied):
            yield "DISTINCT ON without ORDER BY of another column, which keeps any row of several"
    elif varied and not ordered and _has_rows(query) and _is_limited(query):
        yield "LIMIT or OFFSET without ORDER BY, which takes any rows"


def _own(query: Node) -> Iterator[Node]:
    """The nodes of a query, without those of queries in it."""
    pending: list[Value] = list(query.fields.values())
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending += value
        elif isinstance(value, Node) and value.tag != "QUERY":
            yield value
            pending += value.fields.values()


def _called(node: Node) -> int:
    return node.number("aggfnoid" if node.tag == "AGGREF" else "winfnoid")


def _is_unordered_array(query: Node, array: Node | None) -> bool:
    """Whether it is an array_agg without an order, its own or that of a subquery in FROM."""
    if array is None:
        return False
    if array.tag == "VAR" and array.number("varlevelsup") == 0:
        tables, number = query.nodes("rtable"), array.number("varno")
        table = tables[number - 1] if 0 < number <= len(tables) else None
        inner = table.node("subquery") if table else None
        places = [t.node("expr") for t in inner.nodes("targetList")] if inner else []
        place = array.number("varattno")
        if inner is None or not 0 < place <= len(places):
            return False
        return _is_unordered_array(inner, places[place - 1])
    ordered = array.items("aggorder") or array.items("aggdistinct") or _is_fed_in_order(query)
    return array.tag == "AGGREF" and array.number("aggfnoid") in _ARRAYS and not ordered


def _is_exists(node: Node) -> bool:
    return node.tag == "SUBLINK" and node.number("subLinkType") == _EXISTS


def _is_ordered(clause: Node) -> bool:
    return bool(clause.items("orderClause"))


def _counts_rows(clause: Node) -> bool:
    options = clause.number("frameOptions")
    whole = options & _FROM_START and options & _TO_END
    return bool(options & _ROWS) and not whole


def _is_fed_in_order(query: Node) -> bool:
    """Whether all that it reads is one subquery, which says an order."""
    tables, tree = query.nodes("rtable"), query.node("jointree")
    read = tree.nodes("fromlist") if tree else []
    if len(read) != 1 or read[0].tag != "RANGETBLREF":
        return False
    table = tables[read[0].number("rtindex") - 1]
    subquery = table.node("subquery") if table.number("rtekind") == _SUBQUERY else None
    return bool(subquery and subquery.items("sortClause"))


def _has_rows(query: Node) -> bool:
    """Whether it may have several rows: not if it reads nothing, or adds up all it reads."""
    tree = query.node("jointree")
    reads = bool(tree and tree.items("fromlist")) or query.text("hasTargetSRFs") == "true"
    summed = query.text("hasAggs") == "true" and not query.items("groupClause")
    return (reads or bool(query.node("setOperations"))) and not summed


def _is_limited(query: Node) -> bool:
    """Whether it has a limit that takes rows away; LIMIT ALL and OFFSET 0 do not."""
    count, offset = query.node("limitCount"), query.node("limitOffset")
    return bool(count and not _is(count, "")) or bool(offset and not _is(offset, "0"))


def _is(limit: Node, byte: str) -> bool:
    """Whether a limit is a constant of only these bytes; NULL has none."""
    while limit.tag == "FUNCEXPR" and limit.nodes("args"):  # a cast to bigint
        limit = limit.nodes("args")[0]
    held = limit.items("constbytes") or [""]
    return limit.tag == "CONST" and set(map(str, held)) == {byte}
