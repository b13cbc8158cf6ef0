"""Drift: how far apart two distributions are, as the Jensen-Shannon distance.

It is 0 if the two are alike and 1 if they have nothing in common. It is symmetric, and finite even
if one side has no rows in a bin. The population stability index is not: there each empty bin needs
a made-up number, and a new value, or a feature that is suddenly NULL, cannot be measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def distance(one: Sequence[int], other: Sequence[int]) -> float | None:
    """The Jensen-Shannon distance, to the base 2, of two lists of counts.

    Args:
        one: rows in each bin.
        other: rows in the same bins.

    Returns:
        From 0 to 1; None if either has no rows, or the bins are not the same.
    """
    rows, others = sum(one), sum(other)
    if not rows or not others or len(one) != len(other):
        return None
    divergence = 0.0
    for n, m in zip(one, other, strict=True):
        p, q = n / rows, m / others
        middle = (p + q) / 2
        divergence += sum(x * math.log2(x / middle) / 2 for x in (p, q) if x)
    return math.sqrt(min(max(divergence, 0.0), 1.0))


def with_missing(counts: Sequence[int], rows: int) -> list[int]:
    """The counts of the bins; the last one counts rows without a value."""
    return [*counts, max(rows - sum(counts), 0)]
