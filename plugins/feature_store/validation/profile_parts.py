"""The profile of one feature in some rows, and how to add several up."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Bins:
    """The bins of a feature's values; fixed as long as the contract's stamp holds.

    Attributes:
        edges: for numbers, in order: a bin begins at each, and one is below the first.
        levels: for texts: a bin for each, and a last one for all others. None for numbers.
    """

    edges: tuple[float, ...] = ()
    levels: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Part:
    """A feature in some rows.

    Attributes:
        rows: how many.
        filled: how many have a value; NaN does not count.
        zeros: how many are 0; None for texts.
        least: the smallest value; None for texts, or if there is no value.
        most: the largest.
        measured: how many values are finite and not too large for a float's square.
        mean: of the measured values.
        deviation: their standard deviation (of a sample); None if fewer than two.
        counts: values in each bin.
    """

    rows: int
    filled: int
    zeros: int | None
    least: float | None
    most: float | None
    measured: int
    mean: float | None
    deviation: float | None
    counts: tuple[int, ...]


def together(parts: Iterable[Part]) -> Part:
    """The same feature in the rows of all parts together; at least one part."""
    whole, *others = parts
    for part in others:
        whole = _both(whole, part)
    return whole


def _both(a: Part, b: Part) -> Part:
    measured = a.measured + b.measured
    mean, deviation = _spread(a, b, measured)
    leasts = [x for x in (a.least, b.least) if x is not None]
    mosts = [x for x in (a.most, b.most) if x is not None]
    return Part(
        rows=a.rows + b.rows,
        filled=a.filled + b.filled,
        zeros=None if a.zeros is None or b.zeros is None else a.zeros + b.zeros,
        least=min(leasts, default=None),
        most=max(mosts, default=None),
        measured=measured,
        mean=mean,
        deviation=deviation,
        counts=tuple(n + m for n, m in zip(a.counts, b.counts, strict=True)),
    )


def _spread(a: Part, b: Part, measured: int) -> tuple[float | None, float | None]:
    """Mean and deviation of both, by the sums of squares around each one's mean (Chan)."""
    if a.mean is None or b.mean is None:
        one = b if a.mean is None else a
        return one.mean, one.deviation
    apart = b.mean - a.mean
    mean = a.mean + apart * b.measured / measured
    squares = sum((p.deviation or 0.0) ** 2 * (p.measured - 1) for p in (a, b))
    squares += apart**2 * a.measured * b.measured / measured
    return mean, math.sqrt(squares / (measured - 1))
