"""The state of a table's rows: two states are equal only if no row came, went or changed.

Each version of a row has its own place and transaction (``ctid``, ``xmin``), and an UPDATE makes a
new version. So the set of these pairs says exactly which rows there are, without reading their
values. It is reduced to a count and a sum of 64-bit hashes: the order does not matter, and changes
do not cancel. VACUUM, ANALYZE, freezing and rolled-back changes do not affect it.

Transaction numbers are reused after about two thousand million transactions: compare states only
if there are fewer between them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from psycopg import sql

from feature_store.audit.last_refresh_state import LastStates
from feature_store.connection import Connection, one_value
from feature_store.database.stored_queries.calls import FIRST_OF_USERS
from feature_store.relation_name import Name, beside_values

_NOTHING: LastStates = {}


@dataclass(frozen=True)
class Found:
    """A relation, and whether its rows have a state that can be read.

    Attributes:
        oid: of the relation.
        name: ``schema.relation``.
        identifier: the name as quoted SQL, for a query that binds values.
        kind: the catalog's letter.
        owner: its owner's OID.
        version: the transaction that wrote its row of ``pg_class``; see `last_refresh_state`.
        doubt: why no state can be read, in words; None if it can.
    """

    oid: int
    name: str
    identifier: sql.Identifier
    kind: str
    owner: int
    version: str
    doubt: str | None


def find_relations(
    connection: Connection, oids: Iterable[int], readers: Iterable[int] = ()
) -> list[Found]:
    """Look relations up.

    Args:
        connection: a pinned session.
        oids: of the relations; dropped ones are left out.
        readers: the roles that read them besides the session's own. If a row-level policy applies
            to any of them, nobody can tell which rows they see.
    """
    return _look_up(connection, list(oids), [], list(readers))


def find_named(connection: Connection, *names: Name) -> list[Found]:
    """Look relations up; one is there twice if the transaction sees two versions of its entry.

    Raises:
        psycopg.ProgrammingError: there is none of such a name.
    """
    return _look_up(connection, [], [name.quoted for name in names], []) if names else []


def _look_up(
    connection: Connection, oids: list[int], named: list[str], readers: list[int]
) -> list[Found]:
    rows = connection.execute(
        """
        SELECT
            c.oid,
            n.nspname,
            c.relname,
            c.relkind::text,
            c.relowner,
            c.xmin::text,
            CASE
                WHEN c.oid < %(first_user_oid)s THEN 'it belongs to the server itself'
                WHEN c.relkind = 'f' THEN 'it is a foreign table'
                WHEN c.relkind NOT IN ('r', 'p', 'm', 'v')
                    THEN 'it is a relation of kind ' || c.relkind::text
                WHEN c.relkind IN ('r', 'm') AND a.amname <> 'heap'
                    THEN 'its rows are stored by ' || a.amname
                WHEN NOT c.relispopulated THEN 'it has never been filled'
                WHEN c.relkind <> 'v' AND NOT (
                    has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
                ) THEN quote_ident(current_user) || ' may not read it'
                WHEN c.relrowsecurity AND EXISTS (
                    SELECT FROM pg_catalog.pg_roles AS r
                    WHERE (r.oid = ANY(%(readers)s) OR r.rolname = current_user)
                        AND NOT r.rolsuper AND NOT r.rolbypassrls
                        AND (c.relforcerowsecurity OR NOT pg_has_role(r.oid, c.relowner, 'USAGE'))
                ) THEN 'row-level security decides who sees which of its rows'
            END
        FROM pg_catalog.pg_class AS c
        INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
        LEFT JOIN pg_catalog.pg_am AS a ON c.relam = a.oid
        WHERE c.oid = ANY(%(oids)s::oid[] || %(named)s::text[]::regclass[]::oid[])
        ORDER BY n.nspname, c.relname
        """,
        {
            "oids": oids,
            "named": named,
            "readers": readers,
            "first_user_oid": FIRST_OF_USERS,
        },
    ).fetchall()
    return [
        Found(oid, f"{schema}.{relation}", beside_values(schema, relation), *rest)
        for oid, schema, relation, *rest in rows
    ]


def with_children(connection: Connection, oids: Iterable[int]) -> list[int]:
    """These tables and all that inherit from them, partitions included."""
    rows = connection.execute(
        """
        WITH RECURSIVE family AS (
            SELECT unnest(%s::oid[]) AS oid
            UNION
            SELECT i.inhrelid
            FROM pg_catalog.pg_inherits AS i
            INNER JOIN family AS f ON i.inhparent = f.oid
        )
        SELECT oid FROM family
        """,
        (list(oids),),
    ).fetchall()
    return [oid for (oid,) in rows]


def row_state(connection: Connection, found: Found, last_states: LastStates = _NOTHING) -> str:
    """Read the state of a table's or materialized view's own rows, as the transaction sees them.

    Args:
        connection: a pinned session.
        found: the relation.
        last_states: what refreshes left. A materialized view that is unchanged since is not read.

    Raises:
        psycopg.Error: it cannot be read.
    """
    before = last_states.get(found.oid)
    place_and_shape = _place_and_shape(connection, found)
    untouched = found.kind == "m" and before and before.version == found.version
    if untouched and before and before.state.startswith(f"{place_and_shape}/"):
        return before.state
    return f"{place_and_shape}/{_versions(connection, found)}"


def rows_of(state: str) -> int:
    """The number of rows of a state."""
    _oid, _file, _shape, rows, *_hashes = state.split("/")
    return int(rows)


def versions_of(state: str) -> str:
    """The part of a state that names the row versions, without file and columns."""
    _oid, _file, _shape, versions = state.split("/", maxsplit=3)
    return versions


def _place_and_shape(connection: Connection, found: Found) -> str:
    return _text(
        connection,
        sql.SQL(
            """
            SELECT concat_ws(
                '/',
                %(oid)s,
                -- Another file: TRUNCATE, or written anew.
                coalesce(pg_relation_filenode(%(oid)s::oid), 0),
                (SELECT shape.hash FROM ({shape}) AS shape)
            )
            FROM (VALUES (1)) AS one
            -- To read from it locks it: nobody may rewrite it until this transaction ends. So the
            -- file that is told here is the one that the refresh reads.
            LEFT JOIN (SELECT FROM ONLY {table} LIMIT 0) AS locked ON TRUE
            """
        ).format(shape=sql.SQL(_SHAPE), table=found.identifier),
        found,
    )


def _versions(connection: Connection, found: Found) -> str:
    return _text(
        connection,
        sql.SQL(
            """
            SELECT concat_ws(
                '/', count(*), sum(hashtidextended(t.ctid, t.xmin::text::bigint))
            )
            FROM ONLY {table} AS t
            """
        ).format(table=found.identifier),
        found,
    )


def _text(connection: Connection, query: sql.Composed, found: Found) -> str:
    text: str = one_value(connection, query, {"oid": found.oid})
    return text


# What can change a value without a new row version: a column dropped and added again with a
# default, a virtual column's expression, an enumeration's labels. The catalog's own row versions
# show such changes, even if they were undone.
_SHAPE = """
SELECT hashtextextended(
    string_agg(
        concat_ws('/', a.attnum, a.atttypid, a.xmin::text, d.xmin::text, e.versions),
        ',' ORDER BY a.attnum
    ), 0
) AS hash
FROM pg_catalog.pg_attribute AS a
INNER JOIN pg_catalog.pg_type AS y ON a.atttypid = y.oid
LEFT JOIN pg_catalog.pg_attrdef AS d
    ON a.attrelid = d.adrelid AND a.attnum = d.adnum AND a.attgenerated <> ''
LEFT JOIN LATERAL (
    SELECT string_agg(concat_ws(':', g.oid, g.xmin::text), ',' ORDER BY g.oid) AS versions
    FROM pg_catalog.pg_enum AS g
    WHERE g.enumtypid IN (y.oid, y.typelem, y.typbasetype)
) AS e ON TRUE
WHERE a.attrelid = %(oid)s AND a.attnum > 0 AND NOT a.attisdropped
"""
