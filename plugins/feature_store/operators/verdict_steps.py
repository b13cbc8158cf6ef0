"""What the verdict's task does: it certifies the store, or records why not, and says so.

`Verdict.give` certifies, or raises. `Verdict.end_badly` then does what is left to do in the last
try.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
from airflow.sdk.exceptions import AirflowTaskTimeout

from feature_store.audit.lease import Lease, release_lease
from feature_store.audit.retention import forget
from feature_store.audit.runs import passed_since, verdict_of
from feature_store.connection import Connection
from feature_store.declarations.declared_exceptions import read_exceptions
from feature_store.declarations.feature_sets import read_feature_sets
from feature_store.declarations.history_series import read_history
from feature_store.declarations.leak_rules import read_rules
from feature_store.declarations.store_definition import Store, read_store
from feature_store.declarations.store_profile import read_profile
from feature_store.declarations.suites import read_suites
from feature_store.errors import NotReady, StoreError, passes_on_its_own
from feature_store.operators.airflow_run import (
    as_of_day_of,
    is_last_try,
    run_key_of,
    take_run_lease,
    today_of,
)
from feature_store.operators.failed_run import failed_before, record_failure
from feature_store.reporting.mail.good_run import mail_reviews, mail_warnings
from feature_store.reporting.mail.send import mail_failure
from feature_store.reporting.report.render import write_report
from feature_store.schema.object_states import require_store
from feature_store.schema.readiness import check_access, check_logs
from feature_store.schema.stamps.contract_stamp import assert_contract
from feature_store.schema.stamps.proof_stamp import assert_proofs
from feature_store.settings import Settings
from feature_store.validation.certification import read_certified, read_logged
from feature_store.validation.certified_moment import certify_at_once
from feature_store.validation.history.acceptance import accept_backfill_day
from feature_store.validation.history.judgement import judge_history
from feature_store.validation.history.mailed_reviews import unmailed_reviews
from feature_store.validation.history.result import assert_history
from feature_store.validation.leaks.feature_lineage import record_lineage, trace_features
from feature_store.validation.leaks.gate_context import GateContext
from feature_store.validation.leaks.gates import assert_no_leak, read_gate_context

if TYPE_CHECKING:
    from airflow.sdk import Context

    from feature_store.operators.store_operator import StoreOperator

log = logging.getLogger(__name__)

_KEPT = "The lease was not released; the next run takes it over"


class Verdict:
    """One try of the verdict's task.

    Args:
        task: gives sessions that stop with it, settings, and the assets that are announced.
        context: of the task.

    Attributes:
        hashes: of each feature set, once the contracts were asserted.
    """

    def __init__(self, task: StoreOperator, context: Context) -> None:
        self._task, self._context = task, context
        self.hashes: dict[str, str | None] = {}
        self._before: int | None = None  # the run's latest verdict when this try began to certify

    def give(self, connection: Connection, settings: Settings) -> dict[str, str | None]:
        """Certify the store, say so, and give the lease back; the hash of each feature set.

        Raises:
            RunFailed: a task failed before, or did no work.
            StoreError, psycopg.Error: the store is not certified.
        """
        try:
            require_store(connection)
            check_access(connection, read_profile(settings.include_dir))
        except NotReady:
            failed = failed_before(self._context)  # by what Airflow alone knows of it
            if failed is None:
                raise
            raise failed from None
        self._assert(connection, settings)
        self._end_well(connection, settings)
        return self.hashes

    def end_badly(self, error: BaseException) -> bool:
        """Record the failed verdict and send the one mail. True: the store is certified after all.

        If the connection broke during certification, only the record knows.

        Raises:
            StoreError, psycopg.Error: the record cannot be reached now; there will be another try.
        """
        verdict = None
        try:
            settings = self._task.settings()
            with self._task.session(settings) as connection:
                if self._is_certified(connection):
                    log.warning("The store was certified nevertheless: %s", str(error).strip())
                    self._end_well(connection, settings)
                    return True
                verdict = record_failure(connection, settings, self._context, error)
                if verdict:
                    with _whatever_happens(_KEPT):
                        self._end(connection, settings)
        except (StoreError, psycopg.Error) as problem:
            if passes_on_its_own(problem) and not is_last_try(self._context):
                raise
            log.warning("The verdict could not be recorded: %s", str(problem).strip())
        with _whatever_happens("The mail about it did not come to its end"):
            mail_failure(self._context, error, verdict, self._task.settings)
        return False

    def _end_well(self, connection: Connection, settings: Settings) -> None:
        """What follows certification. It cannot fail the run: readers are already let through."""
        with _whatever_happens("Reviews were not mailed"):
            _tell_of_reviews(connection, self._context, self._task.settings)
        with _whatever_happens("Warnings were not mailed"):
            mail_warnings(connection, self._context, self._task.settings)
        with _whatever_happens("What was certified was not announced"):
            self._announce(connection)
        with _whatever_happens(_KEPT):
            self._end(connection, settings)

    def _assert(self, connection: Connection, settings: Settings) -> None:
        failed = failed_before(self._context)
        if failed:
            raise failed
        store = read_store(settings.include_dir)
        lease = take_run_lease(connection, settings, self._context)
        self.hashes = _assert_contracts(connection, store, lease, settings)
        _assert_history(connection, store, lease, settings, self._context)
        self._before = verdict_of(connection, lease.holder) or 0
        certify_at_once(connection, lease, store, settings)
        log.info("Certified: the rows that readers have now are proven.")

    def _is_certified(self, connection: Connection) -> bool:
        """Whether this try has certified the store without getting the answer."""
        if self._before is None:
            return False
        return passed_since(connection, run_key_of(self._context), self._before)

    def _end(self, connection: Connection, settings: Settings) -> None:
        """What follows the verdict and cannot change it; then the lease is released."""
        self._report(connection, settings)
        with _whatever_happens("Retention was not applied"):
            log.info("Retention: %s.", forget(connection, settings))
        release_lease(connection, run_key_of(self._context))

    def _report(self, connection: Connection, settings: Settings) -> None:
        """Write the run's report. The verdict does not depend on it."""
        with _whatever_happens("The report could not be written"):
            exceptions = read_exceptions(settings.include_dir)
            suites = read_suites(settings.include_dir)
            path = write_report(
                connection, run_key_of(self._context), settings.report_dir, exceptions, suites
            )
            log.info("The run's report: %s", path)

    def _announce(self, connection: Connection) -> None:
        """Write to the assets' events what was certified, and what each feature log was given."""
        told = read_certified(connection) | read_logged(connection, run_key_of(self._context))
        for outlet in self._task.outlets:
            extra = {"run_id": self._context["dag_run"].run_id}
            relation = outlet.name.rpartition("/")[2]  # another store's name may stand before it
            self._context["outlet_events"][outlet].extra = extra | told.get(relation, {})


