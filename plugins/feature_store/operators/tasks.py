"""The DAG's operators: take the turn and look, refresh one relation, check one suite.

The last one, which gives the verdict, is in `verdict`. Each opens its own session and works under
the store's lease. What may pass on its own (a lost connection, a lock timeout) is raised as it is
and retried by Airflow; what cannot is raised as `AirflowFailException`, which Airflow does not
retry. While another run has the lease a task waits without holding a worker slot: it is
rescheduled.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowTaskTimeout,
)

from feature_store.errors import LeaseTaken, StoreError, passes_on_its_own
from feature_store.operators.airflow_run import (
    asked_by,
    check_parameters,
    has_failed,
    take_turn,
)
from feature_store.reporting.mail.send import leave_cause, mail_untold
from feature_store.settings import Settings, read_settings

if TYPE_CHECKING:
    from airflow.sdk import Context
    from psycopg import Connection

log = logging.getLogger(__name__)

FINDINGS = "findings"
"""The XCom key under which a suite leaves what each of its expectations came to."""

_RETRIES = 3
# The wait for the lease is rescheduled many times, and a scheduler that lags takes a task for lost
# that comes back before its end was noted: that costs a try. So who waits has tries to lose.
_RETRIES_OF_WHO_WAITS = 10
_MOST_POLLS_AT_ONCE = 10
_RETRY_DELAY = timedelta(seconds=30)
_CANCEL_SECONDS = 5


class StoreOperator(BaseOperator):
    """An operator with a session on the store, whose SQL stops when the task is stopped."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("retries", _RETRIES)
        kwargs.setdefault("retry_delay", _RETRY_DELAY)
        super().__init__(**kwargs)
        self._connections: list[Connection[Any]] = []
        self.stopped = False

    def execute(self, context: Context) -> Any:
        """Open the session, do the work, sort the errors.

        Raises:
            AirflowRescheduleException: another run has the lease; look again later.
            AirflowFailException: what another try cannot help.
            AirflowTaskTimeout: this try took too long.
        """
        settings = read_settings()
        try:
            with self._session(settings) as connection:
                return self.work(connection, settings, context)
        except LeaseTaken as error:
            log.info("Waiting for the store's lease. %s", error.problem)
            again = datetime.now(UTC) + timedelta(seconds=self._pause(settings, context))
            raise AirflowRescheduleException(again) from None  # type: ignore[no-untyped-call]
        except AirflowTaskTimeout as error:
            late = AirflowTaskTimeout(
                f"{self.task_id} took longer than FEATURE_STORE_TASK_TIMEOUT, "
                f"{settings.task_timeout} seconds."
            )
            leave_cause(context, late)
            raise late from error
        except (StoreError, psycopg.Error) as error:
            leave_cause(context, error)
            # Who stops a task for good has said so to Airflow; who stops its machine has not, and
            # then another try is what is wanted.
            if self.stopped or passes_on_its_own(error):
                raise
            raise AirflowFailException(str(error)) from error

    @staticmethod
    def _pause(settings: Settings, context: Context) -> int:
        """Seconds until the lease is looked at again: more after each lost try, so that it ends."""
        return settings.lease_poll * min(context["ti"].try_number, _MOST_POLLS_AT_ONCE)

    def work(self, connection: Connection[Any], settings: Settings, context: Context) -> Any:
        """Do the task's work in an open session."""
        raise NotImplementedError

    def on_kill(self) -> None:
        """Stop the SQL on the server, too: a killed client alone would leave it running."""
        self.stopped = True
        log.info("Stopping this task's statements on the server.")
        for connection in self._connections:
            try:
                if not connection.closed:
                    connection.cancel_safe(timeout=_CANCEL_SECONDS)
            except psycopg.Error as error:
                log.warning("The server could not be told: %s", str(error).strip())

    def connect(self, settings: Settings) -> Connection[Any]:
        """Open a session that stops with the task."""
        from feature_store.database.session import connect

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

    If an earlier run failed and could not say so, its mail is sent first.

    Returns (XCom): the run's as-of day as YYYY-MM-DD.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"retries": _RETRIES_OF_WHO_WAITS, **kwargs})

    def work(self, connection: Connection[Any], settings: Settings, context: Context) -> str:
        """Take the lease, look at everything, and open the run's record."""
        from feature_store.operators.run_opening import look_and_open
        from feature_store.schema.audit_migrations import audit_is_current
        from feature_store.schema.object_states import has_audit
        from feature_store.schema.readiness import check_access

        check_parameters(context, settings)
        try:
            current = audit_is_current(connection, settings.include_dir)
            if current:
                asked_by(connection, context)  # before it waits for its turn
            if has_audit(connection):
                take_turn(connection, settings, context)
        except psycopg.errors.InsufficientPrivilege:
            check_access(connection)  # names every GRANT that is missing
            raise
        if current:
            mail_untold(connection, context, has_failed(context))
        day = look_and_open(connection, settings, context)
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
        from feature_store.declarations.store_definition import read_store
        from feature_store.operators.run_opening import limits_of, require_record
        from feature_store.refresh.lost_rows import guard_of
        from feature_store.refresh.refresh import refresh
        from feature_store.refresh.unchanged import record_reuse, reusable
        from feature_store.schema.readiness import check_code

        store = read_store(settings.include_dir)
        relation = store.find(self.relation)
        asked = asked_by(connection, context)
        lease = take_turn(connection, settings, context)
        require_record(connection, settings, context)
        check_code(connection, store, settings, relation.name)
        reuse = None
        if not context["params"].get("refresh_unchanged"):
            reuse = reusable(connection, store, relation, settings.zone, asked)
        if reuse:
            record_reuse(connection, lease, relation, reuse)
            return {"mode": "reused", "reason": reuse.reason}
        guard = guard_of(store, relation, limits_of(settings, context))
        done = refresh(connection, relation, lease, settings.zone, guard)
        return {"mode": done.mode, "rows": done.rows, "bytes": done.bytes, "seconds": done.seconds}


