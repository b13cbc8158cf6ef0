"""What a person must say is safe in a store that was found, because the catalog cannot tell."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from feature_store.connection import Connection
from feature_store.database.stored_queries.calls import FIRST_OF_USERS, CallKind, calls
from feature_store.database.stored_queries.dependency_closure import Closure
from feature_store.database.stored_queries.moment_constants import moments
from feature_store.relation_name import Name

_SIGNATURES = """
SELECT DISTINCT p.oid::regprocedure::text
FROM pg_catalog.pg_proc AS p
LEFT JOIN pg_catalog.pg_operator AS o ON p.oid = o.oprcode::oid
WHERE p.oid >= %s AND (p.oid = ANY(%s) OR o.oid = ANY(%s))
ORDER BY 1
"""


def user_functions(connection: Connection, closure: Closure) -> tuple[str, ...]:
    """The signatures of users' functions that a closure calls, those of operators too."""
    called = [c for m in closure.members.values() for _, tree in m.trees() for c in calls(tree)]
    functions, operators = (
        sorted({c.oid for c in called if c.kind is kind and c.oid >= FIRST_OF_USERS})
        for kind in (CallKind.FUNCTION, CallKind.OPERATOR)
    )
    rows = connection.execute(_SIGNATURES, (FIRST_OF_USERS, functions, operators)).fetchall()
    return tuple(signature for (signature,) in rows)


def foreign_constants(
    connection: Connection, closure: Closure, kept: Collection[Name]
) -> Iterator[tuple[Name, str]]:
    """Points in time that no file's query can say: those of sources, and what is made of several.

    Args:
        connection: a pinned session of any role.
        closure: all that the store reads.
        kept: those of its members that have a file.
    """
    found = {
        (member.name, constant.words)
        for member in closure.members.values()
        for _, tree in member.trees()
        for constant in moments(connection, tree)
        if member.name not in kept or constant.value is None
    }
    yield from sorted(found)