@contextmanager
def _whatever_happens(words: str) -> Iterator[None]:
    """Log an error in something that does not affect the verdict."""
    try:
        yield
    except (Exception, AirflowTaskTimeout) as error:
        log.warning("%s: %s", words, error)


def _tell_of_reviews(
    connection: Connection, context: Context, settings: Callable[[], Settings]
) -> None:
    """Mail the reviews that no mail has told of."""
    found = unmailed_reviews(connection)
    for review in found.reviews:
        log.warning("For review: %s", review)
    for review in found.unanswered:
        log.warning("Closed without an answer, because a definition changed: %s", review)
    if found.reviews or found.unanswered:
        mail_reviews(connection, context, found, settings)


def _assert_contracts(
    connection: Connection, store: Store, lease: Lease, settings: Settings
) -> dict[str, str | None]:
    """Check the proofs' stamp, each set's contract and training view, and the leak gates."""
    feature_sets = read_feature_sets(settings.include_dir)
    hashes = {}
    for feature_set in feature_sets:
        checked = assert_contract(connection, feature_set)
        log.info(
            "Feature set %s: OK, n=%s, hash=%s, bound to %s.",
            checked.name,
            checked.live_n,
            checked.live_hash,
            checked.relation,
        )
        hashes[checked.name] = checked.live_hash
    check_logs(connection, feature_sets)
    assert_proofs(connection, store, settings.include_dir)
    log.info("The proofs are those that a person stamped.")
    rules, exceptions = read_rules(settings.include_dir), read_exceptions(settings.include_dir)
    gates = read_gate_context(connection, store, feature_sets, rules, exceptions)
    warnings = assert_no_leak(connection, gates)
    for warning in warnings:
        log.warning("%s: %s", warning.gate, warning)
    log.info("The leak gates found no leak; %s exceptions are declared.", len(exceptions))
    _record_lineage(connection, lease, gates)
    return hashes


def _record_lineage(connection: Connection, lease: Lease, gates: GateContext) -> None:
    """Record what each feature is made of. The verdict does not depend on this."""
    try:
        traced = trace_features(gates)
    except Exception as error:
        log.warning("What the features are made of could not be traced: %s", error)
        return
    try:
        record_lineage(connection, lease, traced)
    except psycopg.errors.QueryCanceled:
        raise  # somebody stops this task
    except psycopg.Error as error:
        log.warning("What the features are made of could not be recorded: %s", error)


def _assert_history(
    connection: Connection,
    store: Store,
    lease: Lease,
    settings: Settings,
    context: Context,
) -> None:
    """Check history. A backfill's run accepts the reviews of its day."""
    layers = read_history(settings.include_dir, store)
    day = as_of_day_of(context, settings)
    today = today_of(context, settings)
    result = judge_history(connection, layers, lease, day, settings, today)
    if context["dag_run"].run_type.value == "backfill":
        # The backfill of a day accepts late data of that day only.
        for accepted in accept_backfill_day(connection, lease):
            log.info("Accepted by this backfill: %s", accepted)
    assert_history(result)
    for change in result.definition_changes:
        log.warning("History starts again: %s", change)
