"""One fault, and the try of a task to which it is done."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from tests.faults.lab import Lab


@dataclass(frozen=True)
class Point:
    """One fault.

    Attributes:
        number: a hundred times its night's number, plus its own in that night.
        night: the number of its night.
        task: the task to whose try it is done.
        kind: one of `kinds.KINDS`.
        at: how far into the task's work, from 0 to 1.
        seconds: how long it lasts, for kinds that last.
        pick: which one is hit, where there is a choice.
    """

    number: int
    night: int
    task: str
    kind: str
    at: float
    seconds: float
    pick: int


@dataclass
class Scene:
    """A try to which something is done.

    Attributes:
        lab: where it runs.
        point: the fault.
        work: statements and commits that this task needs, as counted in a night without faults.
        environment: what the try's environment has beside the usual.
        network: the network namespace in which the try runs.
        took_effect: what was meant has happened.
        left: the scheduler has given the try up, although its process is there.
        instead: the state that a person gave the task, instead of letting it run.
    """

    lab: Lab
    point: Point
    work: tuple[int, int] = (20, 6)
    environment: dict[str, str] = field(default_factory=dict)
    network: str = ""
    took_effect: bool = False
    left: bool = False
    instead: str | None = None
    _process: psutil.Process | None = None
    _started: threading.Event = field(default_factory=threading.Event)

    def started(self, process: psutil.Process | None) -> None:
        self._process = process
        self._started.set()

    def to_process(self, act: str) -> None:
        """Call a method of psutil's on the try's process, unless that has ended."""
        self._started.wait(10)
        with suppress(psutil.NoSuchProcess):
            if self._process:
                getattr(self._process, act)()

    @property
    def statement(self) -> int:
        return 1 + int(self.point.at * self.work[0])

    @property
    def commit(self) -> int:
        return 1 + int(self.point.at * self.work[1])
