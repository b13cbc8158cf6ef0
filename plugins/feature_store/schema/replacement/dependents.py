"""What replacing a relation requires: the store's relations that read it are built again, too.

The query of a view or materialized view is bound to what it reads by OID, so it would keep reading
the old relation. The store's own readers are built again with it. A user's view is kept, and its
query is created again when the new relations have the old names. Anything else that depends on the
old relation is refused.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

from feature_store.connection import Connection
from feature_store.declarations.store_definition import Relation, Store
from feature_store.relation_name import Name
from feature_store.schema.replacement.columns_gone import used_columns_gone


@dataclass(frozen=True)
class Old:
    """A live relation to be replaced, or a user's view that reads one.

    Attributes:
        oid: its OID.
        name: its name.
        materialized: whether it is a materialized view, else it is a plain view.
        query: its query, as the server writes it.
        populated: whether it can be read.
    """

    oid: int
    name: Name
    materialized: bool
    query: str
    populated: bool

    @property
    def kind(self) -> str:
        """Its kind in SQL statements."""
        return "MATERIALIZED VIEW" if self.materialized else "VIEW"


@dataclass(frozen=True)
class Rebuilt:
    """A relation that is built beside.

    Attributes:
        relation: as its file says.
        old: the relation that it replaces; None if there is none.
        from_file: whether it is built from its file; else from the old one's query.
        filled: whether it is filled before the swap.
    """

    relation: Relation
    old: Old | None
    from_file: bool
    filled: bool

    @property
    def name(self) -> Name:
        """The name that it will have."""
        return self.relation.name


@dataclass(frozen=True)
class Replacement:
    """Everything that replacing some relations requires.

    Attributes:
        named: the relations that were named.
        rebuilt: these, the store's relations that read them, and new ones; in order.
        views: the user's views that read one of them.
        refusals: what cannot be kept, in words; nothing is replaced while there is one.
    """

    named: tuple[str, ...]
    rebuilt: tuple[Rebuilt, ...]
    views: tuple[Old, ...]
    refusals: tuple[str, ...]

    @property
    def along(self) -> tuple[str, ...]:
        """What is built again although nobody named it."""
        return tuple(str(r.name) for r in self.rebuilt if r.old and str(r.name) not in self.named)


def plan_replacement(
    connection: Connection, store: Store, named: Collection[str], created: Collection[str]
) -> Replacement:
    """Find out what replacing requires. Reads only the catalog, and runs no query.

    Args:
        connection: a pinned session.
        store: what the files say.
        named: relations to replace; each exists.
        created: relations that do not exist yet.
    """
    olds: dict[Name, Old] = {}
    views: dict[Name, Old] = {}
    reads: dict[Name, set[Name]] = {r.name: set() for r in store.relations}
    ours = {r.name: r for r in store.relations}
    refusals = _no_views(connection, named)
    pending = [old for name in ours if str(name) in named for old in find_old(connection, name)]
    while pending:
        old = pending.pop()
        if old.name in olds:
            continue
        olds[old.name] = old
        refusals += _refusals(connection, old)
        if str(old.name) in named:
            refusals += used_columns_gone(connection, store, ours[old.name], old.oid)
        for reader in readers_of(connection, old):
            reads.setdefault(reader.name, set()).add(old.name)
            if reader.name in ours:
                pending.append(reader)
            elif reader.materialized:
                refusals.append(
                    f"{reader.name}, a materialized view of yours, reads {old.name}.\n"
                    f"Next: save its definition, drop it, apply, and create it again"
                )
            else:
                views[reader.name] = reader
    refusals += [r for view in views.values() for r in _owner_refusals(connection, view)]
    members = {n for n in ours if n in olds or str(n) in created}
    for name in members:
        if str(name) in named or name not in olds:
            reads[name] = set(ours[name].file.reads)
    ordered = TopologicalSorter({n: sorted(reads[n] & members) for n in sorted(members)})
    order = list(ordered.static_order())
    return Replacement(
        named=tuple(str(r.name) for r in store.relations if str(r.name) in named),
        rebuilt=_with_filling(
            [Rebuilt(ours[n], olds.get(n), str(n) in named or n not in olds, False) for n in order],
            reads,
        ),
        views=tuple(views[n] for n in sorted(views)),
        refusals=tuple(dict.fromkeys(refusals)),
    )


def _with_filling(rebuilt: list[Rebuilt], reads: dict[Name, set[Name]]) -> tuple[Rebuilt, ...]:
    """Fill what was filled, and new relations that a filled one reads."""
    read_by_filled: set[Name] = set()
    found = []
    for one in reversed(rebuilt):
        filled = one.old.populated if one.old else one.name in read_by_filled
        if filled:
            read_by_filled |= reads[one.name]
        filled = filled and one.relation.file.materialized
        found.append(Rebuilt(one.relation, one.old, one.from_file, filled))
    return tuple(reversed(found))


_OLD = """
SELECT DISTINCT
    c.oid, n.nspname, c.relname, c.relkind = 'm', pg_get_viewdef(c.oid), c.relispopulated
