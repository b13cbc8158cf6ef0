"""What Airflow says of a failed run, and where people find it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from airflow.sdk.configuration import conf

from feature_store.as_of_day import as_of_day
from feature_store.declarations.dag_outline import VERDICT
from feature_store.errors import BadInput
from feature_store.reporting.mail.run_facts import LOG_LINK, RUN_LINK, FailedRun
from feature_store.reporting.run.account import Account
from feature_store.reporting.run.task_causes import told_by_airflow

if TYPE_CHECKING:
    from airflow.sdk import Context

    from feature_store.reporting.mail.mail_record import Untold
    from feature_store.settings import Settings


def failed_run(
    context: Context, error: BaseException | None, settings: Settings, recorded: bool
) -> FailedRun:
    """What Airflow knows of this run, which is failing."""
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
        run_type=run.run_type.value,
        given=run.conf or {},
        recorded=recorded,
    )


def untold_run(context: Context, untold: Untold, settings: Settings) -> FailedRun:
    """What Airflow and the record know of another run, which failed before."""
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
        run_type=untold.run_type,
        recorded=account is untold.account,
    )


def day_of(context: Context, settings: Settings) -> date | None:
    """The day that this run answers for, if there is one."""
    run = context["dag_run"]
    try:
        return as_of_day(
            logical_date=run.logical_date,
            run_after=run.run_after,
            zone=settings.zone,
            override=context["params"].get("as_of_day"),
            is_backfill=run.run_type.value == "backfill",
        )
    except BadInput:
        return None  # most likely the reason why the run failed


def links(
    settings: Settings, dag_id: str, run_id: str, account: Account | None = None
) -> tuple[tuple[str, str], ...]:
    """Where people find a run, its report, and the log of each task that failed."""
    base = settings.links_base or conf.get("api", "base_url", fallback="http://localhost:8080/")
    base = base.rstrip("/")
    run = f"{base}/dags/{_part(dag_id)}/runs/{_part(run_id)}"
    failed = account.failed if account else ()
    asked = urlencode({"dag_id": dag_id, "run_id": run_id}, errors="replace")
    return (
        *(
            (f"{LOG_LINK}{task}", f"{run}/tasks/{_part(task)}")
            for task in [one.task_id for one in failed] or [VERDICT]
        ),
        (RUN_LINK, run),
        ("Report", f"{base}/feature-store/api/report?{asked}"),
        ("Run on the store's page", f"{base}/feature-store/?{asked}"),
        *([("Runbook", settings.runbook)] if settings.runbook else []),
    )


def _part(text: str) -> str:
    return quote(text, errors="replace")
