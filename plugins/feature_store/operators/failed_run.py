"""Failed runs: what failed before the verdict, and the record of the verdict."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from feature_store.audit.lease import release_lease
from feature_store.audit.runs import fail_run
from feature_store.declarations.feature_sets import logged_sets
from feature_store.errors import BadInput, LogBroken, RunFailed, StoreError
from feature_store.operators.airflow_run import run_key_of
from feature_store.operators.run_opening import open_record
from feature_store.reporting.run.task_causes import ask_airflow, told_by_airflow
from feature_store.schema.audit_migrations import audit_is_current
from feature_store.schema.object_states import has_audit
from feature_store.schema.store_record import another_store
from feature_store.text_format import in_words, plural
from feature_store.validation.certification import keep_broken_logs, revoke

if TYPE_CHECKING:
    from airflow.sdk import Context

    from feature_store.connection import Connection
    from feature_store.settings import Settings


def record_failure(
    connection: Connection, settings: Settings, context: Context, error: BaseException
) -> int | None:
    """Record that the run failed, and why. Returns the verdict's number; None if not recorded."""
    run = run_key_of(context)
    if another_store(connection, settings.include_dir):
        return None  # whose record says nothing of this one
    if not audit_is_current(connection):
        if has_audit(connection):
            release_lease(connection, run)  # prepare stopped the run and has reported it
        return None
    with suppress(BadInput):  # a run for no day leaves no record
        open_record(connection, settings, context, once=True)
    problem = error.problem if isinstance(error, StoreError) else str(error).strip()
    tasks, _ = told_by_airflow(context["ti"], run.dag_id, run.run_id, context["ti"].task_id)
    account = tasks.raised(error).record()
    with connection.transaction():
        verdict = fail_run(connection, run, problem, account, context["ti"].max_tries)
        revoke(connection, run)
        if isinstance(error, LogBroken):
            keep_broken_logs(connection, run, logged_sets(settings.include_dir))
    return verdict


def failed_before(context: Context) -> RunFailed | None:
    """What failed before the verdict, or did not run; None if all is well."""
    run = context["dag_run"]
    account, _ = ask_airflow(context["ti"], run.dag_id, run.run_id, context["ti"].task_id)
    if not account.failed and not account.never_ran:
        return None
    items = list(map(str, account.failed))
    if account.never_ran:
        items.append(
            f"{plural(len(account.never_ran), 'task')} did not run: {in_words(account.never_ran)}"
        )
    return RunFailed(
        "Tasks of this run did not do their work:",
        items=items,
        readers="new rows of layers that were refreshed before the failure, old rows of the "
        "others.",
        next_step="Read the log of the failed task, fix the cause, then clear that task with "
        "what follows it.",
    )
