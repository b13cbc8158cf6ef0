"""The constants of a stored query that are points in time.

Nobody can tell whether a person wrote one or PostgreSQL made it from ``'today'``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from feature_store.connection import Connection
from feature_store.database.stored_queries.node_tree import Node, Value, walk

_DATE, _TIME, _TIMESTAMP, _TIMESTAMPTZ, _TIMETZ = 1082, 1083, 1114, 1184, 1266
_BARE = (_DATE, _TIME, _TIMESTAMP, _TIMESTAMPTZ)
# Most constants are of these, and none holds a moment: boolean, numbers, text, interval.
_PLAIN = frozenset({16, 20, 21, 23, 25, 700, 701, 1043, 1186, 1700})
# The values of these types are not decoded: times with a zone, arrays, ranges, multiranges.
_COMPOSED: Final = {
    _TIMETZ: "time with time zone",
    1182: "date[]",
    1183: "time[]",
    1115: "timestamp[]",
    1185: "timestamptz[]",
    1270: "timetz[]",
    3912: "daterange",
    3913: "daterange[]",
    3908: "tsrange",
    3909: "tsrange[]",
    3910: "tstzrange",
    3911: "tstzrange[]",
    4535: "datemultirange",
    4533: "tsmultirange",
    4534: "tstzmultirange",
}
# Any other type that has a moment in it, at any depth: rows, users' ranges, arrays of domains.
_HOLDERS = """
WITH RECURSIVE part (whole, oid) AS (
    SELECT w.oid, w.oid FROM unnest(%s::oid[]) AS w (oid)
    UNION
    SELECT p.whole, below.oid
    FROM part AS p
    CROSS JOIN LATERAL (
        SELECT unnest(ARRAY[t.typelem, t.typbasetype])
        FROM pg_catalog.pg_type AS t
        WHERE t.oid = p.oid
        UNION ALL
        SELECT r.rngsubtype FROM pg_catalog.pg_range AS r
        WHERE p.oid IN (r.rngtypid, r.rngmultitypid)
        UNION ALL
        SELECT a.atttypid
        FROM pg_catalog.pg_type AS t
        INNER JOIN pg_catalog.pg_attribute AS a ON t.typrelid = a.attrelid
        WHERE t.oid = p.oid AND a.attnum > 0 AND NOT a.attisdropped
    ) AS below (oid)
)

SELECT DISTINCT p.whole, format_type(p.whole, NULL) FROM part AS p WHERE p.oid = ANY(%s)
"""
_EPOCH = datetime(2000, 1, 1)  # noqa: DTZ001  # of no zone, as the server counts


@dataclass(frozen=True)
class Constant:
    """A constant that is a point in time, or is composed of some.

    Attributes:
        value: the moment, in UTC if its type has a zone; None if composed.
        words: the moment as people write it; its type if composed.
    """

    value: date | datetime | time | None
    words: str


def moments(connection: Connection, tree: Value) -> Iterator[Constant]:
    """Every constant of a tree that is a point in time, or has one in it.

    Args:
        connection: a pinned session: types are named as they look from ``pg_catalog``.
        tree: a stored query, or another tree of the catalog.
    """
    constants = [
        (node.number("consttype"), node)
        for node in walk(tree)
        if node.tag == "CONST" and node.text("constisnull") != "true"
    ]
    composed = _composed(connection, {kind for kind, _ in constants})
    for kind, node in constants:
        if kind in composed:
            yield Constant(None, f"of the type {composed[kind]}")
        elif kind in _BARE:
            # Infinite, or of a year that Python cannot hold: never the moment of asking.
            with suppress(OverflowError):
                yield _read(kind, _number(node, 4 if kind == _DATE else 8))


def _composed(connection: Connection, kinds: set[int]) -> dict[int, str]:
    """Those of some types that have a moment in them, by name."""
    others = kinds - _COMPOSED.keys() - _PLAIN - {*_BARE}
    found: dict[int, str] = {kind: _COMPOSED[kind] for kind in kinds & _COMPOSED.keys()}
    if others:
        found |= dict(connection.execute(_HOLDERS, (sorted(others), [*_BARE, _TIMETZ])).fetchall())
    return found


def _number(node: Node, length: int) -> int:
    # The value of a short type as the server's memory has it: ``8 [ 0 -12 … ]``.
    held = [int(item) & 0xFF for item in node.items("constbytes") if isinstance(item, str)]
    return int.from_bytes(held[:length], "little", signed=True)


def _read(kind: int, number: int) -> Constant:
    if kind == _DATE:
        day = (_EPOCH + timedelta(days=number)).date()
        return Constant(day, day.isoformat())
    moment = _EPOCH + timedelta(microseconds=number)
    if kind == _TIME:
        return Constant(moment.time(), moment.time().isoformat())
    if kind == _TIMESTAMPTZ:
        moment = moment.replace(tzinfo=UTC)
    return Constant(moment, moment.isoformat(" "))
