"""What Airflow says of a failed run, and where people find it."""

from __future__ import annotations

import logging
from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from feature_store.declarations.dag_outline import VERDICT
from feature_store.errors import BadInput, StoreError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from feature_store.reporting.mail.mail_record import Untold
    from feature_store.reporting.mail.run_facts import FailedRun
    from feature_store.settings import Settings

log = logging.getLogger(__name__)

CAUSE = "cause"
"""The XCom key under which a task that fails leaves its cause, in a few words."""
REPORT = "report"
"""The XCom key under which the verdict's task leaves the address of the run's report."""

_MOST_CAUSES = 10


def failed_run(context: Context, error: BaseException | None, settings: Settings) -> FailedRun:
    """This run, that fails."""
    from feature_store.reporting.mail.run_facts import FailedRun

    run, ti = context["dag_run"], context["ti"]
    states, causes, report = _told_by_airflow(ti, run.dag_id, run.run_id)
    return FailedRun(
        dag_id=run.dag_id,
        run_id=run.run_id,
        task_id=ti.task_id,
        error=error,
        as_of_day=day_of(context, settings),
        logical_date=run.logical_date,
        states=states,
        causes=causes,
        links=(*links(ti, settings), *([("Report", report)] if report else [])),
    )


def untold_run(context: Context, untold: Untold, settings: Settings) -> FailedRun:
    """Another run, that has failed before."""
    from feature_store.reporting.mail.run_facts import FailedRun

    dag_id, run_id = untold.run.dag_id, untold.run.run_id
    states, causes, report = _told_by_airflow(context["ti"], dag_id, run_id)
    return FailedRun(
        dag_id=dag_id,
        run_id=run_id,
        task_id=VERDICT,
        error=StoreError(untold.problem),
        as_of_day=untold.as_of_day,
        states=states,
        causes=causes,
        links=(
            *(_pages(settings.links_base, dag_id, run_id, VERDICT) if settings.links_base else []),
            *([("Report", report)] if report else []),
        ),
    )


def day_of(context: Context, settings: Settings) -> date | None:
    """The day that this run answers for, if it answers for one."""
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
        return None  # what the run failed of, most likely


def links(ti: Any, settings: Settings) -> list[tuple[str, str]]:
    """Where people find this run and its log."""
    if not settings.links_base:
        return [("Log", ti.log_url)]
    return _pages(settings.links_base, ti.dag_id, ti.run_id, ti.task_id)


def _pages(base: str, dag_id: str, run_id: str, task_id: str) -> list[tuple[str, str]]:
    page = f"{base.rstrip('/')}/dags/{quote(dag_id)}/runs/{quote(run_id)}"
    return [("Run", page), ("Log", f"{page}/tasks/{quote(task_id)}")]


def _told_by_airflow(
    ti: Any, dag_id: str, run_id: str
) -> tuple[dict[str, str | None], dict[str, str], str | None]:
    """States of the tasks, causes of those that failed, and the report's address."""
    states: dict[str, str | None] = {}
    causes: dict[str, str] = {}
    report = None
    of_run = {"dag_id": dag_id, "run_id": run_id}
    try:
        found = ti.get_task_states(dag_id=dag_id, run_ids=[run_id])
        states = {
            task: None if state is None else str(state)
            for task, state in found.get(run_id, {}).items()
        }
        failed = [task for task, state in states.items() if state == "failed"]
        for task in failed[:_MOST_CAUSES]:
            causes[task] = ti.xcom_pull(task_ids=task, key=CAUSE, **of_run) or ""
        report = ti.xcom_pull(task_ids=VERDICT, key=REPORT, **of_run)
    except Exception as problem:
        log.warning("Airflow did not say how the run's tasks stand: %s", problem)
    return states, causes, report and str(report)
