"""What only Airflow knows of a run, from its own database: the tasks, and the logical date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from sqlalchemy import select  # noqa: TID253  # only the API server comes here

from feature_store.reporting.page.run_models import TaskLine


@dataclass(frozen=True)
class RunTasks:
    """The tasks of a run.

    Attributes:
        tasks: in the order of their start.
        words: why there are none, if so.
        logical_date: of the run, by which its tasks can be cleared; None if it has none, or if
            there are no tasks.
        given: the run's conf; None: not known.
    """

    tasks: tuple[TaskLine, ...] = ()
    words: str = ""
    logical_date: datetime | None = None
    given: Mapping[str, Any] | None = None


def read_tasks(dag_id: str, run_id: str, may_see: bool) -> RunTasks:
    """Read the tasks of a run, for somebody who may or may not see those of its DAG."""
    if not may_see:
        return RunTasks(words="You may not see the tasks of this DAG in Airflow.")
    of_run = {"dag_id": dag_id, "run_id": run_id}
    with create_session() as session:
        lines = [_line(task) for task in session.scalars(select(TaskInstance).filter_by(**of_run))]
        run = session.execute(select(DagRun.logical_date, DagRun.conf).filter_by(**of_run)).first()
    if run is None or not lines:
        words = "This Airflow does not know the run: it was deleted, or was another Airflow's."
        return RunTasks(words=words)
    lines.sort(key=lambda t: (t.started_at is None, t.started_at, t.task_id))
    return RunTasks(tuple(lines), logical_date=run.logical_date, given=run.conf or {})


def _line(task: TaskInstance) -> TaskLine:
    dag, run, name = (quote(text, safe="") for text in (task.dag_id, task.run_id, task.task_id))
    return TaskLine(
        task_id=task.task_id,
        state=None if task.state is None else str(task.state),
        tries=task.try_number,
        started_at=task.start_date,
        seconds=task.duration,
        link=f"dags/{dag}/runs/{run}/tasks/{name}",
    )
