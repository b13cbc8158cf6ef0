"""Which columns a stored query reads, and which of its own columns they reach.

It errs on the safe side: what may have an influence counts as having one. The exception: an inner
join or a filter decides which rows there are, not their values. Where an outer join finds no row,
its columns are NULL, so there they do tell which rows there are.
"""

from __future__ import annotations

from functools import cached_property

from feature_store.database.stored_queries.node_tree import Node, Value, walk
from feature_store.validation.leaks.join_tree import (
    Joined,
    OptionalSide,
    everything,
    needed,
    optional,
)
from feature_store.validation.leaks.query_shape import (
    LIMITS,
    chooses,
    compares,
    is_one_row,
    limited,
    operations,
    row_makers,
)

# The catalog numbers columns from 1; 0 is the whole row, and below are the system's columns.
Column = tuple[int, int]
Columns = frozenset[Column]
NOTHING: Columns = frozenset()
# Not a column, but that the relation has rows, whatever is in them.
ROWS = -8

# Sets of columns start at the lowest system column, so bit 8 is column 1.
_FIRST_BIT = 7
# RTEKind of PostgreSQL 15 to 18.
_RELATION, _SUBQUERY, _JOIN, _CTE, _GROUP = 0, 1, 2, 6, 9
_WINDOW_KEYS = ("partitionClause", "orderClause")


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
    def arrival(self) -> Columns:
        """What decides the order in which an aggregate gets its rows, if it has none of its own."""
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
            return query.rows | query.order | query.output(0)
        found = NOTHING.union(*(self.influences(part) for part in value.fields.values()))
        if value.tag == "AGGREF":
            scope = self.up(value.number("agglevelsup"))
            found |= scope.inputs | scope.arrival
        if value.tag == "WINDOWFUNC":
            found |= self.inputs | self.arrival | self.window
        return found

    def inside(self, node: Node) -> Query:
        """The scope of a query inside this one."""
        return Query(node, (*self.outer, self))

    def up(self, levels: int) -> Scope:
        """The scope so many levels further out."""
        return self.outer[-levels] if levels else self


class _Everything:
    """A recursive query: everything it reads reaches everything."""

    def __init__(self, rows: Columns) -> None:
        self.rows = self.presence = self.order = rows

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
        self._looking_up: set[OptionalSide] = set()

    def output(self, number: int) -> Columns:
        """What reaches one output column; 0 is all of them."""
        return self.columns[number - 1] if number > 0 else NOTHING.union(*self.columns)

    @cached_property
    def columns(self) -> list[Columns]:
        """What reaches each output column."""
        # A constant may tell from which branch a row comes.
        chosen = self.presence if self._operations else NOTHING
        if chooses(self.node):
            chosen |= self.rows | self.order
        return [self.value(target) | chosen for target in self.shown]

    def value(self, target: Node) -> Columns:
        """What reaches a target's value."""
        if self._operations:  # its expression is the first branch's
            return NOTHING.union(*(b.output(target.number("resno")) for b in self._branches))
        return self.influences(target.node("expr"))

    @property
    def shown(self) -> list[Node]:
        """The targets that are output columns."""
        return [t for t in self._targets if t.text("resjunk") != "true"]

    @cached_property
    def rows(self) -> Columns:
        """What decides which rows there are, and how often."""
        found = self._kept | self._keys(self.node.nodes("distinctClause"))
        if not is_one_row(self.node):
            found |= self.inputs
        if limited(self.node):  # the order decides which
            found |= self.order
        if compares(self.node):
            found = found.union(*(branch.output(0) for branch in self._branches))
        return found

    @cached_property
    def presence(self) -> Columns:
        """What decides whether a row is there, which may be less than what repeats it."""
        if chooses(self.node):
            return self.rows
        if is_one_row(self.node):
            return self._kept
        found = self._kept | self._keys(self.node.nodes("groupClause"))
        found = found.union(*(branch.presence for branch in self._branches if self._operations))
        return found | self._presence_of(needed(self.node.node("jointree")))

    @cached_property
    def _kept(self) -> Columns:
        """What decides which of its groups and values become rows."""
        made = [self.value(target) for target in row_makers(self.node, self.shown)]
        asked = self.influences([self.node.node(field) for field in ("havingQual", *LIMITS)])
        return asked.union(*made)

    @cached_property
    def inputs(self) -> Columns:
        """What decides which rows an aggregate of this query gets."""
        found = self.influences(everything(self.node.node("jointree")).conditions)
        found |= self._keys(self.node.nodes("groupClause"))
        return found.union(*(self._rows_of(table, often=True) for table in self._tables))

    @cached_property
    def arrival(self) -> Columns:
        """What decides the order in which it gets its rows: that of its subqueries."""
        inner = [t for t in self._tables if t.number("rtekind") in (_SUBQUERY, _CTE)]
        return NOTHING.union(*(self._inner(table).order for table in inner))

    @cached_property
    def order(self) -> Columns:
        """What decides the order of its own rows."""
        return self._keys(self.node.nodes("sortClause")) | self.window | self.arrival

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
        for side in self._sides:
            if table in side.tables and side not in self._looking_up:
                self._looking_up.add(side)
                found |= self._presence_of(side.decided_by)
                self._looking_up.remove(side)
        return found

    def _presence_of(self, joined: Joined) -> Columns:
        """What decides whether these tables have a row together."""
        tables = [self._tables[place - 1] for place in joined.tables]
        found = self.influences(joined.conditions)
        return found.union(*(self._rows_of(table, often=False) for table in tables))

    def _rows_of(self, table: Node, *, often: bool) -> Columns:
        """What decides which rows a table has; with how often, if that matters."""
        kind = table.number("rtekind")
        if kind in (_SUBQUERY, _CTE):
            return self._inner(table).rows if often else self._inner(table).presence
        if kind == _RELATION:
            return self.has_rows(table.number("relid"))
        return NOTHING if kind in (_JOIN, _GROUP) else self._made(table)

    def has_rows(self, relation: int) -> Columns:
        """That a relation has rows."""
        return frozenset({(relation, ROWS)})

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

    @cached_property
    def _operations(self) -> list[Node]:
        return operations(self.node)

    @cached_property
    def _sides(self) -> list[OptionalSide]:
        return optional(self.node.node("jointree"))

    def _keys(self, keys: list[Node]) -> Columns:
        wanted = {key.number("tleSortGroupRef") for key in keys}
        targets = [t for t in self._targets if t.number("ressortgroupref") in wanted]
        return NOTHING.union(*map(self.value, targets))
