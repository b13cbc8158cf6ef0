"""The dependency closure: everything that decides what a relation shows, down to the tables.

It is taken from the stored rules themselves, not from ``pg_depend``, which leaves out the server's
own tables and views. Those can depend on the time, too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from feature_store.connection import Connection
from feature_store.database.stored_queries.node_tree import Value, parse_tree, walk
from feature_store.database.stored_queries.row_security import subjects
from feature_store.relation_name import Name

VIEW, MATERIALIZED = "v", "m"
_TABLES = ("r", "p")
_HEAP = 2

_FACTS = """
SELECT
    c.oid,
    n.nspname,
    c.relname,
    c.relkind::text,
    c.relowner,
    c.relam,
    coalesce((
        SELECT bool_or(o.option_value::boolean)
        FROM pg_options_to_table(c.reloptions) AS o
        WHERE o.option_name = 'security_invoker'
    ), FALSE),
    ARRAY(
        SELECT ROW(a.attnum, a.attname::text, a.attgenerated::text)
        FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attnum
    ),
    (
        SELECT r.ev_action::text
        FROM pg_catalog.pg_rewrite AS r
        WHERE r.ev_class = c.oid AND r.ev_type = '1'
    ),
    ARRAY(
        SELECT ROW(p.polname::text, p.polqual::text)
        FROM pg_catalog.pg_policy AS p
        WHERE p.polrelid = c.oid AND c.oid = ANY(%(in_force)s)
            AND p.polcmd IN ('r', '*') AND p.polqual IS NOT NULL
        ORDER BY p.polname
    ),
    ARRAY(
        SELECT ROW(d.adnum, d.adbin::text)
        FROM pg_catalog.pg_attrdef AS d
        INNER JOIN pg_catalog.pg_attribute AS a ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE d.adrelid = c.oid AND a.attgenerated <> ''
        ORDER BY d.adnum
    ),
    ARRAY(SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i WHERE i.inhparent = c.oid ORDER BY 1),
    ARRAY(
        SELECT ROW(a.attname::text, pg_get_expr(d.adbin, d.adrelid))
        FROM pg_catalog.pg_attrdef AS d
        INNER JOIN pg_catalog.pg_attribute AS a ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE d.adrelid = c.oid AND a.attgenerated = 's'
    )
