"""To which of the roles that really read tables their row-level policies apply.

A view reads with its owner's rights, unless it is a security_invoker view. The partitions of a
table are read through the table, and then only the table's own policies count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from psycopg import Connection

if TYPE_CHECKING:
    from feature_store.database.stored_queries.dependency_closure import Member

# The server's own rule (check_enable_rls), for every pair of a table and a role that reads it.
_SUBJECT = """
SELECT r.relation, o.rolname::text
FROM unnest(%s::oid[], %s::oid[]) AS r (relation, reader)
INNER JOIN pg_catalog.pg_class AS c ON r.relation = c.oid
INNER JOIN pg_catalog.pg_roles AS o ON r.reader = o.oid
WHERE
    c.relrowsecurity
    AND NOT o.rolsuper
    AND NOT o.rolbypassrls
    AND (c.relforcerowsecurity OR NOT pg_has_role(o.oid, c.relowner, 'USAGE'))
ORDER BY 1, 2
"""


def subjects(
    connection: Connection[Any], members: Mapping[int, Member], roots: Iterable[int]
) -> dict[int, list[str]]:
    """The roles to which policies of a table apply when they read it for us, by the table's OID.

    Args:
        connection: a session of the role that reads the roots.
        members: the closure of the roots.
        roots: what the session's role reads itself.
    """
    row = connection.execute(
        "SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user"
    ).fetchone()
    assert row is not None  # the session's own role
    pairs = sorted(
        (oid, role) for oid, roles in _readers(members, roots, row[0]).items() for role in roles
    )
    found: dict[int, list[str]] = {}
    for oid, role in connection.execute(
        _SUBJECT, ([oid for oid, _ in pairs], [role for _, role in pairs])
    ):
        found.setdefault(oid, []).append(role)
    return found


def _readers(
    members: Mapping[int, Member], roots: Iterable[int], asker: int
) -> dict[int, set[int]]:
    readers: dict[int, set[int]] = {}
    pending = [(oid, asker) for oid in roots]
    while pending:
        oid, role = pending.pop()
        known = readers.setdefault(oid, set())
        if oid not in members or role in known:
            continue
        known.add(role)
        member = members[oid]
        reader = role if member.is_table or member.asks_as_reader else member.owner
        pending += [(read, reader) for read in member.reads if read not in member.parts]
    return readers
