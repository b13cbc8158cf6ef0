"""Who owns the store's schemas, and who else may create in them.

Readers call functions in these schemas, which run with their owner's privileges. The owner of a
schema can rename it and create views under the old name. Whoever may create in it can add a
function with the same name and other argument types. So only the store's owner may do either, or a
superuser, who may do anything anyway.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from feature_store.connection import Connection, one_value
from feature_store.relation_name import AUDIT_SCHEMA, LOG_SCHEMA, Name
from feature_store.schema.governance.governance import GOVERNANCE_FUNCTIONS, GOVERNANCE_TABLES
from feature_store.schema.privileges.registry_writers import writer_problems

_WORDS = {
    "owns": "{what} belongs to {who}, not to the store's owner {keeper} or a superuser: {who} "
    "can replace it, and then decides what readers are told.\nNext: ALTER {what} OWNER TO "
    "{keeper}{after}",
    "creates": "{who} may create in the {what}, where readers call functions of the store: they "
    "could call a function of {who} with the same name instead.\nNext: REVOKE CREATE ON {what} "
    "FROM {who}",
}


def schema_problems(connection: Connection, governed: Collection[str]) -> list[str]:
    """Name the store's objects that somebody else owns or may write, and schemas open to others.

    Reads only the catalog. The store's owner is the owner of the audit schema's tables; before
    these exist, the session's role.

    Args:
        connection: a pinned session.
        governed: the store's governed schemas.
    """
    found = connection.execute(
        _FOUND,
        {
            "schemas": [*governed, AUDIT_SCHEMA, LOG_SCHEMA],
            "audit": AUDIT_SCHEMA,
            "logs": LOG_SCHEMA,
            "governed": list(governed),
            "functions": list(GOVERNANCE_FUNCTIONS),
            "tables": list(GOVERNANCE_TABLES),
        },
    ).fetchall()
    return [
        _WORDS[how].format(what=what, who=who, keeper=keeper, after=_after(what, who))
        for how, what, who, keeper in found
    ] + writer_problems(connection, governed)


def store_owner(connection: Connection) -> str | None:
    """The role that owns the store, as SQL names it; None before there is a store."""
    # From the catalog, which everybody may read.
    row = connection.execute(
        "SELECT c.relowner::regrole::text FROM pg_catalog.pg_class AS c "
        "INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid "
        "WHERE n.nspname = %s AND c.relname = 'migration' AND c.relkind = 'r'",
        (AUDIT_SCHEMA,),
    ).fetchone()
    return row[0] if row else None


def how_to_own(connection: Connection, name: Name, arguments: str | None) -> str | None:
    """How to give the current role what it may not replace; None if it may.

    Args:
        connection: a pinned session, as the role that replaces.
        name: a function, table or view.
        arguments: the types of a function's arguments; None for a table or view.
    """
    row = connection.execute(
        """
        SELECT t.kind || t.what, quote_ident(current_user), t.owner::regrole::text
        FROM (
            SELECT 'FUNCTION ' AS kind, p.oid::regprocedure::text AS what, p.proowner AS owner
            FROM pg_catalog.pg_proc AS p
            INNER JOIN pg_catalog.pg_namespace AS n ON p.pronamespace = n.oid
            WHERE n.nspname = %(schema)s AND p.proname = %(name)s
                AND oidvectortypes(p.proargtypes) = %(arguments)s
            UNION ALL
            SELECT
                CASE c.relkind WHEN 'v' THEN 'VIEW ' ELSE 'TABLE ' END,
                c.oid::regclass::text, c.relowner
            FROM pg_catalog.pg_class AS c
            INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
            WHERE n.nspname = %(schema)s AND c.relname = %(name)s AND %(arguments)s::text IS NULL
        ) AS t
        WHERE NOT pg_has_role(t.owner, 'USAGE')
        """,
        {"schema": name.schema, "name": name.relation, "arguments": arguments},
    ).fetchone()
    if row is None:
        return None
    what, me, owner = row
    return f"As {owner} or a superuser: ALTER {what} OWNER TO {me}; then apply again."


@contextmanager
def as_the_owner(connection: Connection) -> Iterator[None]:
    """Create as the store's owner, even if the session is a superuser; within a transaction.

    Otherwise new functions would belong to the superuser and run with all of its rights.
    """
    owner = store_owner(connection)
    me: str = one_value(connection, "SELECT quote_ident(current_user)")
    if owner in (None, me):
        yield
        return
    connection.execute(f"SET LOCAL ROLE {owner}".encode())
    yield  # an error ends the transaction, and the role with it
    connection.execute(f"SET LOCAL ROLE {me}".encode())


def _after(what: str, who: str) -> str:
    """Give the old owner of a schema access to his own tables in it."""
    return f"; GRANT USAGE ON {what} TO {who}" if what.startswith("SCHEMA ") else ""


_FOUND = """
WITH keeper AS (
    SELECT coalesce(
        (
            SELECT c.relowner
            FROM pg_catalog.pg_class AS c
            INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
            WHERE n.nspname = %(audit)s AND c.relname = 'migration' AND c.relkind = 'r'
        ),
        (SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user)
    ) AS oid
),

thing AS (
    SELECT 'SCHEMA ' || quote_ident(n.nspname) AS what, n.nspowner AS owner, FALSE AS is_record
    FROM pg_catalog.pg_namespace AS n
    WHERE n.nspname = ANY(%(schemas)s)
    UNION ALL
    SELECT 'FUNCTION ' || f.oid::regprocedure::text, f.proowner, n.nspname = %(audit)s
    FROM pg_catalog.pg_proc AS f
    INNER JOIN pg_catalog.pg_namespace AS n ON f.pronamespace = n.oid
    WHERE n.nspname = ANY(%(governed)s) AND f.proname = ANY(%(functions)s)
        OR n.nspname = %(audit)s
    UNION ALL
    SELECT 'TABLE ' || c.oid::regclass::text, c.relowner, n.nspname = %(logs)s
    FROM pg_catalog.pg_class AS c
    INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
    WHERE n.nspname = ANY(%(governed)s) AND c.relname = ANY(%(tables)s)
        -- What is put into a log is put there with the owner's privileges.
        OR n.nspname = %(logs)s AND c.relkind IN ('r', 'p', 'f', 'v')
)

SELECT 'owns' AS how, t.what, r.oid::regrole::text AS who, k.oid::regrole::text AS keeper
FROM thing AS t
CROSS JOIN keeper AS k
INNER JOIN pg_catalog.pg_roles AS r ON t.owner = r.oid
-- What functions of the record do, they do with their owner's privileges: not a superuser's.
WHERE t.owner <> k.oid AND (t.is_record OR NOT r.rolsuper)
UNION ALL
SELECT
    'creates',
    'SCHEMA ' || quote_ident(n.nspname),
    CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END,
    k.oid::regrole::text
FROM pg_catalog.pg_namespace AS n
CROSS JOIN keeper AS k
CROSS JOIN LATERAL aclexplode(n.nspacl) AS g
LEFT JOIN pg_catalog.pg_roles AS r ON g.grantee = r.oid
WHERE n.nspname = ANY(%(schemas)s) AND g.privilege_type = 'CREATE'
    AND g.grantee NOT IN (n.nspowner, k.oid) AND r.rolsuper IS NOT TRUE
ORDER BY how DESC, what, who
"""
