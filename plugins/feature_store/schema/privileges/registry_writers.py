"""Who else may write what readers are told: the contracts, the feature logs, and the record.

Whoever may write the registry binds a feature set to another relation, and stamps what he likes.
Whoever may put a trigger on one of its tables has his function run by the next stamp, as the owner.
A GRANT on all tables of a schema gives both without anybody having meant it.
"""

from __future__ import annotations

from collections.abc import Collection

from feature_store.connection import Connection
from feature_store.relation_name import AUDIT_SCHEMA, LOG_SCHEMA
from feature_store.schema.governance.governance import GOVERNANCE_TABLES


def writer_problems(connection: Connection, governed: Collection[str]) -> list[str]:
    """Name the roles that may write what only the store's owner should, and what to revoke.

    Reads only the catalog. The refresher may insert into some tables of the record, and may lock
    others, which takes the right to update them: so of the record, only what it never needs counts.

    Args:
        connection: a pinned session.
        governed: the store's governed schemas.
    """
    found = connection.execute(
        _FOUND,
        {
            "audit": AUDIT_SCHEMA,
            "logs": LOG_SCHEMA,
            "governed": list(governed),
            "tables": list(GOVERNANCE_TABLES),
        },
    ).fetchall()
    return [
        f"{who} may change {what} ({privileges}), and with it what readers are told.\n"
        f"Next: REVOKE {privileges} ON {what} FROM {who}"
        for what, who, privileges in found
    ]


_FOUND = """
WITH thing AS (
    SELECT c.oid, c.relowner, c.relacl, n.nspname = %(audit)s AS is_record
    FROM pg_catalog.pg_class AS c
    INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
    WHERE c.relkind IN ('r', 'p', 'f', 'v')
        AND (
            n.nspname IN (%(audit)s, %(logs)s)
            OR n.nspname = ANY(%(governed)s) AND c.relname = ANY(%(tables)s)
        )
),

granted AS (
    SELECT t.oid, t.relowner, t.is_record, g.grantee, g.privilege_type
    FROM thing AS t
    CROSS JOIN LATERAL aclexplode(t.relacl) AS g
    UNION
    SELECT t.oid, t.relowner, t.is_record, g.grantee, g.privilege_type
    FROM thing AS t
    INNER JOIN pg_catalog.pg_attribute AS a ON t.oid = a.attrelid
    CROSS JOIN LATERAL aclexplode(a.attacl) AS g
)

SELECT
    g.oid::regclass::text AS what,
    CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END AS who,
    string_agg(g.privilege_type, ', ' ORDER BY g.privilege_type) AS privileges
FROM granted AS g
LEFT JOIN pg_catalog.pg_roles AS r ON g.grantee = r.oid
WHERE g.grantee <> g.relowner
    AND r.rolsuper IS NOT TRUE
    AND (
        g.privilege_type IN ('DELETE', 'TRUNCATE', 'TRIGGER')
        OR g.privilege_type IN ('INSERT', 'UPDATE') AND NOT g.is_record
    )
GROUP BY g.oid, g.grantee
ORDER BY what, who
"""
