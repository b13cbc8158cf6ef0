"""What a column's value is made of, without what only decides which value is taken.

`column_influence` errs on the safe side: it includes what a row is looked up by, what filters the
rows of an aggregate, what a CASE tests. That is right for a gate, but of little use to a person,
because then most columns reach most features. Here a median of numbers is made of numbers; the
group and the days that choose them only decide.
"""

from __future__ import annotations

from functools import cached_property

from feature_store.database.stored_queries.dependency_closure import Member
from feature_store.database.stored_queries.node_tree import Node, Value
from feature_store.validation.leaks.column_influence import NOTHING, Columns, Query
from feature_store.validation.leaks.relation_influence import Row

_EXISTS = 0  # SubLinkType of PostgreSQL 15 to 18


def origins(member: Member) -> dict[int, Columns]:
    """The columns, one step down, that each column's value is made of, by number."""
    own = Row(member.oid)
    found = {number: own.influences(tree) for number, tree in member.generated.items()}
    for query in member.query if isinstance(member.query, list) else []:
        if isinstance(query, Node):
            found |= dict(enumerate(_Values(query, ()).columns, start=1))
    return found


class _Values(Query):
    """A query for which only values count."""

    @cached_property
    def columns(self) -> list[Columns]:
        """What the value of each output column is made of."""
        return [self.value(target) for target in self.shown]

    def inside(self, node: Node) -> Query:
        """The scope of a query inside this one."""
        return _Values(node, (*self.outer, self))

    def has_rows(self, relation: int) -> Columns:  # noqa: ARG002  # it is a value of none
        """Nothing: only columns are shown."""
        return NOTHING

    def column(self, table: int, number: int) -> Columns:
        """What the value of a column of one of its tables is made of."""
        return self.entry_column(table, number)

    def influences(self, value: Value) -> Columns:
        """What an expression's value is made of."""
        if not isinstance(value, Node):
            return super().influences(value)
        if value.tag == "QUERY":
            query = self.inside(value)
            return query.output(0) or query.rows
        if value.tag == "SUBLINK" and value.number("subLinkType") == _EXISTS:
            subselect = value.node("subselect")
            assert subselect is not None  # EXISTS asks for a row of a query
            return self.inside(subselect).rows
        if value.tag == "AGGREF":
            counted = self.up(value.number("agglevelsup")).inputs
            return self._arguments(value) or counted | self.influences(value.node("aggfilter"))
        if value.tag == "WINDOWFUNC":
            return self._arguments(value) or self.inputs | self.window
        if value.tag == "SUBSCRIPTINGREF":  # choosing an element of an array is like choosing a row
            return self.influences(value.node("refexpr"))
        if value.tag == "CASEEXPR":
            return self._case(value)
        return super().influences(value)

    def _arguments(self, call: Node) -> Columns:
        # An aggregate's arguments also have columns that only sort them.
        given = [a for a in call.nodes("args") if a.text("resjunk") != "true"]
        return self.influences([call.fields.get("aggdirectargs"), *given])

    def _case(self, case: Node) -> Columns:
        """What a CASE returns; also what it tests, if it returns a constant."""
        branches = [w.node("result") for w in case.nodes("args")] + [case.node("defresult")]
        answers = [self.influences(branch) for branch in branches]
        found = NOTHING.union(*answers)
        if all(made or _is_null(b) for made, b in zip(answers, branches, strict=True)):
            return found
        asked: list[Value] = [case.node("arg"), *(w.node("expr") for w in case.nodes("args"))]
        return found | self.influences(asked)


def _is_null(branch: Node | None) -> bool:
    return branch is None or (branch.tag == "CONST" and branch.text("constisnull") == "true")
