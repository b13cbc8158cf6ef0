"""The mistakes: by rule, what somebody may get wrong in one place of a query."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sqlglot import exp

Replacement = tuple[str, exp.Expression]
"""What is wrong in a few words, and the node that is put in the place of the true one."""

_OTHER_CLASS: dict[type[exp.Expression], tuple[str, type[exp.Expression]]] = {
    exp.LT: ("the bound itself too", exp.LTE),
    exp.LTE: ("without the bound", exp.LT),
    exp.GT: ("the bound itself too", exp.GTE),
    exp.GTE: ("without the bound", exp.GT),
    exp.EQ: ("all others", exp.NEQ),
    exp.NEQ: ("only those", exp.EQ),
    exp.And: ("either of both", exp.Or),
    exp.Or: ("both at once", exp.And),
    exp.Add: ("minus for plus", exp.Sub),
    exp.Sub: ("plus for minus", exp.Add),
    exp.Mul: ("divided", exp.Div),
    exp.Div: ("multiplied", exp.Mul),
    exp.Min: ("the last", exp.Max),
    exp.Max: ("the first", exp.Min),
    exp.Sum: ("the most, not all", exp.Max),
    exp.Greatest: ("the least of them", exp.Least),
    exp.Least: ("the greatest of them", exp.Greatest),
    exp.Lag: ("the next one", exp.Lead),
    exp.Lead: ("the one before", exp.Lag),
    exp.Floor: ("rounded up", exp.Ceil),
    exp.PercentileCont: ("one that occurs", exp.PercentileDisc),
}


def _other_class(node: exp.Expression) -> Iterator[Replacement]:
    told = _OTHER_CLASS.get(type(node))
    if told:
        label, other = told
        yield label, other(**{key: _copied(value) for key, value in node.args.items()})


def _copied(value: object) -> object:
    if isinstance(value, list):
        return [_copied(one) for one in value]
    return value.copy() if isinstance(value, exp.Expression) else value


def _lost(node: exp.Expression) -> Iterator[Replacement]:
    """A condition, a branch, a filter, a DISTINCT that somebody has forgotten."""
    if isinstance(node, exp.And | exp.Or):
        yield "the second condition lost", node.left.copy()
        yield "the first condition lost", node.right.copy()
    elif isinstance(node, exp.Where):
        yield "no condition", exp.Where(this=exp.true())
    elif isinstance(node, exp.Not | exp.Abs | exp.Filter | exp.Ln | exp.Lower | exp.Trim):
        yield f"without {node.key}", node.this.copy()
    elif isinstance(node, exp.Distinct) and isinstance(node.parent, exp.Count):
        yield "each time anew", node.expressions[0].copy()
    elif isinstance(node, exp.Nullif):
        yield "without nullif", node.this.copy()


def _negated(node: exp.Expression) -> Iterator[Replacement]:
    if isinstance(node, exp.Is | exp.In | exp.Exists) and not isinstance(node.parent, exp.Not):
        yield "the opposite", exp.Not(this=exp.paren(node.copy()))


def _coalesced(node: exp.Expression) -> Iterator[Replacement]:
    if isinstance(node, exp.Coalesce) and node.expressions:
        yield "no second choice", node.this.copy()
        yield "the second choice alone", node.expressions[-1].copy()
        if not isinstance(node.expressions[0], exp.Literal):
            turned = exp.Coalesce(this=node.expressions[0].copy(), expressions=[node.this.copy()])
            yield "the second choice first", turned


def _literals(node: exp.Expression) -> Iterator[Replacement]:
    if not isinstance(node, exp.Literal) or isinstance(node.parent, exp.Interval):
        return
    if node.is_string:
        yield "another word", exp.Literal.string(f"{node.this}_")
    elif float(node.this) == int(float(node.this)):
        yield "one more", exp.Literal.number(str(node.this).replace(".0", "") + "+1")
    else:
        yield "a little less", exp.Literal.number(repr(float(node.this) * 0.98))


def _ordered(node: exp.Expression) -> Iterator[Replacement]:
    # The order in a percentile is left alone, as percentiles ignore NULLs.
    if isinstance(node, exp.Ordered) and not node.find_ancestor(exp.WithinGroup):
        turned = node.copy()
        turned.set("desc", not node.args.get("desc"))
        # NULLs stay at their end.
        turned.set("nulls_first", node.args.get("nulls_first"))
        yield "from the other end", turned
        nulls = node.copy()
        nulls.set("nulls_first", not node.args.get("nulls_first"))
        yield "NULLs at the other end", nulls


def _joined(node: exp.Expression) -> Iterator[Replacement]:
    if isinstance(node, exp.Join) and node.args.get("on") is not None:
        other = node.copy()
        outer = node.side == "LEFT"
        other.set("side", None if outer else "LEFT")
        other.set("kind", "INNER" if outer else None)
        yield ("an inner join" if outer else "an outer join"), other


def _branches(node: exp.Expression) -> Iterator[Replacement]:
    if isinstance(node, exp.Case):
        if len(node.args["ifs"]) > 1:
            for at in range(len(node.args["ifs"])):
                fewer = node.copy()
                fewer.set("ifs", [one for i, one in enumerate(fewer.args["ifs"]) if i != at])
                yield f"branch {at + 1} lost", fewer
        if node.args.get("default") is not None:
            open_ended = node.copy()
            open_ended.set("default", None)
            yield "no ELSE", open_ended


def _counted(node: exp.Expression) -> Iterator[Replacement]:
    if isinstance(node, exp.Count) and not isinstance(node.this, exp.Star):
        yield "every row counted", exp.Count(this=exp.Star())
    elif isinstance(node, exp.DenseRank):
        yield "ranks with gaps", exp.Rank()


def _days(node: exp.Expression) -> Iterator[Replacement]:
    if isinstance(node, exp.Cast) and node.to.is_type("date") and not node.this.is_string:
        for label, days in (("a day late", 1), ("a day early", -1)):
            yield label, exp.paren(exp.Add(this=node.copy(), expression=exp.Literal.number(days)))


def _windows(node: exp.Expression) -> Iterator[Replacement]:
    if isinstance(node, exp.Window | exp.WindowSpec):
        partition = node.args.get("partition_by")
        if partition:
            wider = node.copy()
            wider.set("partition_by", wider.args["partition_by"][:-1])
            yield "over a wider window", wider
    if isinstance(node, exp.WindowSpec) and node.args.get("end_side") == "PRECEDING":
        later = node.copy()
        later.set("end", "CURRENT ROW")
        later.set("end_side", None)
        yield "the row itself too", later


def _unions(node: exp.Expression) -> Iterator[Replacement]:
    if isinstance(node, exp.Union):
        other = node.copy()
        other.set("distinct", not node.args.get("distinct"))
        yield "rows alike once" if other.args["distinct"] else "rows alike twice", other


def _neighbours(node: exp.Expression) -> Iterator[Replacement]:
    """Another column of the same relation, as by a slip of the hand in a long list."""
    if not isinstance(node, exp.Column) or not node.table or node.is_star:
        return
    columns = [c for c in node.root().find_all(exp.Column) if not c.is_star]
    names = sorted({c.name for c in columns if c.table == node.table})
    if len(names) > 1:
        other = names[(names.index(node.name) + 1) % len(names)]
        column = exp.column(other, table=node.table)
        # The column keeps its name in the result: only its value is wrong.
        own_name = isinstance(node.parent, exp.Select) and node.arg_key == "expressions"
        yield f"{other} for it", exp.alias_(column, node.name) if own_name else column


MISTAKES: tuple[Callable[[exp.Expression], Iterator[Replacement]], ...] = (
    _other_class,
    _lost,
    _negated,
    _coalesced,
    _literals,
    _ordered,
    _joined,
    _branches,
    _counted,
    _days,
    _windows,
    _unions,
    _neighbours,
)
