"""Random draws that give the same values on every machine and every Python.

Only ``Random.random`` is used: its sequence for a seed is guaranteed, that of ``choice``, ``gauss``
and their like is not. The distributions are built from additions, multiplications and tables, which
IEEE arithmetic fixes to the last bit; ``exp`` and ``log`` would depend on the C library.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")

Draw = Callable[[], float]
"""Gives the next number of a stream, 0 <= x < 1."""


def stream(seed: int, purpose: int, chunk: int) -> Draw:
    """Return the stream that belongs to one chunk of listings and one purpose.

    Each purpose has its own stream, so that each table can be generated alone: listings, AI rows
    and image rows agree on the facts without reading each other's draws.
    """
    return Random((((seed << 8) | purpose) << 32) | chunk).random


def pick(draw: Draw, choices: Sequence[T]) -> T:
    """Return one of the choices, each equally likely."""
    return choices[int(draw() * len(choices))]


def between(draw: Draw, low: int, high: int) -> int:
    """Return an integer from low to high, both possible."""
    return low + int(draw() * (high - low + 1))


def noise(draw: Draw) -> float:
    """Return a nearly normal value: mean 0, deviation 1, never outside -3 to 3."""
    return 2 * (draw() + draw() + draw()) - 3


def quantile(draw: Draw, table: Sequence[float]) -> float:
    """Return a value of the distribution whose equally spaced quantiles the table lists."""
    position = draw() * (len(table) - 1)
    step = int(position)
    return table[step] + (table[step + 1] - table[step]) * (position - step)


def weighted(*choices: tuple[T, int]) -> tuple[T, ...]:
    """Return a tuple for ``pick`` in which each choice occurs as often as its weight says."""
    return tuple(choice for choice, weight in choices for _ in range(weight))
