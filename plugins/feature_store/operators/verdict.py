"""The DAG's last operator: the verdict on the whole run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import psycopg

from feature_store.audit.lease import Lease, release_lease
from feature_store.declarations.dag_outline import SUITES
from feature_store.errors import (
    BadInput,
    NotReady,
    RunFailed,
    RunOver,
    StoreError,
    passes_on_its_own,
)
from feature_store.operators.airflow_run import as_of_day_of, holder_of, take_turn, today_of
from feature_store.operators.tasks import StoreOperator
from feature_store.reporting.mail.send import CAUSE, REPORT, mail_reviews
from feature_store.settings import Settings
from feature_store.text_format import bullets

if TYPE_CHECKING:
    from airflow.sdk import Context
    from psycopg import Connection

    from feature_store.declarations.store_definition import Store
    from feature_store.validation.leaks.gate_context import Scene

log = logging.getLogger(__name__)

_MOST_CAUSES = 10
# The states of a task that came to an end of its own.
_ENDED = ("success", "failed")


class AssertContractOperator(StoreOperator):
    """The verdict: fail if anything failed before, else hold the store to its contracts.

    Runs whatever happened before (give it ``trigger_rule="all_done"``), writes the run's report,
    gives the lease back, and raises by itself: a last task that succeeds would turn a failed run
    green. If all is well it certifies what the run refreshed; only then do its outlets, the assets
    of what readers read, get their events.

    Returns (XCom): the hash of each feature set.
    """

    def work(
        self, connection: Connection[Any], settings: Settings, context: Context
    ) -> dict[str, str | None]:
        """Give the verdict, record it and release the lease."""
        from feature_store.schema.object_states import require_store
        from feature_store.schema.readiness import check_access

        try:
            require_store(connection)
            check_access(connection)
        except NotReady:
            failed = _failed_before(context)  # by what Airflow alone knows of it
            if failed is None:
                raise
            with suppress(psycopg.Error):
                self._fail(connection, settings, context, failed)
            raise failed from None
        try:
            hashes = self._assert(connection, settings, context)
        except (StoreError, psycopg.Error) as error:
            # Else this task is tried again, still in its turn.
            if not (self.stopped or passes_on_its_own(error) or isinstance(error, RunOver)):
                self._fail(connection, settings, context, error)
            raise
        # The store is certified: from here on nothing fails the task, for readers are let through.
        with _whatever_happens("Reviews were not mailed"):
            _tell_of_reviews(connection, context)
        with _whatever_happens("What was certified was not announced"):
            self._announce(connection, context)
        with _whatever_happens("The lease was not given back; the next run takes it"):
            self._end(connection, settings, context)
        return hashes

    def _assert(
        self, connection: Connection[Any], settings: Settings, context: Context
    ) -> dict[str, str | None]:
        from feature_store.declarations.store_definition import read_store
        from feature_store.validation.certification import certify

        failed = _failed_before(context, connection)
        if failed:
            raise failed
        store = read_store(settings.include_dir)
        lease = take_turn(connection, settings, context)
        hashes = _assert_contracts(connection, store, lease, settings)
        _assert_history(connection, store, lease, settings, context)
        with connection.transaction():
            certify(connection, lease, store)
        log.info("Certified: what readers read now is proven.")
        return hashes

    def _fail(
        self,
        connection: Connection[Any],
        settings: Settings,
        context: Context,
        error: StoreError | psycopg.Error,
    ) -> None:
        from feature_store.audit.runs import fail_run
        from feature_store.operators.run_opening import open_record
        from feature_store.schema.audit_migrations import audit_is_current
        from feature_store.validation.certification import withdraw

        holder = holder_of(context)
        if not audit_is_current(connection, settings.include_dir):
            release_lease(connection, holder)  # prepare stopped the run, and has said so
            return
        with suppress(BadInput):  # a run for no day leaves no record
            open_record(connection, settings, context, once=True)
        problem = error.problem if isinstance(error, StoreError) else str(error).strip()
        with connection.transaction():
            fail_run(connection, holder, problem)
            withdraw(connection, holder)
        self._end(connection, settings, context)

    def _end(self, connection: Connection[Any], settings: Settings, context: Context) -> None:
        """What follows the verdict and cannot change it; then the lease is given back."""
        from feature_store.audit.retention import forget

        self._report(connection, settings, context)
        with _whatever_happens("Retention was not applied"):
            log.info("Retention: %s.", forget(connection, settings))
        release_lease(connection, holder_of(context))

    def _report(self, connection: Connection[Any], settings: Settings, context: Context) -> None:
        """Write the run's report. The verdict does not depend on it."""
        from feature_store.declarations.leak_rules import read_exceptions
        from feature_store.reporting.report.render import write_report

        try:
            exceptions = read_exceptions(settings.include_dir)
            path = write_report(connection, holder_of(context), settings.report_dir, exceptions)
            context["ti"].xcom_push(key=REPORT, value=str(path))
        except Exception as error:
            log.warning("The report could not be written: %s", error)
        else:
            log.info("The run's report: %s", path)

    def _announce(self, connection: Connection[Any], context: Context) -> None:
        """Say in the event of each relation's asset what was certified."""
        from feature_store.validation.certification import read_certified

        certified = read_certified(connection)
        for outlet in self.outlets:
            extra = {"run_id": context["dag_run"].run_id}
            context["outlet_events"][outlet].extra = extra | certified.get(outlet.name, {})


