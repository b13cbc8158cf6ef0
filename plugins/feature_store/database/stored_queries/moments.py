"""The constants of a stored query that are points in time.

Nobody can tell whether a person wrote one or PostgreSQL made it from ``'today'``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from feature_store.database.stored_queries.node_tree import Node, Value, walk

_DATE, _TIME, _TIMESTAMP, _TIMESTAMPTZ = 1082, 1083, 1114, 1184
# The values of these types are not decoded: times with a zone, arrays, ranges, multiranges.
_COMPOSED: Final = {
    1266: "time with time zone",
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


def moments(tree: Value) -> Iterator[Constant]:
    """Every constant of a tree that is a point in time."""
    for node in walk(tree):
        if node.tag == "CONST" and node.text("constisnull") != "true":
            kind = node.number("consttype")
            if kind in _COMPOSED:
                yield Constant(None, f"of the type {_COMPOSED[kind]}")
            elif kind in (_DATE, _TIME, _TIMESTAMP, _TIMESTAMPTZ):
                # Infinite, or of a year that Python cannot hold: never the moment of asking.
                with suppress(OverflowError):
                    yield _read(kind, _number(node, 4 if kind == _DATE else 8))


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