FROM pg_catalog.pg_class AS c
INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
"""


def find_old(connection: Connection, name: Name) -> list[Old]:
    """The view or materialized view of a name, or nothing."""
    rows = connection.execute(
        _OLD + "WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('v', 'm')",
        (name.schema, name.relation),
    ).fetchall()
    return [_old(row) for row in rows]


def _no_views(connection: Connection, named: Collection[str]) -> list[str]:
    rows = connection.execute(
        "SELECT concat_ws('.', n.nspname, c.relname) FROM pg_catalog.pg_class AS c "
        "INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid "
        "WHERE concat_ws('.', n.nspname, c.relname) = ANY(%s) AND c.relkind NOT IN ('v', 'm') "
        "ORDER BY 1",
        (list(named),),
    ).fetchall()
    return [
        f"{name} is not a view or materialized view, and apply never drops what holds rows of "
        "its own.\nNext: rename it yourself, then apply without naming it"
        for (name,) in rows
    ]


def _old(row: tuple[Any, ...]) -> Old:
    oid, schema, relation, materialized, query, populated = row
    return Old(oid, Name(schema, relation), materialized, query.rstrip().rstrip(";"), populated)


def readers_of(connection: Connection, old: Old) -> list[Old]:
    """The views and materialized views that read one."""
    rows = connection.execute(
        _OLD
        + """
        INNER JOIN pg_catalog.pg_rewrite AS r ON c.oid = r.ev_class AND r.rulename = '_RETURN'
        INNER JOIN pg_catalog.pg_depend AS d
            ON r.oid = d.objid
            AND d.classid = 'pg_catalog.pg_rewrite'::regclass
            AND d.refclassid = 'pg_catalog.pg_class'::regclass
        WHERE d.refobjid = %s AND c.oid <> %s
        ORDER BY 2, 3
        """,
        (old.oid, old.oid),
    ).fetchall()
    return [_old(row) for row in rows]


def lost_with(connection: Connection, old: Old) -> list[str]:
    """What depends on a relation and would be lost with it, or would block its removal.

    Not what reads it.
    """
    rows = connection.execute(
        """
        SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid)
        FROM pg_catalog.pg_class AS c
        INNER JOIN pg_catalog.pg_type AS t ON c.reltype = t.oid
        INNER JOIN pg_catalog.pg_depend AS d
            ON (d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = c.oid)
            OR (
                d.refclassid = 'pg_catalog.pg_type'::regclass AND d.refobjid IN (t.oid, t.typarray)
            )
        LEFT JOIN pg_catalog.pg_class AS i
            ON d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = i.oid
        LEFT JOIN pg_catalog.pg_rewrite AS r
            ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
        WHERE c.oid = %s
            -- Its own indexes, storage and type go and come with it; its readers are seen to.
            AND i.relkind IS DISTINCT FROM 'i' AND i.relkind IS DISTINCT FROM 't'
            AND r.rulename IS DISTINCT FROM '_RETURN'
            AND NOT (
                d.classid = 'pg_catalog.pg_type'::regclass AND d.objid IN (t.oid, t.typarray)
            )
        UNION ALL
        SELECT 'extension ' || quote_ident(e.extname) || ', whose member it is'
        FROM pg_catalog.pg_depend AS d
        INNER JOIN pg_catalog.pg_extension AS e ON d.refobjid = e.oid
        WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = %s
            AND d.refclassid = 'pg_catalog.pg_extension'::regclass
        UNION ALL
        SELECT 'security label by ' || l.provider
        FROM pg_catalog.pg_seclabel AS l
        WHERE l.classoid = 'pg_catalog.pg_class'::regclass AND l.objoid = %s
        UNION ALL
        SELECT 'access method ' || a.amname
        FROM pg_catalog.pg_class AS c INNER JOIN pg_catalog.pg_am AS a ON c.relam = a.oid
        WHERE c.oid = %s AND a.amname <> 'heap'
        ORDER BY 1
        """,
        (old.oid,) * 4,
    ).fetchall()
    return [what for (what,) in rows]


def _refusals(connection: Connection, old: Old) -> list[str]:
    return [
        f"Replacing {old.name} would lose: {what}.\n"
        f"Next: drop that yourself, apply, and create it again"
        for what in lost_with(connection, old)
    ] + _owner_refusals(connection, old)


def _owner_refusals(connection: Connection, old: Old) -> list[str]:
    row = connection.execute(
        "SELECT quote_ident(r.rolname), quote_ident(current_user), r.rolsuper "
        "FROM pg_catalog.pg_class AS c INNER JOIN pg_catalog.pg_roles AS r ON c.relowner = r.oid "
        "WHERE c.oid = %s AND NOT pg_has_role(r.oid, 'USAGE')",
        (old.oid,),
    ).fetchone()
    if row is None:
        return []
    owner, me, is_superuser = row
    otherwise = "" if is_superuser else f", or GRANT {owner} TO {me}"
    return [
        f"{old.name} belongs to {owner}, and {me} may not replace it.\n"
        f"Next: apply as {owner}{otherwise}"
    ]
