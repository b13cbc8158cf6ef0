"""Privileges: what the session's role, and the owners of the views, may do.

A function of the store's owner starts a refresh, which runs with the privileges of the view's
owner. `grants` grants everything that is checked here.
"""

from __future__ import annotations

from collections.abc import Collection

from feature_store.connection import Connection, one_row
from feature_store.declarations.dag_outline import Refresh
from feature_store.declarations.source_tables import Source
from feature_store.declarations.store_definition import Relation, Store
from feature_store.relation_name import Name
from feature_store.schema.governance.governance import GOVERNANCE_TABLES
from feature_store.schema.privileges.audit_privileges import granting
from feature_store.text_format import in_words


def contract_problems(connection: Connection, governed: Collection[str]) -> list[str]:
    """Name what keeps the session's role from asserting the contracts.

    The governance tables and functions must exist.

    Args:
        connection: a session of that role.
        governed: the store's governed schemas.
    """
    rows = connection.execute(
        """
        SELECT n.nspname, c.relname, quote_ident(current_user)
        FROM pg_catalog.pg_class AS c
        INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
        WHERE n.nspname = ANY(%s) AND c.relname = ANY(%s)
            AND NOT has_table_privilege(c.oid, 'SELECT')
        ORDER BY n.nspname, c.relname
        """,
        (list(governed), list(GOVERNANCE_TABLES)),
    ).fetchall()
    functions = connection.execute(
        """
        SELECT p.oid::regprocedure::text, quote_ident(current_user)
        FROM pg_catalog.pg_proc AS p
        INNER JOIN pg_catalog.pg_namespace AS n ON p.pronamespace = n.oid
        WHERE n.nspname = ANY(%s) AND p.proname = 'check_feature_contract'
            AND NOT has_function_privilege(p.oid, 'EXECUTE')
        ORDER BY n.nspname
        """,
        (list(governed),),
    ).fetchall()
    return [
        f"{me} may not read {schema}.{table}, so it cannot assert the contract.\n"
        f"Next: GRANT SELECT ON {schema}.{table} TO {me}"
        for schema, table, me in rows
    ] + [
        f"{me} may not call {function}, so it cannot assert the contract.\n"
        f"Next: GRANT EXECUTE ON FUNCTION {function} TO {me}"
        for function, me in functions
    ]


def refresh_problems(connection: Connection, store: Store) -> list[str]:
    """Name what keeps the session's role, or a view's owner, from refreshing.

    Every relation must exist.
    """
    sources = {source.name: source for source in store.sources}
    problems = [
        problem for source in store.sources for problem in _witness_problems(connection, source)
    ]
    problems += _possessions(connection, store)
    for relation in store.relations:
        if relation.refresh is not Refresh.NEVER:
            problems += _role_problems(connection, relation)
        problems += _owner_problems(connection, relation, sources)
    return problems


def _witness_problems(connection: Connection, source: Source) -> list[str]:
    # What a refresh saw is recorded with the session's privileges, not with the owner's.
    row = connection.execute(
        """
        SELECT
            quote_ident(current_user),
            c.oid::regclass::text,
            quote_ident(n.nspname),
            has_schema_privilege(n.oid, 'USAGE')
            AND (
                SELECT bool_and(has_column_privilege(c.oid, s, 'SELECT'))
                FROM unnest(%s::text[]) AS s
            )
        FROM pg_catalog.pg_class AS c
        INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
        WHERE n.nspname = %s AND c.relname = %s
        """,
        (list(source.columns), source.name.schema, source.name.relation),
    ).fetchone()
    if row is None or row[3]:
        return []
    me, table, schema, _ = row
    return [
        f"{me} may not read {source.name}, so it cannot record what a refresh saw.\n"
        f"{_grant_read(me, table, schema)}"
    ]


