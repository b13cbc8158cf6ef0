"""One night: the scheduler's work, and what is compared after each fault and in the end."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime

import psutil

from tests import agreement
from tests.faults.kinds import KINDS
from tests.faults.lab import IDLE, Lab
from tests.faults.readers import Readers
from tests.faults.scene import Point, Scene
from tests.faults.worker import Try, wait_for

_LONGEST_TRY = 240.0
_HEARTBEAT = IDLE + 1
"""Seconds without a sign of life after which a try is given up; Airflow's default is 300, as long
as the store's default for an idle transaction."""
_SOURCES = (
    '"iPhone".iphone_listings',
    '"iPhone".iphone_ai_enrich',
    "feature_store.device_image_features_unified_v1",
)
_MAYBE_SECOND = "You may already have this mail"
Plan = Mapping[str, Sequence[Point]]
Work = dict[str, tuple[int, int]]


@dataclass
class Happened:
    """What became of a fault.

    Attributes:
        took_effect: what was meant has happened.
        ended: how the try ended, as the scheduler sees it.
        compared: what was looked at, and what was found.
        wrong: what should not be.
    """

    took_effect: bool
    ended: str
    compared: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


class Night:
    """A run of the DAG."""

    def __init__(self, lab: Lab, run: str, run_after: datetime, work: Work | None = None) -> None:
        """Prepare a night; nothing runs yet.

        Args:
            lab: where it runs.
            run: the run's id.
            run_after: the run's time, by the scheduler's clock.
            work: the statements and commits of each task; with None this night counts them.
        """
        self.lab, self.run, self._run_after = lab, run, run_after
        self.work: Work = {} if work is None else work
        self.happened: dict[int, Happened] = {}
        self.tries: dict[str, int] = {}
        self.state = "running"
        self._counts = work is None
        self._states: dict[str, str] = {}
        self._spent: dict[str, int] = {}  # tries, before a task was cleared
        self._sleeper: tuple[psutil.Process, Point] | None = None

    def go(self, plan: Plan) -> None:
        """Run the night with a plan's faults: each task's are done to its tries, in that order."""
        self._sources = self._count_sources()
        self.lab.book.put("run", self.run, value="running")
        states, verdict = self._states, self.lab.dag.tasks[-1]
        for task in self.lab.dag.tasks:
            if task in states:
                continue  # the task was not cleared
            held_up = any(states[before] != "success" for before in self.lab.dag.waits_for[task])
            if held_up and task != verdict:
                states[task] = "upstream_failed"
            else:
                states[task] = self._task(task, plan.get(task, ()))
            self.lab.book.put("task", self.run, task, value=states[task])
        self.state = "success" if states[verdict] == "success" else "failed"
        self.lab.book.put("run", self.run, value=self.state)

    def clear(self, task: str) -> None:
        """Clear a task and all that follows it, as a person does, and let the run go on."""
        cleared = {task}
        for later in self.lab.dag.tasks:
            if cleared & self.lab.dag.waits_for[later]:
                cleared.add(later)
        for one in cleared:
            self._spent[one] = self.tries.get(one, 0)
            self._states.pop(one, None)
            self.lab.book.put("task", self.run, one, value=None)
        self.go({})

    def _task(self, task: str, points: Sequence[Point]) -> str:
        number, left = self._spent.get(task, 0) + 1, list(points)
        while True:
            self.tries[task] = number
            ended = self._try(task, number, left.pop(0) if left else None)
            if ended in ("success", "failed"):
                return ended
            if ended == "up_for_reschedule":
                time.sleep(1)  # instead of FEATURE_STORE_LEASE_POLL, which is longer
            else:
                number += 1

    def _try(self, task: str, number: int, point: Point | None) -> str:
        lab = self.lab
        none = Point(0, 0, task, "", 0, 0, 0)
        scene = Scene(lab, point or none, self.work.get(task, (20, 6)), lab.environment())
        before = (lab.wire.statements, lab.wire.commits)
        with KINDS[point.kind](scene) if point else nullcontext():
            ended = scene.instead or self._run(scene, task, number)
        if self._counts:
            self.work[task] = (lab.wire.statements - before[0], lab.wire.commits - before[1])
        if point:
            happened = Happened(scene.took_effect, ended)
            self._compare(happened)
            self.happened[point.number] = happened
        return ended

    def _run(self, scene: Scene, task: str, number: int) -> str:
        last = self._spent.get(task, 0) + self.lab.dag.retries[task] + 1
        a_try = Try(
            run=self.run,
            task=task,
            number=number,
            last=last,
            run_after=self._run_after,
            environment=scene.environment,
            network=scene.network,
            log=self.lab.log,
        )
        process = self.lab.worker.start(a_try)
        scene.started(process)
        until = time.monotonic() + _LONGEST_TRY
        while not scene.left and not wait_for(process, 0.1):
            if time.monotonic() > until:
                raise TimeoutError(f"{task} of {self.run} takes more than {_LONGEST_TRY:.0f} s.")
        if scene.left and process:
            time.sleep(_HEARTBEAT)
            self._sleeper = (process, scene.point)
        elif self._sleeper:
            sleeper, self._sleeper = self._sleeper[0], None
            sleeper.resume()
            wait_for(sleeper, _LONGEST_TRY)
        lost = "failed" if number == last else "up_for_retry"
        return (None if scene.left else self.lab.worker.outcome(a_try)) or lost

    def _compare(self, happened: Happened) -> None:
        """Compare what must hold at any time, also right after a fault."""
        sources = self._count_sources()
        with self.lab.session() as here:
            row = here.execute("SELECT run_id FROM feature_store_audit.lease").fetchone()
        holder = row[0] if row else None
        happened.compared["source rows"] = f"{sum(sources)} of {sum(self._sources)}"
        happened.compared["lease"] = str(holder)
        if sources != self._sources:
            happened.wrong.append(f"source rows: {self._sources} before, {sources} after")
        # A task that waits for the lease of an unknown run takes it when the grace is over.
        if holder not in (None, self.run) and happened.ended != "up_for_reschedule":
            happened.wrong.append(f"the lease is held by {holder}")

    def _count_sources(self) -> list[int]:
        with self.lab.session() as here:
            rows = [here.execute(f"SELECT count(*) FROM {s}".encode()).fetchone() for s in _SOURCES]
        return [row[0] for row in rows if row]

    def judge(self, readers: Readers, *, passes: bool) -> tuple[dict[str, str], list[str]]:
        """Compare what must hold at the end. Returns what was found, and what is wrong.

        Args:
            readers: the readers that have read all the time.
            passes: whether the night was to end well.
        """
        wrong: list[str] = []
        with self.lab.session() as here:
            voices = agreement.told(
                self.run, self.state, here, self.lab.mailbox.mails(), self.lab.reports
            )
            row = here.execute("SELECT run_id FROM feature_store_audit.lease").fetchone()
        voices.pop("mail")  # mails are counted later, as the next run may send one
        lease = row[0] if row else None
        if set(voices.values()) != {passes}:
            wrong.append(f"was to {'pass' if passes else 'fail'}, but they say {voices}")
        if passes and lease is not None:
            wrong.append(f"the lease is held by {lease}")
        halves = readers.halves()
        wrong += halves
        left = self._sessions_left()
        if left:
            wrong.append(f"sessions left: {left}")
        return {
            "airflow, record, report, page, readers": f"all say {self.state}"
            if len(set(voices.values())) == 1
            else str(voices),
            "lease": f"held by {lease}" if lease else "free",
            "layers read": f"{readers.reads} times, {len(halves)} halves",
            "longest wait of a reader": f"{readers.longest:.1f} s",
            "sessions left": str(len(left)),
        }, wrong

    def mails(self) -> tuple[int, bool]:
        """How many mails say that it failed, and if each but the first says it may be a repeat."""
        texts = agreement.failure_mails(self.run, self.lab.mailbox.mails())
        return len(texts), all(_MAYBE_SECOND in text for text in texts[1:])

    def _sessions_left(self) -> list[str]:
        query = (
            "SELECT application_name FROM pg_stat_activity "
            "WHERE application_name LIKE 'feature_store %' AND datname = current_database()"
        )
        left: list[str] = []
        with self.lab.session() as here:
            for _ in range(10 * (IDLE + 4)):
                left = [name for (name,) in here.execute(query.encode())]
                if not left:
                    break
                time.sleep(0.1)
        return left
