"""What the tasks of a failed run say of it: each leaves its cause with Airflow, for the mail."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from feature_store.reporting.run.account import Account, Cause, account_of_tasks
from feature_store.reporting.secrets import hide

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

CAUSE = "cause"
"""The XCom key under which a task that fails leaves its cause."""


def leave_cause(context: Context, error: BaseException) -> None:
    """Leave a failed task's cause for the mail. Never raises."""
    try:
        cause = asdict(Cause.of(error))
        for name in ("text", "next_step"):
            cause[name] = hide(cause[name])
        for name in ("about", "items"):
            cause[name] = [hide(text) for text in cause[name]]
        context["ti"].xcom_push(key=CAUSE, value=cause)
    except Exception as problem:
        log.info("Could not keep this task's cause for the failure mail: %s", problem)


def told_by_airflow(
    ti: Any, dag_id: str, run_id: str, verdict: str
) -> tuple[Account, tuple[str, ...]]:
    """As `ask_airflow`; empty if Airflow does not answer."""
    try:
        return ask_airflow(ti, dag_id, run_id, verdict)
    except Exception as problem:
        log.warning("Airflow did not give the states of the run's tasks: %s", problem)
        return Account(), ()


def ask_airflow(ti: Any, dag_id: str, run_id: str, verdict: str) -> tuple[Account, tuple[str, ...]]:
    """What a run's tasks say of its failure, and their names.

    Args:
        ti: of the task that asks.
        dag_id: of the run.
        run_id: the run.
        verdict: the task that gives the verdict, whose own state says nothing.
    """
    states = ti.get_task_states(dag_id=dag_id, run_ids=[run_id]).get(run_id, {})
    account = account_of_tasks(
        {task: None if state is None else str(state) for task, state in states.items()},
        verdict,
        lambda task: ti.xcom_pull(task_ids=task, key=CAUSE, dag_id=dag_id, run_id=run_id),
    )
    return account, tuple(states)
