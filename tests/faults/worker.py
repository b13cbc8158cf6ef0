"""A worker: it has imported everything, and forks a process for each try of a task."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil

from tests.faults.book import DAG_ID, Book, TaskInstance
from tests.network import enter


@dataclass(frozen=True)
class Try:
    """One try of a task.

    Attributes:
        run: its run's id.
        task: its task's id.
        number: which try of the task it is, from 1 on.
        last: the number of the task's last try.
        run_after: the run's time, by the scheduler's clock.
        environment: of the process, beside this one's.
        network: the namespace in which it runs; empty for this machine's.
        log: the file to which it writes.
    """

    run: str
    task: str
    number: int
    last: int
    run_after: datetime
    environment: dict[str, str]
    network: str
    log: Path


@dataclass(frozen=True)
class Dag:
    """The DAG, as far as the scheduler needs it.

    Attributes:
        tasks: their ids, each after all that it waits for; the verdict's is last.
        waits_for: the tasks that must have succeeded before each.
        retries: how often each is tried again.
        real: Airflow's own object.
    """

    tasks: tuple[str, ...]
    waits_for: dict[str, frozenset[str]]
    retries: dict[str, int]
    real: Any


def load() -> Dag:
    """Read the DAG, and import what is slow, as the scheduler's own workers do."""
    import feature_store.validation.suites  # noqa: F401, I001  # first: it keeps the next one quiet
    import great_expectations  # noqa: F401

    from sandbox.dag_run import load_dag

    real = load_dag()
    tasks = tuple(task.task_id for task in real.topological_sort())
    return Dag(
        tasks,
        {task: frozenset(real.get_task(task).upstream_task_ids) for task in tasks},
        {task: real.get_task(task).retries for task in tasks},
        real,
    )


class Worker:
    """Starts tries. Make it before this process has threads: only one of them survives a fork."""

    def __init__(self, book: Book, dag: Dag) -> None:
        self._book = book
        self._to, ours = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("fork").Process(
            target=_serve, args=(ours, self._to, book, dag.real)
        )
        self._process.start()
        ours.close()

    def start(self, a_try: Try) -> psutil.Process | None:
        """Start one; None if it has ended already."""
        self._book.put("ended", a_try.run, a_try.task, str(a_try.number), value=None)
        self._to.send(a_try)
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self._to.recv())
        return None

    def outcome(self, a_try: Try) -> str | None:
        """How a try ended for Airflow; None if it died without a word."""
        ended: str | None = self._book.get("ended", a_try.run, a_try.task, str(a_try.number))
        return ended

    def close(self) -> None:
        with suppress(OSError):  # the worker has ended
            self._to.send(None)
        self._process.join(10)


def wait_for(process: psutil.Process | None, seconds: float) -> bool:
    """Whether a process ended within so many seconds."""
    until = time.monotonic() + seconds
    while process is not None and process.is_running():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def _serve(pipe: Connection, theirs: Connection, book: Book, dag: Any) -> None:
    theirs.close()  # so that the pipe ends with its other side
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for its children
    while (a_try := _next(pipe)) is not None:
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            code = 1
            with suppress(BaseException):
                _write_to(a_try.log)
                _work(a_try, dag, book)
                code = 0
            os._exit(code)
        pipe.send(pid)


def _next(pipe: Connection) -> Try | None:
    with suppress(EOFError):
        a_try: Try | None = pipe.recv()
        return a_try
    return None


def _write_to(log: Path) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)


def _work(a_try: Try, dag: Any, book: Book) -> None:
    from airflow.sdk.exceptions import AirflowFailException, AirflowRescheduleException

    os.environ.update(a_try.environment)
    if a_try.network:
        enter(a_try.network)
    task = dag.get_task(a_try.task)
    ti = TaskInstance(book, a_try.run, a_try.task, a_try.number, a_try.last - 1)
    run = SimpleNamespace(
        dag_id=DAG_ID,
        run_id=a_try.run,
        logical_date=None,
        run_after=a_try.run_after,
        start_date=a_try.run_after,
        run_type=SimpleNamespace(value="manual"),
        conf={},
    )
    events = {outlet: SimpleNamespace(extra={}) for outlet in task.outlets}
    context = {"ti": ti, "dag_run": run, "params": {}, "task": task, "outlet_events": events}
    signal.signal(signal.SIGTERM, lambda *_: task.on_kill())
    print(f"--- {a_try.task}, try {a_try.number}", flush=True)
    try:
        task.execute(context)
        outcome = "success"
    except AirflowRescheduleException:
        outcome = "up_for_reschedule"
    except AirflowFailException:
        traceback.print_exc()
        outcome = "failed"
    except BaseException:
        traceback.print_exc()
        outcome = "failed" if a_try.number == a_try.last else "up_for_retry"
    book.put("ended", a_try.run, a_try.task, str(a_try.number), value=outcome)
    sys.stdout.flush()
