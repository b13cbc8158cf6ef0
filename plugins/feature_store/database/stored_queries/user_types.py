"""What a user's type brings along: code that runs where its values are held, or where one is made.

Holding and comparing values of a domain runs what its base type does. Its checks run only where a
value is made: by a cast, by a function that gives one, or by reading one from a text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from feature_store.connection import Connection

# The fields of a row, and the bounds of a range, count where one is made.
_TYPES = """
WITH RECURSIVE part (whole, oid, is_held) AS (
    SELECT w.oid, w.oid, true FROM unnest(%s::oid[]) AS w (oid)
    UNION
    SELECT p.whole, below.oid, p.is_held AND below.is_held
    FROM part AS p
    CROSS JOIN LATERAL (
        SELECT t.typbasetype, true FROM pg_catalog.pg_type AS t
        WHERE t.oid = p.oid AND t.typtype = 'd'
        UNION ALL
        SELECT t.oid, true FROM pg_catalog.pg_type AS t WHERE t.typarray = p.oid
        UNION ALL
        SELECT a.atttypid, false
        FROM pg_catalog.pg_type AS t
        INNER JOIN pg_catalog.pg_attribute AS a ON t.typrelid = a.attrelid
        WHERE t.oid = p.oid AND t.typtype = 'c' AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL
        SELECT r.rngsubtype, false FROM pg_catalog.pg_range AS r
        WHERE p.oid IN (r.rngtypid, r.rngmultitypid)
    ) AS below (oid, is_held)
    WHERE p.oid >= 16384
),
made AS (
    SELECT DISTINCT p.whole, p.oid, format_type(p.oid, NULL) AS name, k.conbin::text AS tree
    FROM part AS p
    INNER JOIN pg_catalog.pg_constraint AS k ON p.oid = k.contypid
    WHERE k.conbin IS NOT NULL
)
SELECT
    t.oid,
    format_type(t.oid, NULL),
    t.typinput::oid,
    t.typoutput::oid,
    -- A user's enum or row type runs no code, nor do arrays and domains of what runs none.
    ARRAY(
        SELECT DISTINCT format_type(p.oid, NULL)
        FROM part AS p
        INNER JOIN pg_catalog.pg_type AS leaf ON p.oid = leaf.oid
        WHERE
            p.whole = t.oid AND p.is_held AND p.oid >= 16384
            AND leaf.typtype NOT IN ('e', 'c', 'p', 'd')
            AND NOT EXISTS (SELECT FROM pg_catalog.pg_type AS e WHERE e.typarray = p.oid)
        ORDER BY 1
    ),
    ARRAY(SELECT m.name FROM made AS m WHERE m.whole = t.oid ORDER BY m.name, m.tree),
    ARRAY(SELECT m.tree FROM made AS m WHERE m.whole = t.oid ORDER BY m.name, m.tree)
FROM pg_catalog.pg_type AS t
WHERE t.oid = ANY(%s)
"""


@dataclass(frozen=True)
class UserType:
    """A type, of the server or of a user.

    Attributes:
        name: as it looks from ``pg_catalog``.
        reads: the function that makes a value of a text.
        writes: the function that makes a text of a value.
        foreign: the types in it that may run code of their own where a value is held or compared.
        checks: the domains in it with the trees of their checks, one by one.
    """

    name: str
    reads: int
    writes: int
    foreign: tuple[str, ...]
    checks: tuple[tuple[str, str], ...]


def read_types(connection: Connection, oids: Iterable[int]) -> dict[int, UserType]:
    """Look types up, at once; one that is gone is left out."""
    wanted = sorted(oids)
    rows = connection.execute(_TYPES.encode(), (wanted, wanted)).fetchall() if wanted else []
    return {
        oid: UserType(name, reads, writes, tuple(foreign), tuple(zip(names, trees, strict=True)))
        for oid, name, reads, writes, foreign, names, trees in rows
    }
