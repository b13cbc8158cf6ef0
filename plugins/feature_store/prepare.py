"""Whether a refresh can start. Looks, and changes nothing of the store."""

from __future__ import annotations

from typing import Any

from psycopg import Connection

from feature_store.errors import NotReady
from feature_store.plan import blockages, make_plan
from feature_store.session import SUPPORTED_SERVERS, server_major
from feature_store.settings import Settings
from feature_store.sources import source_problems
from feature_store.store import Refresh, Relation, Store
from feature_store.wording import bullets

_MAINTAIN_SINCE = 17


def check_ready(connection: Connection[Any], store: Store, settings: Settings) -> None:
    """Check server, sources, definitions and privileges, all of them, before any work.

    Args:
        connection: a pinned session in autocommit mode, as the role that will refresh.
        store: what the files say.
        settings: where the files are.

    Raises:
        NotReady: something is not fit; the message names all of it with the way out.
        BadInput: a file that cannot be used.
    """
    problems = server_problems(connection) or [
        *source_problems(connection, store.sources),
        *_definition_problems(connection, store, settings),
    ]
    if not problems:
        problems = _privilege_problems(connection, store)
    if problems:
        raise NotReady(
            f"The store cannot be refreshed:\n{bullets(problems)}",
            readers="the rows of the last refresh; nothing was changed.",
            next_step="Mend the above, look at `bin/feature-store plan`, then run again.",
        )


def server_problems(connection: Connection[Any]) -> list[str]:
    """Say if the server's version is one that the store does not work on."""
    oldest, newest = SUPPORTED_SERVERS
    major = server_major(connection)
    if oldest <= major <= newest:
        return []
    return [f"The server is PostgreSQL {major}; expected {oldest} to {newest}."]


def _definition_problems(
    connection: Connection[Any], store: Store, settings: Settings
) -> list[str]:
    plan = make_plan(connection, store, settings.include_dir)
    problems = blockages(plan)
    missing = [f"schema {name}" for name in plan.schemas]
    missing += [f"step {m.version} of the audit schema" for m in plan.migrations]
    missing += [thing.label for thing in plan.creates]
    if missing:
        problems.append(f"Missing: {', '.join(missing)}.\nNext: bin/feature-store apply")
    return problems


def _privilege_problems(connection: Connection[Any], store: Store) -> list[str]:
    problems = []
    for relation in store.refreshed:
        problems += _refresh_privileges(connection, relation)
    for table, privileges in _AUDIT_PRIVILEGES.items():
        row = connection.execute(
            "SELECT current_user, bool_and(has_table_privilege(%s, p)) "
            "FROM unnest(%s::text[]) AS p",
            (f"feature_store_audit.{table}", privileges),
        ).fetchone()
        if row and not row[1]:
            problems.append(
                f"{row[0]} lacks privileges on feature_store_audit.{table}: "
                f"{', '.join(privileges)} are needed."
            )
    return problems


def _refresh_privileges(connection: Connection[Any], relation: Relation) -> list[str]:
    row = connection.execute(
        """
        SELECT
            current_user,
            pg_get_userbyid(c.relowner),
            pg_has_role(c.relowner, 'USAGE'),
            has_database_privilege(c.relowner, current_database(), 'TEMP'),
            has_table_privilege(c.oid, 'SELECT')
        FROM pg_catalog.pg_class AS c
        WHERE c.oid = %s::regclass
        """,
        (relation.name.identifier.as_string(connection),),
    ).fetchone()
    assert row is not None  # the relation is as its file, so it exists
    me, owner, is_owner, owner_may_create_temporary, may_read = row
    problems = []
    if not is_owner and not _may_maintain(connection, relation):
        problems.append(
            f"{me} may not refresh {relation.name}.\n"
            f"Next: GRANT MAINTAIN ON {relation.name} TO {me} (PostgreSQL 17 and later), "
            f"or GRANT {owner} TO {me}"
        )
    if not may_read:
        problems.append(f"{me} may not read {relation.name}, so it cannot count its rows.")
    if relation.refresh is Refresh.CONCURRENT and not owner_may_create_temporary:
        problems.append(
            f"{owner}, who owns {relation.name}, may not create temporary tables, which a "
            f"concurrent refresh needs.\nNext: GRANT TEMPORARY ON DATABASE … TO {owner}"
        )
    return problems


def _may_maintain(connection: Connection[Any], relation: Relation) -> bool:
    if server_major(connection) < _MAINTAIN_SINCE:
        return False
    row = connection.execute(
        "SELECT has_table_privilege(%s, 'MAINTAIN')",
        (relation.name.identifier.as_string(connection),),
    ).fetchone()
    return bool(row and row[0])


_AUDIT_PRIVILEGES = {
    "definition": ["SELECT"],
    "lease": ["SELECT", "UPDATE"],
    "migration": ["SELECT"],
    "refresh": ["SELECT", "INSERT"],
    "run": ["SELECT", "INSERT", "UPDATE"],
    "spam_seen": ["SELECT", "INSERT", "DELETE"],
}