@contextmanager
def _whatever_happens(words: str) -> Iterator[None]:
    """Log what goes wrong with something on which the verdict does not depend."""
    try:
        yield
    except Exception as error:
        log.warning("%s: %s", words, error)


def _tell_of_reviews(connection: Connection[Any], context: Context) -> None:
    """Mail the pending reviews that no mail has told of."""
    from feature_store.validation.history.mailed_reviews import mark_mailed, unmailed_reviews

    reviews = unmailed_reviews(connection)
    for review in reviews:
        log.warning("For review: %s", review)
    if reviews and mail_reviews(context, reviews):
        mark_mailed(connection, reviews)


def _assert_contracts(
    connection: Connection[Any], store: Store, lease: Lease, settings: Settings
) -> dict[str, str | None]:
    """Hold each feature set to its contract, and all that they reach to the leak gates."""
    from feature_store.declarations.feature_sets import read_feature_sets
    from feature_store.declarations.leak_rules import read_exceptions, read_rules
    from feature_store.schema.contract_stamp import assert_contract
    from feature_store.validation.leaks.gates import assert_no_leak, read_scene

    feature_sets = read_feature_sets(settings.include_dir)
    hashes = {}
    for feature_set in feature_sets:
        checked = assert_contract(connection, feature_set)
        log.info(
            "Feature set %s: OK, n=%s, hash=%s, carried by %s.",
            checked.name,
            checked.live_n,
            checked.live_hash,
            checked.relation,
        )
        hashes[checked.name] = checked.live_hash
    rules, exceptions = read_rules(settings.include_dir), read_exceptions(settings.include_dir)
    scene = read_scene(connection, store, feature_sets, rules, exceptions)
    warnings = assert_no_leak(connection, scene)
    for warning in warnings:
        log.warning("%s: %s", warning.gate, warning)
    log.info("The leak gates found no leak; %s exceptions are declared.", len(exceptions))
    _record_provenance(connection, lease, scene)
    return hashes


def _record_provenance(connection: Connection[Any], lease: Lease, scene: Scene) -> None:
    """Keep what each feature is made of. The verdict does not depend on it being told."""
    from feature_store.validation.leaks.feature_lineage import record_provenance, trace_features

    try:
        traced = trace_features(scene)
    except Exception as error:
        log.warning("What the features are made of could not be traced: %s", error)
        return
    try:
        record_provenance(connection, lease, traced)
    except psycopg.errors.QueryCanceled:
        raise  # somebody stops this task
    except psycopg.Error as error:
        log.warning("What the features are made of could not be recorded: %s", error)


def _assert_history(
    connection: Connection[Any],
    store: Store,
    lease: Lease,
    settings: Settings,
    context: Context,
) -> None:
    """Judge history; what a backfill answers for is accepted by it."""
    from feature_store.declarations.history_series import read_history
    from feature_store.validation.history.acceptance import accept_backfill_day
    from feature_store.validation.history.judgement import judge_history
    from feature_store.validation.history.result import assert_history

    layers = read_history(settings.include_dir, store)
    day = as_of_day_of(context, settings)
    today = today_of(context, settings)
    verdict = judge_history(connection, layers, lease, day, settings, today)
    if context["dag_run"].run_type.value == "backfill":
        # The backfill of a day is what accepts late data of that day, and of no other.
        for accepted in accept_backfill_day(connection, lease):
            log.info("Accepted by this backfill: %s", accepted)
    assert_history(verdict)
    for change in verdict.definition_changes:
        log.warning("History begins anew: %s", change)


def _failed_before(context: Context, connection: Connection[Any] | None = None) -> RunFailed | None:
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
        from feature_store.validation.suites import breaches

        ended = [suite for suite in SUITES if by_task.get(f"expectations.{suite}") in _ENDED]
        problem += breaches(connection, holder_of(context), ended)
    return RunFailed(
        problem,
        readers="layers that were refreshed before the failure show new rows, the others old.",
        next_step="Read the log of the task that failed, mend it, then clear that task with what "
        "follows it.",
    )
