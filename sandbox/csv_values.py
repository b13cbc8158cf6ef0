"""Checks one CSV field against the type of its column and gives the value to load."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation

Value = int | Decimal | bool | str | datetime
Parser = Callable[[str], Value]
"""Gives the value of a field that is not empty, or raises ValueError saying what was expected."""

LONGEST_FILLER = 100_000

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_NUMBER = re.compile(r"[+-]?([0-9]{1,20}(\.[0-9]*)?|\.[0-9]+)")
_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?"
)
# PostgreSQL has none from here on.
_OFFSETS_END = timedelta(hours=16)
_BOOLEANS = {
    **dict.fromkeys(("t", "true", "1", "yes"), True),
    **dict.fromkeys(("f", "false", "0", "no"), False),
}


def _integer(bits: int) -> Parser:
    limit = 2 ** (bits - 1)

    def parse(field: str) -> int:
        if _INTEGER.fullmatch(field) and -limit <= (value := int(field)) < limit:
            return value
        raise ValueError(f"an integer from {-limit} to {limit - 1}")

    return parse


def _numeric(precision: int, scale: int) -> Parser:
    limit = Decimal(10) ** (precision - scale)
    step = Decimal(1).scaleb(-scale)

    def parse(field: str) -> Decimal:
        if _NUMBER.fullmatch(field):
            try:
                value = Decimal(field).quantize(step)
            except InvalidOperation:
                value = limit
            if abs(value) < limit:
                return value
        raise ValueError(f"a decimal number between {-limit} and {limit}")

    return parse


def _boolean(field: str) -> bool:
    value = _BOOLEANS.get(field.lower())
    if value is None:
        raise ValueError("true or false (also t, f, yes, no, 1, 0)")
    return value


def _text(field: str) -> str:
    if "\0" in field:
        raise ValueError("text without NUL characters")
    return field


def _timestamp(field: str) -> datetime:
    """Return a time; one without an offset stays naive, for the session's zone to interpret."""
    if _TIMESTAMP.fullmatch(field):
        try:
            value = datetime.fromisoformat(field)
            if abs(value.utcoffset() or timedelta(0)) < _OFFSETS_END:
                return value
        except ValueError:
            pass
    raise ValueError("a date as YYYY-MM-DD or an ISO timestamp, its offset under 16 hours")


def filler(field: str) -> str:
    """Return a text of as many characters as the field says."""
    if re.fullmatch("[0-9]{1,6}", field) and (length := int(field)) <= LONGEST_FILLER:
        return "x" * length
    raise ValueError(f"a length in characters from 0 to {LONGEST_FILLER}")


PARSERS: dict[str, Parser] = {
    "bigint": _integer(64),
    "integer": _integer(32),
    "numeric(4,3)": _numeric(4, 3),
    "numeric(4,2)": _numeric(4, 2),
    "boolean": _boolean,
    "text": _text,
    "timestamp with time zone": _timestamp,
}
"""A parser for each type that a listing column can have."""
