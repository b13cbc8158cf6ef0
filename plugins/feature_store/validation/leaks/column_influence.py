"""Which columns a stored query reads, and which of its own columns they reach.

It errs on the safe side: what may have an influence counts as having one. The exception: an inner
join or a filter decides which rows there are, not their values.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from feature_store.database.stored_queries.dependency_closure import Member
from feature_store.database.stored_queries.node_tree import Node, Value, walk

# The catalog numbers columns from 1; 0 is the whole row, and below are the system's columns.
Column = tuple[int, int]
Columns = frozenset[Column]
NOTHING: Columns = frozenset()

# Sets of columns start at the lowest system column, so bit 8 is column 1.
_FIRST_BIT = 7
# RTEKind and JoinType of PostgreSQL 15 to 18.
_RELATION, _SUBQUERY, _JOIN, _CTE, _GROUP = 0, 1, 2, 6, 9
_LEFT, _FULL, _RIGHT = 1, 2, 3
_LIMITS = ("limitCount", "limitOffset")
_WINDOW_KEYS = ("partitionClause", "orderClause")


@dataclass(frozen=True)
class Lineage:
    """What reaches the columns and rows of a relation.

    Attributes:
        columns: what reaches each of its columns, by number.
        rows: what decides which rows it has.
        reads: everything that it reads, for any purpose.
    """

    columns: dict[int, Columns]
    rows: Columns
    reads: Columns


def trace(member: Member) -> Lineage:
    """Trace what reaches a relation's columns and rows, one step down."""
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
    return Lineage(columns, rows, reads.union(rows, *columns.values()))


def selected(tree: Value) -> Columns:
    """The columns that a tree needs the right to read, according to the server."""
    return frozenset(
        (node.number("relid"), bit - _FIRST_BIT)
        for node in walk(tree)
        if node.number("relid")
        for bit in node.numbers("selectedCols")
    )


class Scope:
    """Where a column reference is looked up."""

    outer: tuple[Scope, ...] = ()

    @property
    def inputs(self) -> Columns:
        """What decides which rows an aggregate gets."""
        return NOTHING

    @property
    def window(self) -> Columns:
        """What decides the partition and order of a window function."""
        return NOTHING

    def column(self, table: int, number: int) -> Columns:
        """What reaches a column of one of the scope's tables."""
        raise NotImplementedError

    def influences(self, value: Value) -> Columns:
        """What reaches an expression's value."""
        if isinstance(value, list):
            return NOTHING.union(*(self.influences(item) for item in value))
        if not isinstance(value, Node):
            return NOTHING
        if value.tag == "VAR":
            scope = self.up(value.number("varlevelsup"))
            return scope.column(value.number("varno"), value.number("varattno"))
        if value.tag == "QUERY":
            query = self.inside(value)
            return query.rows | query.output(0)
        found = NOTHING.union(*(self.influences(part) for part in value.fields.values()))
        if value.tag == "AGGREF":
            found |= self.up(value.number("agglevelsup")).inputs
        if value.tag == "WINDOWFUNC":
            found |= self.inputs | self.window
        return found

    def inside(self, node: Node) -> Query:
        """The scope of a query inside this one."""
        return Query(node, (*self.outer, self))

    def up(self, levels: int) -> Scope:
        """The scope so many levels further out."""
        return self.outer[-levels] if levels else self


class Row(Scope):
    """One row of a table, as policies and generated columns see it."""

    def __init__(self, relation: int) -> None:
        self._relation = relation

    def column(self, table: int, number: int) -> Columns:  # noqa: ARG002  # there is one table
        """The column itself."""
        return frozenset({(self._relation, number)})


class _Everything:
    """A recursive query: everything it reads reaches everything."""

    def __init__(self, rows: Columns) -> None:
        self.rows = rows

    def output(self, number: int) -> Columns:  # noqa: ARG002  # all are alike
        return self.rows


