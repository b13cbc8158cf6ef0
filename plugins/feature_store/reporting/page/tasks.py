"""The tasks of a run, from Airflow's own database."""

from __future__ import annotations

from urllib.parse import quote

from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from sqlalchemy import select  # noqa: TID253  # only the API server comes here

from feature_store.reporting.page.run_models import TaskLine


def read_tasks(dag_id: str, run_id: str, may_see: bool) -> tuple[list[TaskLine], str]:
    """The tasks of a run in the order of their start, or words that say why there are none."""
    if not may_see:
        return [], "You may not see the tasks of this DAG in Airflow."
    wanted = select(TaskInstance).where(
        TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id
    )
    with create_session() as session:
        lines = [_line(task) for task in session.scalars(wanted)]
    if not lines:
        return [], "This Airflow does not know the run: it was deleted, or was another Airflow's."
    lines.sort(key=lambda t: (t.started_at is None, t.started_at, t.task_id))
    return lines, ""


def _line(task: TaskInstance) -> TaskLine:
    dag, run, name = (quote(text, safe="") for text in (task.dag_id, task.run_id, task.task_id))
    return TaskLine(
        task_id=task.task_id,
        state=None if task.state is None else str(task.state),
        tries=task.try_number,
        started_at=task.start_date,
        ended_at=task.end_date,
        seconds=task.duration,
        link=f"dags/{dag}/runs/{run}/tasks/{name}",
    )
