"""What Airflow says of a failed run, and where people find it."""

from __future__ import annotations

import logging
from dataclasses import asdict, replace
from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from feature_store.declarations.dag_outline import VERDICT
from feature_store.errors import BadInput
from feature_store.reporting.mail.secrets import hide

if TYPE_CHECKING:
    from airflow.sdk import Context

    from feature_store.reporting.mail.mail_record import Untold
    from feature_store.reporting.mail.run_facts import FailedRun
    from feature_store.reporting.run.account import Account
    from feature_store.settings import Settings

log = logging.getLogger(__name__)

CAUSE = "cause"
"""The XCom key under which a task that fails leaves its cause."""


def leave_cause(context: Context, error: BaseException) -> None:
    """Leave a failed task's cause for the mail. Never raises."""
    from feature_store.reporting.run.account import Cause

    try:
        cause = asdict(Cause.of(error))
        for name in ("text", "next_step"):
            cause[name] = hide(cause[name])
        for name in ("about", "items"):
            cause[name] = [hide(text) for text in cause[name]]
        context["ti"].xcom_push(key=CAUSE, value=cause)
    except Exception as problem:
        log.info("Could not keep this task's cause for the failure mail: %s", problem)


def failed_run(context: Context, error: BaseException | None, settings: Settings) -> FailedRun:
    """What Airflow knows of this run, which is failing."""
    from feature_store.reporting.mail.run_facts import FailedRun

    run, ti = context["dag_run"], context["ti"]
    account, tasks = told_by_airflow(ti, run.dag_id, run.run_id, ti.task_id)
    account = account.raised(error)
    return FailedRun(
        dag_id=run.dag_id,
        run_id=run.run_id,
        account=account,
        as_of_day=day_of(context, settings),
        logical_date=run.logical_date,
        tasks=tasks,
        links=links(settings, run.dag_id, run.run_id, account),
    )


def untold_run(context: Context, untold: Untold, settings: Settings) -> FailedRun:
    """What Airflow and the record know of another run, which failed before."""
    from feature_store.reporting.mail.run_facts import FailedRun

    dag_id, run_id = untold.run.dag_id, untold.run.run_id
    now, tasks = told_by_airflow(context["ti"], dag_id, run_id, VERDICT)
    account = untold.account
    if not account.failed:
        account = replace(account, failed=now.failed, never_ran=now.never_ran)
    return FailedRun(
        dag_id=dag_id,
        run_id=run_id,
        account=account,
        as_of_day=untold.as_of_day,
        tasks=tasks,
        links=links(settings, dag_id, run_id, account),
    )


def told_by_airflow(
    ti: Any, dag_id: str, run_id: str, verdict: str
) -> tuple[Account, tuple[str, ...]]:
    """As `ask_airflow`; empty if Airflow does not answer."""
    from feature_store.reporting.run.account import Account

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
    from feature_store.reporting.run.account import account_of_tasks

    states = ti.get_task_states(dag_id=dag_id, run_ids=[run_id]).get(run_id, {})
    account = account_of_tasks(
        {task: None if state is None else str(state) for task, state in states.items()},
        verdict,
        lambda task: ti.xcom_pull(task_ids=task, key=CAUSE, dag_id=dag_id, run_id=run_id),
    )
    return account, tuple(states)


def day_of(context: Context, settings: Settings) -> date | None:
    """The day that this run answers for, if there is one."""
    from feature_store.as_of_day import as_of_day

    run = context["dag_run"]
    try:
        return as_of_day(
            logical_date=run.logical_date,
            run_after=run.run_after,
            zone=settings.zone,
            override=context["params"].get("as_of_day"),
        )
    except BadInput:
        return None  # most likely the reason why the run failed


def links(
    settings: Settings, dag_id: str, run_id: str, account: Account | None = None
) -> tuple[tuple[str, str], ...]:
    """Where people find a run, its report, and the log of the task that failed first."""
    from airflow.sdk.configuration import conf

    base = settings.links_base or conf.get("api", "base_url", fallback="http://localhost:8080/")
    base = base.rstrip("/")
    run = f"{base}/dags/{_part(dag_id)}/runs/{_part(run_id)}"
    task = account.failed[0].task_id if account and account.failed else VERDICT
    asked = urlencode({"dag_id": dag_id, "run_id": run_id}, errors="replace")
    return (
        (f"Log of {task}", f"{run}/tasks/{_part(task)}"),
        ("Run in Airflow", run),
        ("Report", f"{base}/feature-store/api/report?{asked}"),
        ("Run on the store's page", f"{base}/feature-store/?{asked}"),
    )


def _part(text: str) -> str:
    return quote(text, errors="replace")
