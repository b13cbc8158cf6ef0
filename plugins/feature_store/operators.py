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
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowTaskTimeout,
)

from feature_store.errors import LeaseTaken, StoreError, passes_on_its_own
from feature_store.mail.mails import leave_cause, mail_untold
from feature_store.run_context import (
    as_of_day_of,
    asked_at,
    check_parameters,
    has_failed,
    holder_of,
    take_turn,
)
from feature_store.settings import Settings, read_settings

if TYPE_CHECKING:
    from airflow.sdk import Context
    from psycopg import Connection

    from feature_store.shrink import Limits

log = logging.getLogger(__name__)

FINDINGS = "findings"
"""The XCom key under which a suite leaves what each of its expectations came to."""

_RETRIES = 3
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
            again = datetime.now(UTC) + timedelta(seconds=settings.lease_poll)
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


def _limits(settings: Settings, context: Context) -> Limits:
    from feature_store.shrink import read_limits

    accepted = bool(context["params"].get("accept_shrink"))
    return read_limits(settings.include_dir, accepted=accepted)


class PrepareOperator(StoreOperator):
    """Take the lease, then check that a refresh can start. Changes nothing of the store.

    If an earlier run failed and could not say so, its mail is sent first.

    Returns (XCom): the run's as-of day as YYYY-MM-DD.
    """

    def work(self, connection: Connection[Any], settings: Settings, context: Context) -> str:
        """Take the lease, look at everything, and open the run's record."""
        from feature_store.migrations import audit_is_current
        from feature_store.objects import has_audit
        from feature_store.prepare import check_access, check_ready
        from feature_store.shrink import check_sources
        from feature_store.store import read_store

        check_parameters(context, settings)
        if has_audit(connection):
            try:
                take_turn(connection, settings, context)
            except psycopg.errors.InsufficientPrivilege:
                check_access(connection)  # names every GRANT that is missing
                raise
        if audit_is_current(connection, settings.include_dir):
            mail_untold(connection, context, has_failed(context))
        try:
            store = read_store(settings.include_dir)
            check_ready(connection, store, settings)
            check_sources(connection, store, _limits(settings, context))
        except (StoreError, psycopg.Error):
            self._record_stop(connection, settings, context)
            raise
        day = self._open_run(connection, settings, context)
        log.info("Ready. This run answers for %s (%s).", day, settings.zone)
        return day.isoformat()

    def _open_run(self, connection: Connection[Any], settings: Settings, context: Context) -> date:
        from feature_store.runs import open_run

        day = as_of_day_of(context, settings)
        run_type = context["dag_run"].run_type.value
        open_run(connection, holder_of(context), run_type, day, settings.zone)
        return day

    def _record_stop(
        self, connection: Connection[Any], settings: Settings, context: Context
    ) -> None:
        """Open the record of a run that goes no further, so that it has a verdict and a report."""
        try:
            self._open_run(connection, settings, context)
        except (StoreError, psycopg.Error) as error:
            log.info("This run leaves no record: %s", str(error).strip())


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
        from feature_store.prepare import check_code
        from feature_store.refresh import refresh
        from feature_store.reuse.reusable import record_reuse, reusable
        from feature_store.shrink import guard_of
        from feature_store.store import read_store

        store = read_store(settings.include_dir)
        relation = store.find(self.relation)
        lease = take_turn(connection, settings, context)
        check_code(connection, store, settings, relation.name)
        reuse = None
        if not context["params"].get("refresh_unchanged"):
            reuse = reusable(connection, store, relation, settings.zone, asked_at(context))
        if reuse:
            record_reuse(connection, lease, relation, reuse)
            return {"mode": "reused", "reason": reuse.reason}
        guard = guard_of(store, relation, _limits(settings, context))
        done = refresh(connection, relation, lease, settings.zone, guard)
        return {"mode": done.mode, "rows": done.rows, "bytes": done.bytes, "seconds": done.seconds}


class SuiteOperator(StoreOperator):
    """Check one suite of expectations, each to its end although another fails.

    Args:
        suite: its name, one of `outline.SUITES`.

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
        from feature_store.adoption import read_other_keys
        from feature_store.contracts import read_feature_sets
        from feature_store.expectations import read_expectations
        from feature_store.lease import hold_lease
        from feature_store.nulls import record_nulls
        from feature_store.prepare import check_code
        from feature_store.proofs import read_proofs, run_proof
        from feature_store.store import read_store
        from feature_store.suites import (
            begin_suite,
            in_short,
            record,
            run_suite,
            tell_empty,
            verdict,
        )

        lease = take_turn(connection, settings, context)
        event = begin_suite(connection, lease, self.suite)
        store = read_store(settings.include_dir)
        check_code(connection, store, settings)
        proofs = read_proofs(settings.include_dir)
        other_keys = read_other_keys(connection, store)
        expectations = read_expectations(
            settings.include_dir, store, proofs, self.suite, other_keys
        )
        compared: dict[str, int] = {}
        if self.suite == "as_of_counts":
            for feature_set in read_feature_sets(settings.include_dir):
                record_nulls(connection, lease, feature_set, event)
            compared = {p.name: run_proof(connection, p, lease, event) for p in proofs}

        def connect() -> Connection[Any]:
            another = self.connect(settings)
            another.autocommit = False  # what Great Expectations counts on
            return another

        # It takes its time, and sees by its fence in the end whether the turn is still this run's.
        findings = tell_empty(run_suite(expectations, connect), compared)
        with connection.transaction():
            hold_lease(connection, lease)
            record(connection, event, findings)
        context["ti"].xcom_push(key=FINDINGS, value=in_short(findings))
        return verdict(self.suite, findings)
