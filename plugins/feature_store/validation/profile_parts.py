"""What the values of one feature look like in some rows, and in more of them together."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Bins:
    """Where a feature's values are counted; held fixed while the contract's stamp holds.

    Attributes:
        edges: of numbers, in order: a bin begins at each, and one lies below the first.
        levels: of texts: a bin for each, and a last one for all others. None of numbers.
    """

    edges: tuple[float, ...] = ()
    levels: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Part:
    """A feature in some rows.

    Attributes:
        rows: how many.
        filled: of them, those with a value; NaN is none.
        zeros: of them, those that are 0; None of texts.
        least: the smallest value; None of texts, and without a value.
        most: the largest.
        measured: values that have a size: neither infinite nor beyond all measure.
        mean: of these.
        deviation: their standard deviation, as of a sample; None of fewer than two.
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
    """The same feature in the rows of all parts; there must be one at least."""
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
