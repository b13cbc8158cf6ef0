"""What makes a run a failed one: what failed in it before the verdict, and the verdict's record."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from feature_store.audit.lease import release_lease
from feature_store.declarations.dag_outline import EXPECTATIONS
from feature_store.errors import BadInput, RunFailed, StoreError
from feature_store.operators.airflow_run import holder_of
from feature_store.reporting.mail.send import CAUSE
from feature_store.text_format import bullets

if TYPE_CHECKING:
    from airflow.sdk import Context
    from psycopg import Connection

    from feature_store.settings import Settings

_MOST_CAUSES = 10
# The states of a task that came to an end of its own.
_ENDED = ("success", "failed")


def record_failure(
    connection: Connection[Any], settings: Settings, context: Context, error: BaseException
) -> int | None:
    """Record that the run failed, and why; the verdict's number, None where none can be kept."""
    from feature_store.audit.runs import fail_run
    from feature_store.operators.run_opening import open_record
    from feature_store.schema.audit_migrations import audit_is_current
    from feature_store.schema.object_states import has_audit
    from feature_store.validation.certification import withdraw

    holder = holder_of(context)
    if not audit_is_current(connection, settings.include_dir):
        if has_audit(connection):
            release_lease(connection, holder)  # prepare stopped the run, and has said so
        return None
    with suppress(BadInput):  # a run for no day leaves no record
        open_record(connection, settings, context, once=True)
    problem = error.problem if isinstance(error, StoreError) else str(error).strip()
    with connection.transaction():
        verdict = fail_run(connection, holder, problem, context["ti"].max_tries)
        withdraw(connection, holder)
    return verdict


def failed_before(context: Context, connection: Connection[Any] | None = None) -> RunFailed | None:
    """What failed before the verdict, or did not run; None if all is well."""
    run, task = context["dag_run"], context["task"]
    states = context["ti"].get_task_states(dag_id=run.dag_id, run_ids=[run.run_id])
    by_task = states.get(run.run_id, {})
    failed = sorted(t for t, state in by_task.items() if state == "failed")
    never_ran = sorted(
        t for t, state in by_task.items() if t != task.task_id and state not in _ENDED
    )
    if not failed and not never_ran:
        return None
    problem = f"Failed: {', '.join(failed) or 'no task'}."
    if never_ran:
        problem += f" Did not run: {', '.join(never_ran)}."
    causes = {t: context["ti"].xcom_pull(task_ids=t, key=CAUSE) for t in failed[:_MOST_CAUSES]}
    if any(causes.values()):
        problem += "\n" + bullets([f"{task}: {cause}" for task, cause in causes.items() if cause])
    if connection is not None:
        from feature_store.validation.suite_record import breaches

        groups = ((task.rpartition("."), state) for task, state in by_task.items())
        ended = [s for (group, _, s), state in groups if group == EXPECTATIONS and state in _ENDED]
        problem += breaches(connection, holder_of(context), ended)
    return RunFailed(
        problem,
        readers="layers that were refreshed before the failure show new rows, the others old.",
        next_step="Read the log of the task that failed, mend it, then clear that task with what "
        "follows it.",
    )
