"""Privileges on the record: what a run adds to it, and the functions by which it changes it.

`grants` grants exactly the privileges that are checked here.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection

from feature_store.connection import Connection, one_row
from feature_store.relation_name import AUDIT_SCHEMA, LOG_SCHEMA

# The logs that the refresher adds to, with the columns that it fills. None means all columns
# without a default, because the server fills the others.
AUDIT_LOGS: dict[str, list[str] | None] = {
    "asking_log": None,
    "expectation_log": None,
    "fact": None,
    "feature_bins_log": None,
    "feature_month_log": None,
    "feature_nulls_log": None,
    "feature_profile_log": None,
    "feature_skew_log": None,
    "history_change": None,
    "history_closing_log": ["finding_id", "outcome"],
    "history_day": None,
    "history_finding_log": None,
    "history_judgement_log": None,
    "history_mail_log": None,
    "history_row": None,
    "history_sighting_log": None,
    "lineage_log": None,
    "mail_log": None,
    "mail_result_log": None,
    "profile_log": None,
    "proof_log": None,
    "refresh": None,
    "reuse_log": None,
    "run_log": None,
    "spam_seen_log": None,
    "suite_log": None,
    "verdict_log": ["dag_id", "run_id", "problem", "go", "account"],
}
AUDIT_FUNCTIONS = (
    "accept_backfill_day(bigint)",
    "analyze_history()",
    "analyze_view(text)",
    "begin_baseline(bigint,text,text,jsonb,text)",
    "certificates(text[])",
    "certified_profile(text)",
    "certify_and_log(bigint,text[],text[])",
    "confirm_lease(text,text)",
    "drop_changes(bigint,text,date[])",
    "drop_months(bigint,text,bigint)",
    "forget(integer)",
    "keep_broken_logs(text,text,text[])",
    "keep_said(bigint,text,date[],integer[],text[],bytea[],text[])",
    "keep_seen(bigint,text,jsonb)",
    "latest_refreshes()",
    "move_baseline(bigint,text,date[],bigint[],bytea[])",
    "queries()",
    "read_with(text[])",
    "refresh_view(bigint,text,boolean)",
    "release_lease(text,text)",
    "sources_until(text)",
    "take_lease(text,text,bigint)",
    "withdraw_broken(text,text)",
)


# If more are missing, name the file that grants them all.
_MOST_NAMED = 5


def granting(connection: Connection, owner: str | None = None) -> str:
    """What the administrator types to grant all that a session's role needs, in this database.

    Args:
        connection: a session of the refresher's.
        owner: the store's, where it must be named, too.
    """
    me, database = one_row(connection, "SELECT current_user::text, current_database()::text")
    roles = ({"owner": owner} if owner else {}) | {"refresher": me}
    named = " ".join(shlex.join(["-v", f"{role}={name}"]) for role, name in roles.items())
    return (
        f"bin/feature-store grants | psql -d {shlex.quote(database)} {named}, as the administrator"
    )


def access_problems(connection: Connection, governed: Collection[str]) -> list[str]:
    """Name what the session's role may not do with the record: its schemas, tables, functions.

    Reads only the catalog, so it needs no privileges itself.

    Args:
        connection: a session of that role.
        governed: the store's governed schemas.
    """
    schemas = connection.execute(
        "SELECT quote_ident(current_user), nspname FROM pg_catalog.pg_namespace "
        "WHERE nspname = ANY(%s) AND NOT has_schema_privilege(oid, 'USAGE') ORDER BY nspname",
        ([*governed, AUDIT_SCHEMA, LOG_SCHEMA],),
    ).fetchall()
    lacking = connection.execute(
        _LACKING,
        {
            "audit": AUDIT_SCHEMA,
            "logs": list(AUDIT_LOGS),
            "columns": [",".join(columns or ()) for columns in AUDIT_LOGS.values()],
            "functions": list(AUDIT_FUNCTIONS),
        },
    ).fetchall()
    logs = connection.execute(
        "SELECT quote_ident(current_user), format('%%I.%%I', n.nspname, c.relname) "
        "FROM pg_catalog.pg_class AS c "
        "INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid "
        "WHERE n.nspname = %s AND c.relkind = 'r' AND NOT has_table_privilege(c.oid, 'SELECT') "
        "ORDER BY c.relname",
        (LOG_SCHEMA,),
    ).fetchall()
    problems = [
        f"{me} may not use the schema {schema}.\nNext: GRANT USAGE ON SCHEMA {schema} TO {me}"
        for me, schema in schemas
    ] + [f"{me} may not read {log}.\nNext: GRANT SELECT ON {log} TO {me}" for me, log in logs]
    if len(lacking) > _MOST_NAMED:
        me = lacking[0][0]
        return [
            *problems,
            f"{me} lacks {len(lacking)} privileges on the record in {AUDIT_SCHEMA}.\n"
            f"Next: {granting(connection)}",
        ]
    return problems + [
        f"{me} lacks a privilege on {AUDIT_SCHEMA}.{what}.\nNext: GRANT {grant} TO {me}"
        for me, what, grant in lacking
    ]


_LACKING = """
SELECT quote_ident(current_user), n.what, n.privilege
FROM (
    SELECT
        c.relname AS what,
        format('SELECT ON %%s.%%I', %(audit)s::text, c.relname) AS privilege
    FROM pg_catalog.pg_class AS c
    WHERE c.relnamespace = to_regnamespace(%(audit)s) AND c.relkind IN ('r', 'v')
        AND NOT has_table_privilege(c.oid, 'SELECT')
    UNION ALL
    SELECT
        c.relname,
        format(
            'INSERT (%%s) ON %%s.%%I',
            string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum), %(audit)s::text, c.relname
        )
    FROM unnest(%(logs)s::text[], %(columns)s::text[]) AS l (relation, columns)
    INNER JOIN pg_catalog.pg_class AS c
        ON c.relnamespace = to_regnamespace(%(audit)s) AND l.relation = c.relname
    INNER JOIN pg_catalog.pg_attribute AS a ON c.oid = a.attrelid
    WHERE a.attnum > 0 AND NOT a.attisdropped
        AND CASE
            WHEN l.columns = '' THEN NOT a.atthasdef
            ELSE a.attname = ANY(string_to_array(l.columns, ','))
        END
    GROUP BY c.relname
    HAVING NOT bool_and(has_column_privilege(c.oid, a.attnum, 'INSERT'))
    UNION ALL
    SELECT c.relname, format('%%s ON %%s.%%I', l.privilege, %(audit)s::text, c.relname)
    FROM (VALUES ('lease', 'UPDATE (only_one)'), ('history_lock', 'UPDATE'))
        AS l (relation, privilege)
    INNER JOIN pg_catalog.pg_class AS c
        ON c.relnamespace = to_regnamespace(%(audit)s) AND l.relation = c.relname
    WHERE NOT has_any_column_privilege(c.oid, 'UPDATE')
    UNION ALL
    SELECT c.relname, format('USAGE ON SEQUENCE %%s.%%I', %(audit)s::text, c.relname)
    FROM pg_catalog.pg_class AS c
    WHERE c.relnamespace = to_regnamespace(%(audit)s)
        AND CASE WHEN c.relkind = 'S' THEN NOT has_sequence_privilege(c.oid, 'USAGE') END
    UNION ALL
    SELECT f.name, format('EXECUTE ON FUNCTION %%s.%%s', %(audit)s::text, f.name)
    FROM unnest(%(functions)s::text[]) AS f (name)
    INNER JOIN pg_catalog.pg_proc AS p
        ON p.pronamespace = to_regnamespace(%(audit)s)
        AND f.name = p.proname || '(' || replace(oidvectortypes(p.proargtypes), ', ', ',') || ')'
    WHERE NOT has_function_privilege(p.oid, 'EXECUTE')
) AS n
ORDER BY n.what, n.privilege
"""