class SuiteOperator(StoreOperator):
    """Check one suite of expectations, each to its end although another fails.

    Args:
        suite: its name, one of `suites.toml`.

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
        from feature_store.audit.adopted import adopted_relations
        from feature_store.audit.interference import check_untouched
        from feature_store.audit.lease import hold_lease
        from feature_store.declarations.expectations import read_expectations
        from feature_store.declarations.feature_sets import read_feature_sets
        from feature_store.declarations.store_definition import read_store
        from feature_store.declarations.suites import Check, read_suites
        from feature_store.declarations.thresholds import least_rows_for_drift
        from feature_store.operators.run_opening import require_record
        from feature_store.proof.proving import compared_rows, prove
        from feature_store.schema.adoption import read_other_keys
        from feature_store.schema.readiness import check_code
        from feature_store.validation.profile import record_profile
        from feature_store.validation.skew import record_skew
        from feature_store.validation.suite_record import begin_suite, record
        from feature_store.validation.suite_verdict import in_short, tell_empty, verdict
        from feature_store.validation.suites import run_suite

        lease = take_turn(connection, settings, context)
        require_record(connection, settings, context)
        event = begin_suite(connection, lease, self.suite)
        store = read_store(settings.include_dir)
        check_code(connection, store, settings)
        layers = [relation.name for relation in store.refreshed]
        check_untouched(connection, layers, f"The suite {self.suite}")
        other_keys = read_other_keys(connection, store)
        expectations = read_expectations(
            settings.include_dir, store, self.suite, other_keys, adopted_relations(connection)
        )
        checks = read_suites(settings.include_dir)[self.suite].checks
        compared: dict[str, int] = {}
        if Check.REFRESHES in checks:
            enough = least_rows_for_drift(settings.include_dir)
            for feature_set in read_feature_sets(settings.include_dir):
                record_profile(connection, lease, feature_set, event, enough)
                record_skew(connection, lease, feature_set, event, settings.skew_days)
        if Check.SPECIFICATIONS in checks:
            prove(connection, store, lease, event)
            compared = compared_rows(connection, event)

        def connect() -> Connection[Any]:
            another = self.connect(settings)
            another.autocommit = False  # what Great Expectations counts on
            return another

        # It takes its time, and sees by its fence in the end whether the turn is still this run's.
        findings = tell_empty(run_suite(expectations, connect), compared)
        check_untouched(connection, layers, f"The suite {self.suite}")
        with connection.transaction():
            hold_lease(connection, lease)
            record(connection, event, findings)
        context["ti"].xcom_push(key=FINDINGS, value=in_short(findings))
        return verdict(self.suite, findings)
