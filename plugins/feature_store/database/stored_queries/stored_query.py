"""The query of a view as the server keeps it: what it reads, and whether it always gives the same.

The server's own tree of a query names every relation and every function by its OID, the built-in
ones too, which ``pg_depend`` leaves out. Only what is known to depend on nothing but its arguments
and the pinned session counts as constant; all else, and every function of the user's, does not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

# Objects of the user's have OIDs from here on; below are the server's own.
FIRST_USER_OID = 16384

_RELATIONS = re.compile(r":relid (\d+)")
_FUNCTIONS = re.compile(r":(?:funcid|opfuncid|aggfnoid|winfnoid) (\d+)")
_OPERATORS = re.compile(r":(?:opno|opnos|eqop|sortop) (?:\(o ([\d ]+)\)|(\d+))")
_RESULT_TYPES = re.compile(r":resulttype (\d+)")
_CONVERTS_BY_TEXT = "{COERCEVIAIO "
# Parts of a query that call functions without naming them, or ask for the time or for chance.
_NEVER_CONSTANT = {
    "{SQLVALUEFUNCTION ": "it asks who is asking or when (such as current_date)",
    "{TABLESAMPLECLAUSE ": "it takes a sample",
    "{NEXTVALUEEXPR ": "it draws from a sequence",
    "{XMLEXPR ": "it makes XML",
    "{TABLEFUNC ": "it reads a table out of XML or JSON",
    "{JSONEXPR ": "it queries JSON",
    "{JSONCONSTRUCTOREXPR ": "it makes JSON",
}
# Built-in functions that are not immutable only because they depend on the session's zone, which
# is pinned and compared: conversions, truncation, arithmetic and comparisons of points in time.
_NEEDS_ONLY_THE_ZONE = (
    "^(timestamptz_(date|timestamp|time|trunc|part|pl_interval|mi_interval)"
    "|(date|timestamp)_timestamptz|extract_timestamptz"
    "|(date|timestamp)_(lt|le|eq|ne|ge|gt|cmp)_timestamptz"
    "|timestamptz_(lt|le|eq|ne|ge|gt|cmp)_(date|timestamp))$"
)


@dataclass(frozen=True)
class StoredQuery:
    """A view's query.

    Attributes:
        version: differs whenever the query has been replaced, even by an equal one.
        reads: the OIDs of the relations that it names itself.
        doubts: why it may give other rows from the same tables, in words; empty if it cannot.
    """

    version: str
    reads: frozenset[int]
    doubts: tuple[str, ...]


def read_stored_query(connection: Connection[Any], oid: int) -> StoredQuery:
    """Read the query of a view or materialized view."""
    row = connection.execute(
        "SELECT r.oid || '/' || r.xmin::text, r.ev_action::text FROM pg_catalog.pg_rewrite AS r "
        "WHERE r.ev_class = %s AND r.ev_type = '1'",
        (oid,),
    ).fetchone()
    if row is None:
        return StoredQuery("none", frozenset(), ("it has no query",))
    version, tree = row
    # Before version 16 a view's query names the view itself, too.
    reads = frozenset(map(int, _RELATIONS.findall(tree))) - {0, oid}
    doubts = [why for node, why in _NEVER_CONSTANT.items() if node in tree]
    return StoredQuery(version, reads, (*doubts, *_doubtful_calls(connection, tree)))


def _doubtful_calls(connection: Connection[Any], tree: str) -> list[str]:
    functions = set(map(int, _FUNCTIONS.findall(tree)))
    operators = {
        int(oid) for several, one in _OPERATORS.findall(tree) for oid in (several or one).split()
    }
    # Text that is read as a date may be the word 'now'.
    types = set(map(int, _RESULT_TYPES.findall(tree))) if _CONVERTS_BY_TEXT in tree else set()
    rows = connection.execute(
        """
        WITH called AS (
            SELECT unnest(%(functions)s::oid[]) AS oid
            UNION
            SELECT o.oprcode FROM pg_catalog.pg_operator AS o WHERE o.oid = ANY(%(operators)s)
            UNION
            SELECT t.typinput FROM pg_catalog.pg_type AS t WHERE t.oid = ANY(%(types)s)
        )
        SELECT 'it calls ' || p.oid::regprocedure::text
        FROM pg_catalog.pg_proc AS p
        INNER JOIN called AS c ON p.oid = c.oid
        WHERE p.oid >= %(first_user_oid)s OR (p.provolatile <> 'i' AND p.prosrc !~ %(zone_only)s)
        ORDER BY 1
        """,
        {
            "functions": sorted(functions),
            "operators": sorted(operators),
            "types": sorted(types),
            "first_user_oid": FIRST_USER_OID,
            "zone_only": _NEEDS_ONLY_THE_ZONE,
        },
    ).fetchall()
    return [why for (why,) in rows]