def _role_problems(connection: Connection, relation: Relation) -> list[str]:
    row = one_row(
        connection,
        """
        SELECT
            quote_ident(current_user),
            quote_ident(pg_get_userbyid(c.relowner)),
            quote_ident(pg_get_userbyid(keeper.relowner)),
            pg_has_role(keeper.relowner, c.relowner, 'USAGE'),
            has_database_privilege(c.relowner, current_database(), 'TEMP'),
            has_table_privilege(c.oid, 'SELECT'),
            quote_ident(current_database()),
            c.oid::regclass::text
        FROM pg_catalog.pg_class AS c
        CROSS JOIN pg_catalog.pg_class AS keeper
        WHERE c.oid = %s::regclass AND keeper.oid = 'feature_store_audit.migration'::regclass
        """,
        (relation.name.quoted,),
    )
    me, owner, keeper, is_kept, owner_may_create_temporary, may_read, database, view = row
    problems = []
    if not is_kept:
        problems.append(
            f"{keeper}, who owns the store and refreshes it, may not refresh {relation.name}, "
            f"which {owner} owns.\nNext: ALTER MATERIALIZED VIEW {view} OWNER TO {keeper}"
        )
    if not may_read:
        problems.append(
            f"{me} may not read {relation.name}, so it cannot count its rows.\n"
            f"Next: GRANT SELECT ON {view} TO {me}"
        )
    if relation.refresh is Refresh.CONCURRENT and not owner_may_create_temporary:
        problems.append(
            f"{owner}, who owns {relation.name}, may not create temporary tables, which a "
            f"concurrent refresh needs.\nNext: GRANT TEMPORARY ON DATABASE {database} TO {owner}"
        )
    return problems


def _possessions(connection: Connection, store: Store) -> list[str]:
    """Say if the session's role owns what it refreshes, and is not the owner of the store.

    Earlier versions set it up that way on PostgreSQL 15 and 16.
    """
    rows = connection.execute(
        """
        SELECT
            quote_ident(current_user),
            pg_get_userbyid(keeper.relowner)::text,
            c.oid::regclass::text
        FROM pg_catalog.pg_class AS c
        CROSS JOIN pg_catalog.pg_class AS keeper
        WHERE c.oid = ANY(%s::regclass[]) AND keeper.oid = 'feature_store_audit.migration'::regclass
            AND c.relowner = quote_ident(current_user)::regrole AND keeper.relowner <> c.relowner
            AND NOT (SELECT r.rolsuper FROM pg_catalog.pg_roles AS r WHERE r.oid = c.relowner)
        ORDER BY c.oid::regclass::text
        """,
        ([relation.name.quoted for relation in store.refreshed],),
    ).fetchall()
    if not rows:
        return []
    me, keeper, _ = rows[0]
    return [
        f"{me} owns {in_words([view for *_, view in rows])}: whoever has its login could make "
        f"every reader run any code.\nNext: {granting(connection, keeper)}"
    ]


def _owner_problems(
    connection: Connection, relation: Relation, sources: dict[Name, Source]
) -> list[str]:
    problems = []
    for read in sorted(relation.file.reads):
        columns = list(sources[read].columns) if read in sources else None
        row = connection.execute(
            """
            SELECT
                quote_ident(pg_get_userbyid(mine.relowner)),
                theirs.oid::regclass::text,
                quote_ident(n.nspname),
                has_schema_privilege(mine.relowner, theirs.relnamespace, 'USAGE')
                AND (
                    has_table_privilege(mine.relowner, theirs.oid, 'SELECT')
                    -- A source may be granted column by column.
                    OR (
                        SELECT bool_and(
                            has_column_privilege(mine.relowner, theirs.oid, c, 'SELECT')
                        )
                        FROM unnest(%s::text[]) AS c
                    ) IS TRUE
                )
            FROM pg_catalog.pg_class AS mine
            CROSS JOIN pg_catalog.pg_class AS theirs
            INNER JOIN pg_catalog.pg_namespace AS n ON theirs.relnamespace = n.oid
            WHERE mine.oid = %s::regclass AND n.nspname = %s AND theirs.relname = %s
            """,
            (columns, relation.name.quoted, read.schema, read.relation),
        ).fetchone()
        if row and not row[3]:
            owner, table, schema, _ = row
            problems.append(
                f"{owner}, who owns {relation.name}, may not read {read}.\n"
                f"{_grant_read(owner, table, schema)}"
            )
    return problems


def _grant_read(role: str, table: str, schema: str) -> str:
    return f"Next: GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT SELECT ON {table} TO {role}"
