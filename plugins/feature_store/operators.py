"""The DAG's operators: take the turn and look, refresh one relation, give the verdict.

Each opens its own session and works under the store's lease. What may pass on its own (a lost
connection, a lock timeout) is raised as it is and retried by Airflow; what cannot is raised as
`AirflowFailException`, which Airflow does not retry. While another run has the lease a task waits
without holding a worker slot: it is rescheduled.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowRescheduleException

from feature_store.errors import (
    BadInput,
    LeaseTaken,
    NotReady,
    RunFailed,
    StoreError,
    passes_on_its_own,
)
from feature_store.lease import Holder, Lease, release_lease, take_lease
from feature_store.mail.mails import REPORT, leave_cause, mail_reviews
from feature_store.objects import has_audit
from feature_store.settings import Settings, read_settings

if TYPE_CHECKING:
    from airflow.sdk import Context
    from psycopg import Connection

    from feature_store.history.findings import Finding
    from feature_store.store import Store

log = logging.getLogger(__name__)

FINDINGS = "findings"
"""The XCom key under which a suite leaves what each of its expectations came to."""

_RETRIES = 3
_RETRY_DELAY = timedelta(seconds=30)


class StoreOperator(BaseOperator):
    """An operator with a session on the store, whose SQL stops when the task is stopped."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("retries", _RETRIES)
        kwargs.setdefault("retry_delay", _RETRY_DELAY)
        super().__init__(**kwargs)
        self._connections: list[Connection[Any]] = []

    def execute(self, context: Context) -> Any:
        """Open the session, do the work, sort the errors.

        Raises:
            AirflowRescheduleException: another run has the lease; look again later.
            AirflowFailException: what another try cannot help.
        """
        settings = read_settings()
        try:
            with self._session(settings) as connection:
                return self.work(connection, settings, context)
        except LeaseTaken as error:
            log.info("Waiting for the store's lease. %s", error.problem)
            again = datetime.now(UTC) + timedelta(seconds=settings.lease_poll)
            raise AirflowRescheduleException(again) from None  # type: ignore[no-untyped-call]
        except (StoreError, psycopg.Error) as error:
            leave_cause(context, error)
            if passes_on_its_own(error):
                raise
            raise AirflowFailException(str(error)) from error

    def work(self, connection: Connection[Any], settings: Settings, context: Context) -> Any:
        """Do the task's work in an open session."""
        raise NotImplementedError

    def on_kill(self) -> None:
        """Stop the SQL on the server, too: a killed client alone would leave it running."""
        log.info("Stopping this task's statements on the server.")
        for connection in self._connections:
            if not connection.closed:
                connection.cancel_safe(timeout=5)

    def connect(self, settings: Settings) -> Connection[Any]:
        """Open a session that stops with the task."""
        from feature_store.session import connect

        connection = connect(settings, self.task_id)
        self._connections.append(connection)
        return connection

    @contextmanager
    def _session(self, settings: Settings) -> Iterator[Connection[Any]]:
        try:
            yield self.connect(settings)
        finally:
            for connection in self._connections:
                connection.close()
            self._connections.clear()


class PrepareOperator(StoreOperator):
    """Take the lease, then check that a refresh can start. Changes nothing of the store.

    Returns (XCom): the run's as-of day as YYYY-MM-DD.
    """

    def work(self, connection: Connection[Any], settings: Settings, context: Context) -> str:
        """Take the lease, look at everything, and open the run's record."""
        from feature_store.prepare import check_ready
        from feature_store.runs import open_run
        from feature_store.store import read_store

        if has_audit(connection):
            _take_lease(connection, settings, context)
        check_ready(connection, read_store(settings.include_dir), settings)
        day = _as_of_day(context, settings)
        run_type = context["dag_run"].run_type.value
        open_run(connection, _holder(context), run_type, day, settings.zone)
        log.info("Ready. This run answers for %s (%s).", day, settings.zone)
        return day.isoformat()


