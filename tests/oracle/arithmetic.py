"""PostgreSQL's arithmetic, redone exactly: interpolated medians, numeric division, days.

Every function names the rule of the server that it repeats; floats are IEEE doubles on both
sides, so where the order of operations is the same the results are the same bit for bit.
"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal

_MICROSECOND = timedelta(microseconds=1)
_SECONDS_PER_HOUR = 3600
_MIN_SIGNIFICANT_DIGITS = 16  # what numeric division guarantees
_BASE = 10_000  # one "digit" of a numeric value
_DECIMALS_PER_DIGIT = 4
_EPOCH_SCALE = 6  # EXTRACT(EPOCH FROM interval) has microseconds


def day_of(instant: datetime | None, zone: tzinfo) -> date | None:
    """``instant::date`` in a session of that time zone."""
    return None if instant is None else instant.astimezone(zone).date()


def median(values: Iterable[float | None]) -> float | None:
    """``percentile_cont(0.5)`` over float8: NULLs are ignored, no value at all gives NULL."""
    ordered = sorted(value for value in values if value is not None)
    if not ordered:
        return None
    position = 0.5 * (len(ordered) - 1)
    below = int(position)
    low, high = ordered[below], ordered[min(below + 1, len(ordered) - 1)]
    fraction = position - below
    return low if fraction == 0 else low + fraction * (high - low)


def running_sum(terms: Iterable[float]) -> float:
    """``sum`` over float8: one plain addition after the other, in the given order.

    The built-in ``sum`` compensates rounding errors since Python 3.12; the server does not.
    """
    total = 0.0
    for term in terms:
        total += term
    return total


def hours_between(end: datetime | None, start: datetime | None) -> Decimal | None:
    """``EXTRACT(EPOCH FROM end - start) / 3600.0``, with the digits that numeric division keeps."""
    if end is None or start is None:
        return None
    micros = (end - start) // _MICROSECOND
    scale = _division_scale(abs(micros))
    scaled, rest = divmod(abs(micros) * 10**scale, _SECONDS_PER_HOUR * 10**_EPOCH_SCALE)
    if 2 * rest >= _SECONDS_PER_HOUR * 10**_EPOCH_SCALE:  # half away from zero
        scaled += 1
    digits = tuple(int(digit) for digit in str(scaled))
    return Decimal((int(micros < 0), digits, -scale))


def _division_scale(micros: int) -> int:
    """How many digits after the point the server keeps when it divides seconds by 3600.0.

    The server estimates the quotient's weight, in base 10,000, from the two leading digits.
    """
    weight, leading = 0, 0
    if micros:
        value = micros * 100  # 8 decimals: two whole base-10,000 digits below the point
        weight, unit = -2, 1
        while value // unit >= _BASE:
            unit *= _BASE
            weight += 1
        leading = value // unit
    quotient_weight = weight - (1 if leading <= _SECONDS_PER_HOUR else 0)
    return max(_MIN_SIGNIFICANT_DIGITS - quotient_weight * _DECIMALS_PER_DIGIT, _EPOCH_SCALE)