FROM pg_catalog.pg_class AS c
INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
WHERE c.oid = ANY(%(oids)s)
"""


@dataclass(frozen=True, eq=False)
class Member:
    """One relation of a closure, as the catalog has it.

    Attributes:
        oid: its OID.
        name: its name.
        kind: the catalog's letter for its kind.
        owner: its owner's OID.
        plain_storage: whether the server itself stores its rows, if it has any.
        asks_as_reader: whether it is a view that answers with the rights of whoever asks.
        columns: column names by number.
        query: the query of a view; None for any other relation.
        policies: the conditions of its row-level policies, by policy, if they apply to a role that
            reads it.
        generated: the expressions of its generated columns, by number.
        virtual: those of them that every query computes again.
        stored: in words, what is computed and stored in a column, by the column's name.
        reads: the OIDs of the relations that it reads, sorted.
        parts: those of them that are partitions of it, or inherit from it.
    """

    oid: int
    name: Name
    kind: str
    owner: int
    plain_storage: bool
    asks_as_reader: bool
    columns: dict[int, str]
    query: Value
    policies: dict[str, Value]
    generated: dict[int, Value]
    virtual: frozenset[int]
    stored: dict[str, str]
    reads: tuple[int, ...]
    parts: frozenset[int]

    @property
    def is_table(self) -> bool:
        """Whether it holds rows that somebody writes into it."""
        return self.kind in _TABLES

    def trees(self) -> Iterator[tuple[str, Value]]:
        """Every tree that is evaluated when it is read, with a description."""
        if self.query is not None:
            yield "its query", self.query
        for policy, tree in self.policies.items():
            yield f"its row-level policy {policy}", tree
        for number in sorted(self.virtual):
            yield f"its generated column {self.columns[number]}", self.generated[number]


@dataclass(frozen=True, eq=False)
class Closure:
    """Some relations, and everything below them.

    Attributes:
        roots: the OIDs of the relations it starts from.
        members: every relation by its OID; a relation comes after one that reads it.
    """

    roots: tuple[int, ...]
    members: dict[int, Member]

    def beginning_with(self, roots: Sequence[int]) -> Closure:
        """The part of the closure with these relations and what is below them."""
        order = list(dict.fromkeys(roots))
        found = set(order)
        for oid in order:
            new = [o for o in self.members[oid].reads if o in self.members and o not in found]
            found.update(new)
            order += new
        return Closure(tuple(roots), {oid: self.members[oid] for oid in order})

    def below(self, oid: int) -> frozenset[int]:
        """Everything that a relation reads, at any depth; itself only if it reads itself."""
        found: set[int] = set()
        pending = list(self.members[oid].reads)
        while pending:
            read = pending.pop()
            if read in self.members and read not in found:
                found.add(read)
                pending.extend(self.members[read].reads)
        return frozenset(found)

    def way_up(self, oid: int) -> tuple[Member, ...]:
        """The shortest way from a relation up to one of the roots, both ends included."""
        came_from: dict[int, int | None] = dict.fromkeys(self.roots)
        pending = list(self.roots)
        for current in pending:
            for read in self.members[current].reads:
                if read in self.members and read not in came_from:
                    came_from[read] = current
                    pending.append(read)
        way: list[Member] = []
        step: int | None = oid
        while step is not None:
            way.append(self.members[step])
            step = came_from[step]
        return tuple(way)

    def plain_views(self, above: Iterable[int]) -> frozenset[int]:
        """The plain views among these relations, and the plain views that those read.

        The session that reads the relations computes them, with its own settings.
        """
        found: set[int] = set()
        pending = list(above)
        while pending:
            member = self.members.get(pending.pop())
            if member and member.kind == VIEW and member.oid not in found:
                found.add(member.oid)
                pending.extend(member.reads)
        return frozenset(found)


def read_closure(
    connection: Connection, roots: Iterable[Name], leaves: Collection[str] = ()
) -> Closure:
    """Read the closure of relations from the catalog, which every role may read.

    Roots that do not exist are left out; others report a broken contract.

    Args:
        connection: a session of any role.
        roots: where it starts.
        leaves: relations, by name, whose query does not count, nor what only it reads.
    """
    wanted = sorted(set(roots))
    found = connection.execute(
        "SELECT c.oid FROM unnest(%s::text[], %s::text[]) AS w (schema, relation) "
        "INNER JOIN pg_catalog.pg_namespace AS n ON n.nspname = w.schema "
        "INNER JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = w.relation "
        "ORDER BY w.schema, w.relation",
        ([name.schema for name in wanted], [name.relation for name in wanted]),
    ).fetchall()
    roots_found = tuple(oid for (oid,) in found)
    in_force: frozenset[int] = frozenset()
    while True:
        members = _members(connection, roots_found, in_force, leaves)
        # What a policy reads is part of the closure, and may have policies of its own.
        applying = in_force | subjects(connection, members, roots_found).keys()
        if applying == in_force:
            return Closure(roots_found, members)
        in_force = applying


def _members(
    connection: Connection,
    roots: tuple[int, ...],
    in_force: frozenset[int],
    leaves: Collection[str],
) -> dict[int, Member]:
    members: dict[int, Member] = {}
    level = list(roots)
    while level:
        values = {"oids": level, "in_force": sorted(in_force)}
        new = {m.oid: m for m in map(_member, map(_frozen, connection.execute(_FACTS, values)))}
        for member in [m for m in new.values() if str(m.name) in leaves]:
            new[member.oid] = replace(member, query=None, reads=())
        members |= {oid: new[oid] for oid in level if oid in new}
        reads = dict.fromkeys(read for member in new.values() for read in member.reads)
        level = [oid for oid in reads if oid not in members]
    return members


def _frozen(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(tuple(value) if isinstance(value, list) else value for value in row)


# Cached, because `apply` reads the same relations once for each relation that it adopts.
@lru_cache(maxsize=256)
def _member(row: tuple[Any, ...]) -> Member:
    oid, schema, relation, kind, owner, access, asks, *rest = row
    columns, query, policies, generated, children, stored = rest
    query_tree = None if query is None else parse_tree(query)
    policy_trees = {name: parse_tree(text) for name, text in policies}
    read = {n.number("relid") for n in walk([query_tree, *policy_trees.values()])}
    # A view of PostgreSQL 15 names itself among what it reads.
    read -= {0, oid}
    return Member(
        oid=oid,
        name=Name(schema, relation),
        kind=kind,
        owner=owner,
        plain_storage=kind in (VIEW, "p") or (kind in ("r", MATERIALIZED) and access == _HEAP),
        asks_as_reader=asks,
        columns={int(number): name for number, name, _ in columns},
        query=query_tree,
        policies=policy_trees,
        generated={int(number): parse_tree(text) for number, text in generated},
        virtual=frozenset(int(number) for number, _, how in columns if how == "v"),
        stored=dict(stored),
        reads=tuple(sorted(read | set(children))),
        parts=frozenset(children),
    )
