"""A figure of a result: a number, or a lower bound of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from statistics import median


@dataclass(frozen=True)
class Figure:
    """A median, or what was made of medians.

    Attributes:
        value: the number.
        lower_bound: whether the true number may be larger, because a query was ended early.
    """

    value: float
    lower_bound: bool = False


def median_figure(values: Sequence[float], given_up: Sequence[bool]) -> Figure:
    """The median of runs.

    A run that was ended early would have taken longer, by an unknown time. The median is exact if
    it does not depend on that time.

    Args:
        values: run by run.
        given_up: run by run, whether the value is only a lower bound.
    """
    least = median(values)
    most = median(inf if up else value for value, up in zip(values, given_up, strict=True))
    return Figure(least, lower_bound=most > least)


def ratio(above: Figure | None, below: Figure | None) -> Figure | None:
    """How many times more; None if either is not known, or the divisor is only a lower bound."""
    if above is None or below is None or not below.value or below.lower_bound:
        return None
    return Figure(above.value / below.value, above.lower_bound)