class RefreshOperator(StoreOperator):
    """Refresh one relation, unless it is already what a refresh would make of it.

    It never skips: a skip would turn a run green that nobody validated.

    Args:
        relation: its name, ``schema.name``.

    Returns (XCom): mode, rows, bytes and seconds; or mode ``reused`` and the reason.
    """

    template_fields = ("relation",)

    def __init__(self, *, relation: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.relation = relation

    def work(
        self, connection: Connection[Any], settings: Settings, context: Context
    ) -> dict[str, Any]:
        """Refresh the relation under the lease, or record why it need not be."""
        from feature_store.refresh import refresh
        from feature_store.reuse.reusable import record_reuse, reusable
        from feature_store.store import read_store

        store = read_store(settings.include_dir)
        relation = store.find(self.relation)
        lease = _take_lease(connection, settings, context)
        reuse = None
        if not context["params"].get("refresh_unchanged"):
            reuse = reusable(connection, store, relation, settings.zone, _asked_at(context))
        if reuse:
            record_reuse(connection, lease, relation, reuse)
            return {"mode": "reused", "reason": reuse.reason}
        done = refresh(connection, relation, lease, settings.zone)
        return {"mode": done.mode, "rows": done.rows, "bytes": done.bytes, "seconds": done.seconds}


class SuiteOperator(StoreOperator):
    """Check one suite of expectations, each to its end although another fails.

    Args:
        suite: its name, one of `store.SUITES`.

    Returns (XCom): how many expectations were met, and the names of those that were not.
    """

    template_fields = ("suite",)

    def __init__(self, *, suite: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.suite = suite

    def work(
        self, connection: Connection[Any], settings: Settings, context: Context
    ) -> dict[str, Any]:
        """Run the suite's proofs, then its expectations, under the lease."""
        from feature_store.contracts import read_feature_sets
        from feature_store.expectations import read_expectations
        from feature_store.lease import hold_lease
        from feature_store.nulls import record_nulls
        from feature_store.proofs import read_proofs, run_proof
        from feature_store.store import read_store
        from feature_store.suites import in_short, record, run_suite, verdict

        store = read_store(settings.include_dir)
        proofs = read_proofs(settings.include_dir)
        expectations = read_expectations(settings.include_dir, store, proofs, self.suite)
        lease = _take_lease(connection, settings, context)
        if self.suite == "as_of_counts":
            for feature_set in read_feature_sets(settings.include_dir):
                record_nulls(connection, lease, feature_set)
            for proof in proofs:
                run_proof(connection, proof, lease)

        def connect() -> Connection[Any]:
            another = self.connect(settings)
            another.autocommit = False  # what Great Expectations counts on
            return another

        with connection.transaction():
            hold_lease(connection, lease)
            findings = run_suite(expectations, connect)
            record(connection, lease.holder, findings)
        context["ti"].xcom_push(key=FINDINGS, value=in_short(findings))
        return verdict(self.suite, findings)


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
        if not has_audit(connection):
            raise _failed_before(context) or NotReady("The store has not been created.")
        try:
            hashes = self._assert(connection, settings, context)
        except (StoreError, psycopg.Error) as error:
            if not passes_on_its_own(error):  # else this task is tried again, still in its turn
                self._fail(connection, settings, context)
            raise
        self._announce(connection, context)
        self._report(connection, settings, context)
        release_lease(connection, _holder(context))
        return hashes

    def _assert(
        self, connection: Connection[Any], settings: Settings, context: Context
    ) -> dict[str, str | None]:
        from feature_store.certification import certify
        from feature_store.runs import close_run
        from feature_store.store import read_store

        failed = _failed_before(context, connection)
        if failed:
            raise failed
        store = read_store(settings.include_dir)
        lease = _take_lease(connection, settings, context)
        hashes = _assert_contracts(connection, store, settings)
        reviews = _assert_history(connection, store, lease, settings, context)
        with connection.transaction():
            certify(connection, lease, store)
            close_run(connection, lease.holder, "passed")
        log.info("Certified: what readers read now is proven.")
        if reviews:
            mail_reviews(context, reviews)
        return hashes

    def _fail(self, connection: Connection[Any], settings: Settings, context: Context) -> None:
        from feature_store.certification import withdraw
        from feature_store.runs import close_run

        holder = _holder(context)
        with connection.transaction():
            close_run(connection, holder, "failed")
            withdraw(connection, holder)
        self._report(connection, settings, context)
        release_lease(connection, holder)

    def _report(self, connection: Connection[Any], settings: Settings, context: Context) -> None:
        """Write the run's report. The verdict does not depend on it."""
        from feature_store.leaks.rules import read_exceptions
        from feature_store.report.write import write_report

        try:
            exceptions = read_exceptions(settings.include_dir)
            path = write_report(connection, _holder(context), settings.report_dir, exceptions)
            context["ti"].xcom_push(key=REPORT, value=str(path))
        except Exception as error:
            log.warning("The report could not be written: %s", error)
        else:
            log.info("The run's report: %s", path)

    def _announce(self, connection: Connection[Any], context: Context) -> None:
        """Say in the event of each relation's asset what was certified."""
        from feature_store.certification import read_certified

        certified = read_certified(connection)
        for outlet in self.outlets:
            extra = {"run_id": context["dag_run"].run_id}
            context["outlet_events"][outlet].extra = extra | certified.get(outlet.name, {})


def _assert_contracts(
    connection: Connection[Any], store: Store, settings: Settings
) -> dict[str, str | None]:
    """Hold each feature set to its contract, and all that they reach to the leak gates."""
    from feature_store.contracts import read_feature_sets
    from feature_store.leaks.gates import assert_no_leak
    from feature_store.leaks.rules import read_exceptions, read_rules
    from feature_store.stamps import assert_contract

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
    warnings = assert_no_leak(connection, store, feature_sets, rules, exceptions)
    for warning in warnings:
        log.warning("%s: %s", warning.gate, warning)
    log.info("The leak gates found no leak; %s exceptions are declared.", len(exceptions))
    return hashes


def _assert_history(
    connection: Connection[Any],
    store: Store,
    lease: Lease,
    settings: Settings,
    context: Context,
) -> tuple[Finding, ...]:
    """Judge history; give back what this run found for review and nobody has accepted."""
    from feature_store.history.acceptance import accept_days
    from feature_store.history.findings import pending_reviews
    from feature_store.history.judgement import judge_history
    from feature_store.history.layers import read_history
    from feature_store.history.verdict import assert_history

    layers = read_history(settings.include_dir, store)
    day = _as_of_day(context, settings)
    verdict = judge_history(connection, layers, lease, day, settings)
    if context["dag_run"].run_type.value == "backfill":
        # The backfill of a day is what accepts late data of that day, and of no other.
        for accepted in accept_days(connection, [day], lease.holder):
            log.info("Accepted by this backfill: %s", accepted)
    assert_history(verdict)
    for change in verdict.definition_changes:
        log.warning("History begins anew: %s", change)
    pending = {review.finding_id for review in pending_reviews(connection)}
    new = tuple(review for review in verdict.new_reviews if review.finding_id in pending)
    for review in new:
        log.warning("For review: %s", review)
    return new


def _holder(context: Context) -> Holder:
    run = context["dag_run"]
    return Holder(run.dag_id, run.run_id)


def _take_lease(connection: Connection[Any], settings: Settings, context: Context) -> Lease:
    grace = timedelta(seconds=settings.lease_grace)
    return take_lease(connection, _holder(context), _asks_airflow(context), grace)


def _asks_airflow(context: Context) -> Callable[[Holder], bool | None]:
    def is_over(holder: Holder) -> bool | None:
        try:
            state = context["ti"].get_dagrun_state(holder.dag_id, holder.run_id)
        except RuntimeError as error:
            # Airflow has forgotten the run, or it was another Airflow's.
            log.info("Airflow cannot say how %s stands: %s", holder, error)
            return None
        # A queued run (a cleared one) does no work; its tasks take the lease anew.
        return state in ("success", "failed", "queued")

    return is_over


def _asked_at(context: Context) -> datetime | None:
    """When a backfill's run was asked for, at the latest; None of other runs."""
    run = context["dag_run"]
    return run.start_date if run.run_type.value == "backfill" else None


def _as_of_day(context: Context, settings: Settings) -> date:
    from feature_store.asof import as_of_day

    run = context["dag_run"]
    if run.run_type.value == "backfill" and context["params"].get("as_of_day"):
        raise BadInput(
            "A backfill answers for the days of its range; as_of_day is for manual runs.",
            readers="nothing was changed.",
            next_step="Create the backfill again without as_of_day in its conf.",
        )
    return as_of_day(
        logical_date=run.logical_date,
        run_after=run.run_after,
        zone=settings.zone,
        override=context["params"].get("as_of_day"),
    )


def _failed_before(context: Context, connection: Connection[Any] | None = None) -> RunFailed | None:
    run, task = context["dag_run"], context["task"]
    states = context["ti"].get_task_states(dag_id=run.dag_id, run_ids=[run.run_id])
    by_task = states.get(run.run_id, {})
    failed = sorted(t for t, state in by_task.items() if state == "failed")
    never_ran = sorted(
        t
        for t, state in by_task.items()
        if t != task.task_id and state not in ("success", "failed")
    )
    if not failed and not never_ran:
        return None
    problem = f"Failed: {', '.join(failed) or 'no task'}."
    if never_ran:
        problem += f" Did not run: {', '.join(never_ran)}."
    if connection is not None:
        from feature_store.suites import breaches

        problem += breaches(connection, _holder(context))
    return RunFailed(
        problem,
        readers="layers that were refreshed before the failure show new rows, the others old.",
        next_step="Read the log of the task that failed, mend it, then clear that task with what "
        "follows it.",
    )
