"""One run of the real DAG in this process, with one more task in it that does the harm."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseOperator

from feature_store.declarations.dag_outline import EXPECTATIONS
from sandbox.breakages.breakage import DEVICES, Breakage, Scene
from sandbox.dag_run import load_dag

_HARM = "harm"
_MAILS = "feature_store.reporting.mail"


@dataclass(frozen=True)
class Ended:
    """A run that ended: its state, its tasks' states, how often each was tried.

    Attributes:
        mail_errors: the lines that its mail left in the log as errors.
    """

    run_id: str
    state: str
    tasks: dict[str, str]
    tries: dict[str, int]
    mail_errors: list[str]


class HarmOperator(BaseOperator):
    """A task that does the harm."""

    def __init__(self, *, act: Callable[[], None], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._act = act

    def execute(self, context: Any) -> None:  # noqa: ARG002  # Airflow's signature
        """Do it."""
        self._act()


def run_dag(breakage: Breakage | None = None, scene: Scene | None = None) -> Ended:
    """Run the DAG of the environment; with a breakage, do its harm on the way."""
    dag = load_dag()
    for task in dag.tasks:
        task.retry_delay = timedelta(0)
    if breakage and scene and breakage.during:
        _insert(dag, breakage, scene)
    with _Lines() as lines:
        sample = breakage.sample if breakage else DEVICES
        ended = dag.test(
            # Most breakages change nothing that a refresh reads, so ask for a refresh anyway.
            run_conf={"as_of_day": sample.last_day.isoformat(), "refresh_unchanged": True},
            mark_success_pattern=breakage.marked if breakage else None,
        )
    instances = [i for i in ended.get_task_instances() if i.task_id != _HARM]
    return Ended(
        run_id=ended.run_id,
        state=str(ended.state),
        tasks={i.task_id: str(i.state) for i in instances},
        tries={i.task_id: i.try_number for i in instances},
        mail_errors=lines.errors,
    )


def _insert(dag: Any, breakage: Breakage, scene: Scene) -> None:
    """Put the harm's task where the breakage wants it; nothing else of the DAG changes."""
    do = breakage.during
    assert do is not None  # the caller looked
    suites = [t for t in dag.task_ids if t.startswith(f"{EXPECTATIONS}.")]
    if breakage.after:
        above = [breakage.after]
        below = sorted(dag.get_task(breakage.after).downstream_task_ids)
    elif breakage.before_suite:
        below = [f"expectations.{breakage.before_suite}"]
        above = [suite for suite in suites if suite not in below]
    else:
        above = sorted(dag.get_task(suites[0]).upstream_task_ids)
        below = suites
    harm = HarmOperator(task_id=_HARM, act=lambda: do(scene), dag=dag)
    harm.set_upstream([dag.get_task(task) for task in above])
    harm.set_downstream([dag.get_task(task) for task in below])


class _Lines(logging.Handler):
    """Collects what the mail logs as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.errors: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.errors.append(record.getMessage())

    def __enter__(self) -> _Lines:
        logging.getLogger(_MAILS).addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger(_MAILS).removeHandler(self)
