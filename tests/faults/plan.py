"""Which faults there are: drawn by a seed, so that they are the same each time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from tests.faults.kinds import ANYWHERE, FATAL, MAIL, OF_PREPARE
from tests.faults.scene import Point

_COSTLY = {"cable pulled": 2, "lock held": 4, "paused, and given up": 2, "server crashed": 4}
"""Kinds that take long, and how often a night has them at most."""
_NIGHTS = 2
"""Nights of a round: one that fails, and one that mends all by itself."""
_MOST = {"expectations": 2, "assert_contract": 2}
"""Faults that a task has at most, by the beginning of its name; it has as many tries to spare."""


@dataclass(frozen=True)
class Planned:
    """A night and its faults.

    Attributes:
        night: its number, from 1 on.
        passes: whether it is to end well.
        points: its faults by task, in the order of the tries to which they are done.
        cleared: the task that a person clears when the night has failed.
    """

    night: int
    passes: bool
    points: dict[str, list[Point]]
    cleared: str | None = None


def draw_round(seed: int, number: int, tasks: Sequence[str], *, cable: bool) -> list[Planned]:
    """The nights of one round.

    Args:
        seed: the campaign's seed.
        number: the round's number, from 0 on.
        tasks: the DAG's tasks; the first and the last one stay in their places.
        cable: whether there is a cable that can be pulled.
    """
    draw = Random(f"{seed}/{number}")  # not for secrets
    fails, passes = (number * _NIGHTS + nth for nth in (1, 2))
    points = _Drawing(draw, fails, cable=cable).fails(tasks)
    cleared = next(iter(points)) if Random(f"{seed}/{number}/cleared").random() < 0.5 else None
    return [
        Planned(fails, False, points, cleared),
        Planned(passes, True, _Drawing(draw, passes, cable=cable).recovers(tasks)),
    ]


class _Drawing:
    def __init__(self, draw: Random, night: int, *, cable: bool) -> None:
        self._draw, self._night, self._count = draw, night, 0
        self._left = {kind: _COSTLY.get(kind, 99) for kind in ANYWHERE}
        self._left["cable pulled"] *= cable

    def recovers(self, tasks: Sequence[str]) -> dict[str, list[Point]]:
        """Faults that a night survives: each task is hit, most of them more than once."""
        points = {task: self._hit(task) for task in tasks}
        if self._draw.random() < 0.7:
            kind = self._draw.choice(sorted(OF_PREPARE))
            points[tasks[0]].append(self._point(tasks[0], kind))
        return points

    def _hit(self, task: str) -> list[Point]:
        times = self._draw.randint(1, _MOST.get(task.partition(".")[0], 3))
        return [self._point(task, self._any_kind()) for _ in range(times)]

    def fails(self, tasks: Sequence[str]) -> dict[str, list[Point]]:
        hit = self._draw.choice(tasks[1:-1])
        points = {hit: [self._point(hit, self._draw.choice(sorted(FATAL)))]}
        told = [self._draw.choice(sorted(MAIL))]
        if self._draw.random() < 0.3:
            told = ["killed before a statement"] * 4  # all tries, so that nothing is sent
        return points | {tasks[-1]: [self._point(tasks[-1], kind) for kind in told]}

    def _any_kind(self) -> str:
        kind = self._draw.choice([kind for kind, left in sorted(self._left.items()) if left])
        self._left[kind] -= 1
        return kind

    def _point(self, task: str, kind: str) -> Point:
        self._count += 1
        draw = self._draw
        number = self._night * 100 + self._count
        at, seconds = draw.random(), 1 + 5 * draw.random()
        return Point(number, self._night, task, kind, at, seconds, draw.randrange(1000))