class Query(Scope):
    """A query, or one inside another."""

    def __init__(self, node: Node, outer: tuple[Scope, ...]) -> None:
        self.node = node
        self.outer = outer
        self._tables = node.nodes("rtable")
        self._targets = node.nodes("targetList")
        self._subqueries: dict[int, Query] = {}
        self._ctes: dict[str, Query | _Everything] = {}
        self._looking_up: set[int] = set()

    def output(self, number: int) -> Columns:
        """What reaches one output column; 0 is all of them."""
        return self.columns[number - 1] if number > 0 else NOTHING.union(*self.columns)

    @cached_property
    def columns(self) -> list[Columns]:
        """What reaches each output column."""
        if self.node.node("setOperations"):
            numbers = range(1, len(self.shown) + 1)
            return [NOTHING.union(*(b.output(n) for b in self._branches)) for n in numbers]
        # If only some rows are taken, the order decides which.
        chosen = self.rows | self._keys(self.node.nodes("sortClause")) if self._chooses else NOTHING
        return [self.influences(target.node("expr")) | chosen for target in self.shown]

    @property
    def shown(self) -> list[Node]:
        """The targets that are output columns."""
        return [t for t in self._targets if t.text("resjunk") != "true"]

    @cached_property
    def rows(self) -> Columns:
        """What decides which rows there are."""
        found = self.inputs | self._keys(self.node.nodes("distinctClause"))
        found |= self.influences([self.node.node(f) for f in ("havingQual", *_LIMITS)])
        operation = self.node.node("setOperations")
        if operation and any(n.text("all") == "false" for n in walk(operation)):
            found = found.union(*(branch.output(0) for branch in self._branches))
        if self.node.text("hasTargetSRFs") == "true":  # each value of such a target is a row
            many = [target for target in self.shown if _returns_sets(target)]
            found = found.union(*(self.influences(target.node("expr")) for target in many))
        return found

    @cached_property
    def inputs(self) -> Columns:
        """What decides which rows an aggregate of this query gets."""
        found = self._keys(self.node.nodes("groupClause"))
        for join in self._joins:
            found |= self.influences(join.fields.get("quals"))
        for table in self._tables:
            kind = table.number("rtekind")
            if kind in (_SUBQUERY, _CTE):
                found |= self._inner(table).rows
            elif kind not in (_RELATION, _JOIN, _GROUP):
                found |= self._made(table)
        return found

    @cached_property
    def window(self) -> Columns:
        """What decides the partition and order of a window function."""
        clauses = self.node.nodes("windowClause")
        keys = [k for c in clauses for f in _WINDOW_KEYS for k in c.nodes(f)]
        offsets: list[Value] = [c.node(f) for c in clauses for f in ("startOffset", "endOffset")]
        return self._keys(keys) | self.influences(offsets)

    def column(self, table: int, number: int) -> Columns:
        """What reaches a column of one of its tables, including how it is looked up."""
        found = self.entry_column(table, number)
        if table in self._looked_up_by and table not in self._looking_up:
            self._looking_up.add(table)
            found |= self.influences(self._looked_up_by[table])
            self._looking_up.remove(table)
        return found

    def entry_column(self, table: int, number: int) -> Columns:
        """What reaches a column of one of its tables, however its row was found."""
        entry = self._tables[table - 1]
        kind = entry.number("rtekind")
        if kind == _RELATION:
            return frozenset({(entry.number("relid"), number)})
        if kind in (_SUBQUERY, _CTE):
            return self._inner(entry).output(number)
        if kind in (_JOIN, _GROUP):
            parts = entry.items("joinaliasvars" if kind == _JOIN else "groupexprs")
            return self.influences(parts[number - 1] if number > 0 else parts)
        return self._made(entry)

    def _made(self, entry: Node) -> Columns:
        """What reaches a table that the query makes: values, a function's rows."""
        return self.influences([v for f, v in entry.fields.items() if f not in ("alias", "eref")])

    def _inner(self, entry: Node) -> Query | _Everything:
        subquery = entry.node("subquery")
        if subquery is None:
            scope = self.up(entry.number("ctelevelsup"))
            assert isinstance(scope, Query)  # only a query has a WITH
            return scope._cte(entry.text("ctename"))
        if id(entry) not in self._subqueries:
            self._subqueries[id(entry)] = self.inside(subquery)
        return self._subqueries[id(entry)]

    def _cte(self, name: str) -> Query | _Everything:
        if name not in self._ctes:
            cte = next(c for c in self.node.nodes("cteList") if c.text("ctename") == name)
            query = cte.node("ctequery")
            assert query is not None  # what a WITH of a view holds is a query
            if cte.text("cterecursive") == "true":
                around = [s.node for s in (*self.outer, self) if isinstance(s, Query)]
                self._ctes[name] = _Everything(selected(list(around)))
            else:
                self._ctes[name] = self.inside(query)
        return self._ctes[name]

    @property
    def _branches(self) -> list[Query | _Everything]:
        return [self._inner(table) for table in self._tables if table.node("subquery")]

    @property
    def _chooses(self) -> bool:
        limited = any(self.node.node(field) for field in _LIMITS)
        return limited or self.node.text("hasDistinctOn") == "true"

    @cached_property
    def _joins(self) -> list[Node]:
        found: list[Node] = []
        pending: list[Value] = [self.node.node("jointree")]
        while pending:
            node = pending.pop()
            if isinstance(node, Node) and node.tag in ("FROMEXPR", "JOINEXPR"):
                found.append(node)
                pending += [node.node("larg"), node.node("rarg"), *node.items("fromlist")]
        return found

    @cached_property
    def _looked_up_by(self) -> dict[int, list[Value]]:
        """The join conditions of a table that an outer join may leave empty."""
        found: dict[int, list[Value]] = {}
        for join in self._joins:
            kind = join.number("jointype")
            sides = [join.node("rarg")] if kind in (_LEFT, _FULL) else []
            sides += [join.node("larg")] if kind in (_RIGHT, _FULL) else []
            for node in walk([*sides]):
                if node.number("rtindex"):
                    found.setdefault(node.number("rtindex"), []).append(join.fields.get("quals"))
        return found

    def _keys(self, keys: list[Node]) -> Columns:
        wanted = {key.number("tleSortGroupRef") for key in keys}
        targets = [t for t in self._targets if t.number("ressortgroupref") in wanted]
        return self.influences([t.node("expr") for t in targets])


def _returns_sets(target: Node) -> bool:
    return any("true" in (n.text("funcretset"), n.text("opretset")) for n in walk(target))
