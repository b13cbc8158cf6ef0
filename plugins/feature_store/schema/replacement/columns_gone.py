"""What people gave others, or built, on a column that a file's query no longer has.

A comment or a setting goes with its column. A privilege or an index is for somebody who uses it.
"""

from __future__ import annotations

from feature_store.connection import Connection
from feature_store.database.query_columns import expected_columns
from feature_store.declarations.store_definition import Relation, Store
from feature_store.errors import BadInput

_USED = """
WITH gone AS (
    SELECT a.attrelid, a.attnum, a.attname, a.attacl
    FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = %(oid)s AND a.attnum > 0 AND NOT a.attisdropped
        AND a.attname <> ALL(%(columns)s::text[])
),
granted AS (
    SELECT
        string_agg(
            format('%%s (%%I)', p.privilege_type, g.attname), ', ' ORDER BY g.attnum
        ) AS what,
        CASE WHEN p.grantee = 0 THEN 'PUBLIC' ELSE p.grantee::regrole::text END AS who
    FROM gone AS g
    CROSS JOIN LATERAL aclexplode(g.attacl) AS p
    GROUP BY p.grantee
)
SELECT
    format('the privilege %%s of %%s', what, who),
    format('REVOKE %%s ON %%s FROM %%s', what, %(oid)s::regclass, who)
FROM granted
UNION ALL
SELECT DISTINCT
    format('the index %%s, which uses its column %%I', d.objid::regclass, g.attname),
    format('DROP INDEX %%s', d.objid::regclass)
FROM gone AS g
INNER JOIN pg_catalog.pg_depend AS d
    ON d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = g.attrelid
    AND d.refobjsubid = g.attnum AND d.classid = 'pg_catalog.pg_class'::regclass
INNER JOIN pg_catalog.pg_class AS i ON d.objid = i.oid AND i.relkind = 'i'
WHERE i.relname <> ALL(%(indexes)s::text[])
ORDER BY 1
"""


def used_columns_gone(
    connection: Connection, store: Store, relation: Relation, oid: int
) -> list[str]:
    """Name what the replacement by the file would lose with such columns, and what to do.

    Args:
        connection: a pinned session.
        store: what the files say.
        relation: as its file says.
        oid: the relation that it replaces.
    """
    # To read the file's query takes locks on its tables, which may be being reloaded.
    if not _used_but(connection, relation, oid, []):
        return []
    try:
        columns = list(expected_columns(connection, store, relation))
    except BadInput:
        return []  # it cannot be built at all, and apply says why
    return [
        f"Replacing {relation.name} would lose: {what}.\n"
        f"Next: {way_out}; or restore the column in the file"
        for what, way_out in _used_but(connection, relation, oid, columns)
    ]


def _used_but(
    connection: Connection, relation: Relation, oid: int, columns: list[str]
) -> list[tuple[str, str]]:
    """What is given or built on any columns but these, and the statement that removes it."""
    asked = {"oid": oid, "columns": columns, "indexes": list(relation.file.indexes)}
    return [(what, way_out) for what, way_out in connection.execute(_USED, asked)]
