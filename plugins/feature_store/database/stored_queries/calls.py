"""Everything that a node tree runs: each function with the way it is called, and other code.

Default deny: what is not known to be harmless is named as unproven.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from feature_store.database.stored_queries.node_tree import Node, Value, walk
from feature_store.database.stored_queries.row_order import unsaid_orders

FIRST_OF_USERS = 16384


class CallKind(Enum):
    """What the number in a `Call` is."""

    FUNCTION = "function"
    OPERATOR = "operator"
    TEXT_TO = "text to type"
    TYPE_TO_TEXT = "type to text"
    TYPE = "type"
    MADE = "type of which a value is made"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Call:
    """One thing that a tree runs.

    Attributes:
        kind: what ``oid`` is of.
        oid: the function, operator or type; 0 where there is none.
        words: what people call it, if the catalog has no name for it.
        columns: the output columns of the query whose expressions contain it.
    """

    kind: CallKind
    oid: int
    words: str = ""
    columns: tuple[str, ...] = ()


# SQLValueFunctionOp of PostgreSQL 15 to 18.
_VALUES = (
    "current_date",
    "current_time",
    "current_time",
    "current_timestamp",
    "current_timestamp",
    "localtime",
    "localtime",
    "localtimestamp",
    "localtimestamp",
    "current_role",
    "current_user",
    "user",
    "session_user",
    "current_catalog",
    "current_schema",
)
# Fields that hold a function's or an operator's OID, by kind of node.
_FUNCTIONS = {
    "FUNCEXPR": ("funcid",),
    "AGGREF": ("aggfnoid",),
    "WINDOWFUNC": ("winfnoid",),
    "WINDOWCLAUSE": ("startInRangeFunc", "endInRangeFunc"),
    "OPEXPR": ("opfuncid",),
    "DISTINCTEXPR": ("opfuncid",),
    "NULLIFEXPR": ("opfuncid",),
    "SCALARARRAYOPEXPR": ("opfuncid",),
}
_OPERATORS = {
    "OPEXPR": ("opno",),
    "DISTINCTEXPR": ("opno",),
    "NULLIFEXPR": ("opno",),
    "SCALARARRAYOPEXPR": ("opno",),
    "SORTGROUPCLAUSE": ("eqop", "sortop"),
    "CTECYCLECLAUSE": ("cycle_mark_neop",),
}
# Nodes that run only their parts and what the fields above name.
_HARMLESS = frozenset(
    {
        "AGGREF",
        "ALIAS",
        "ARRAYCOERCEEXPR",
        "ARRAYEXPR",
        "BOOLEANTEST",
        "BOOLEXPR",
        "CASEEXPR",
        "CASETESTEXPR",
        "CASEWHEN",
        "COALESCEEXPR",
        "COERCETODOMAIN",
        "COERCETODOMAINVALUE",
        "COERCEVIAIO",
        "COLLATEEXPR",
        "COMMONTABLEEXPR",
        "CONST",
        "CONVERTROWTYPEEXPR",
        "CTECYCLECLAUSE",
        "CTESEARCHCLAUSE",
        "DISTINCTEXPR",
        "FIELDSELECT",
        "FROMEXPR",
        "FUNCEXPR",
        "GROUPINGFUNC",
        "GROUPINGSET",
        "JOINEXPR",
        "MINMAXEXPR",
        "NAMEDARGEXPR",
        "NULLIFEXPR",
        "NULLTEST",
        "OPEXPR",
        "PARAM",
        "QUERY",
        "RANGETBLENTRY",
        "RANGETBLFUNCTION",
        "RANGETBLREF",
        "RELABELTYPE",
        "ROW",
        "ROWCOMPARE",
        "ROWCOMPAREEXPR",
        "ROWEXPR",
        "RTEPERMISSIONINFO",
        "SCALARARRAYOPEXPR",
        "SETOPERATIONSTMT",
        "SORTGROUPCLAUSE",
        "SUBLINK",
        "SUBSCRIPTINGREF",
        "TARGETENTRY",
        "VAR",
        "WINDOWCLAUSE",
        "WINDOWFUNC",
    }
)
_UNPROVEN = {
    "TABLESAMPLECLAUSE": "TABLESAMPLE, which takes different rows each time",
    "NEXTVALUEEXPR": "nextval(), which gives a different value each time",
}
# Fields with the types of which a value is made, not only held: that runs a domain's checks.
_MADE = {"COERCETODOMAIN": "resulttype", "COERCEVIAIO": "resulttype", "FUNCEXPR": "funcresulttype"}
_MADE_OF_JSON = {"RANGETBLFUNCTION": "funccoltypes", "TABLEFUNC": "coltypes"}
# The field in which an expression keeps the type of its value.
_RESULT_TYPES = {
    "VAR": "vartype",
    "CONST": "consttype",
    "PARAM": "paramtype",
    "FUNCEXPR": "funcresulttype",
    "OPEXPR": "opresulttype",
    "DISTINCTEXPR": "opresulttype",
    "NULLIFEXPR": "opresulttype",
    "AGGREF": "aggtype",
    "WINDOWFUNC": "wintype",
    "COALESCEEXPR": "coalescetype",
    "MINMAXEXPR": "minmaxtype",
    "CASEEXPR": "casetype",
    "RELABELTYPE": "resulttype",
    "COERCEVIAIO": "resulttype",
    "COERCETODOMAIN": "resulttype",
    "COERCETODOMAINVALUE": "typeId",
    "ARRAYCOERCEEXPR": "resulttype",
    "ARRAYEXPR": "array_typeid",
    "FIELDSELECT": "resulttype",
    "SUBSCRIPTINGREF": "refrestype",
}
_BOOLEAN = 16
_BOOLEAN_NODES = ("BOOLEXPR", "NULLTEST", "BOOLEANTEST", "SCALARARRAYOPEXPR")


def calls(tree: Value) -> Iterator[Call]:
    """Everything that a tree runs."""
    if isinstance(tree, Node):
        yield from _run_by(tree)
    for part in tree if isinstance(tree, list) else ():
        yield from calls(part)


# Cached, as trees are, because a task asks about the same ones more than once.
@lru_cache(maxsize=256)
def _run_by(node: Node) -> tuple[Call, ...]:
    found: list[Call] = []
    for columns, part in _by_output_column(node):
        nodes = list(walk(part))
        unread = _only_at_hand(nodes)
        for one in nodes:
            found += [Call(*what, columns) for what in _of(one, id(one) in unread)]
    return (*found, *(Call(CallKind.NOTHING, 0, words) for words in unsaid_orders(node)))


def _by_output_column(query: Node) -> Iterator[tuple[tuple[str, ...], Node]]:
    if query.tag != "QUERY":
        yield (), query
        return
    for target in query.nodes("targetList"):
        shown = target.text("resjunk") != "true" and target.text("resname")
        yield (target.text("resname"),) if shown else (), target
    rest = {field: v for field, v in query.fields.items() if field != "targetList"}
    yield (), Node(query.tag, rest)


def _only_at_hand(nodes: Iterable[Node]) -> frozenset[int]:
    """Columns that a join offers; the ones that are read appear again elsewhere."""
    return frozenset(
        id(item)
        for node in nodes
        if node.tag == "RANGETBLENTRY"
        for item in node.nodes("joinaliasvars")
        if item.tag == "VAR"
    )


def _of(node: Node, unread: bool) -> Iterator[tuple[CallKind, int, str]]:
    for field in _FUNCTIONS.get(node.tag, ()):
        if node.number(field):
            yield CallKind.FUNCTION, node.number(field), ""
    operators = [node.number(field) for field in _OPERATORS.get(node.tag, ())]
    if node.tag in ("ROWCOMPARE", "ROWCOMPAREEXPR"):
        operators += node.numbers("opnos")
    for operator in filter(None, operators):
        yield CallKind.OPERATOR, operator, ""
    if not unread:
        yield from ((CallKind.TYPE, oid, "") for oid in _types(node))
    yield from ((CallKind.MADE, oid, "") for oid in _made(node) if oid >= FIRST_OF_USERS)
    if node.tag == "COERCEVIAIO":
        argument = node.node("arg")
        yield CallKind.TEXT_TO, node.number("resulttype"), ""
        yield CallKind.TYPE_TO_TEXT, _type_of(argument), "a cast through text"
    elif node.tag == "SQLVALUEFUNCTION":
        place = node.number("op")
        known = node.text("op").isdigit() and place < len(_VALUES)
        yield CallKind.NOTHING, 0, _VALUES[place] if known else "a value of the session"
    elif node.tag == "VAR" and node.number("varattno") < 0 and not unread:
        yield (
            CallKind.NOTHING,
            0,
            "a system column, which depends on when and where a row was written",
        )
    elif node.tag not in _HARMLESS:
        yield (
            CallKind.NOTHING,
            0,
            _UNPROVEN.get(node.tag, f"{node.tag}, of which nothing is proven"),
        )


def _types(node: Node) -> Iterator[int]:
    """The user-made types of a node: comparing them runs the users' code."""
    for field, value in node.fields.items():
        if isinstance(value, str) and field.endswith(("type", "typeid")) and value.isdigit():
            if int(value) >= FIRST_OF_USERS:
                yield int(value)
        elif field == "aggargtypes":
            yield from (oid for oid in node.numbers(field) if oid >= FIRST_OF_USERS)


def _made(node: Node) -> list[int]:
    if node.tag in _MADE_OF_JSON:
        return node.numbers(_MADE_OF_JSON[node.tag])
    if node.tag == "JSONRETURNING":
        return [node.number("typid")]
    return [node.number(_MADE[node.tag])] if node.tag in _MADE else []


def _type_of(node: Node | None) -> int:
    """The type of an expression's value; 0 if it cannot be determined."""
    if node is None:
        return 0
    if node.tag in _BOOLEAN_NODES:
        return _BOOLEAN
    if node.tag == "COLLATEEXPR":
        return _type_of(node.node("arg"))
    return node.number(_RESULT_TYPES[node.tag]) if node.tag in _RESULT_TYPES else 0
