"""The DAG's last operator: the verdict on the whole run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowTaskTimeout,
)

from feature_store.audit.lease import Lease, release_lease
from feature_store.errors import NotReady, RunOver, StoreError, passes_on_its_own
from feature_store.operators.airflow_run import (
    as_of_day_of,
    holder_of,
    is_last_try,
    take_turn,
    today_of,
)
from feature_store.operators.failed_run import failed_before, record_failure
from feature_store.operators.store_operator import StoreOperator
from feature_store.reporting.mail.good_run import mail_reviews, mail_warnings
from feature_store.reporting.mail.send import mail_failure
from feature_store.settings import Settings

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context
    from psycopg import Connection

    from feature_store.declarations.store_definition import Store
    from feature_store.validation.leaks.gate_context import Scene

log = logging.getLogger(__name__)


class AssertContractOperator(StoreOperator):
    """The verdict: fail if anything failed before; else check the store's contracts.

    It runs whatever happened before (give it ``trigger_rule="all_done"``), writes the run's report
    and releases the lease. It raises if the run failed, because a last task that succeeds would
    turn a failed run green. If all is well, it certifies what the run refreshed. Only then do its
    outlets (assets of what readers read, and of the feature logs) get their events.

    Returns (XCom): the hash of each feature set.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._hashes: dict[str, str | None] = {}
        self._before: int | None = None  # the run's latest verdict when this try began to certify

    def execute(self, context: Context) -> Any:
        """Give the verdict. If this is the last try and it fails, record that and send the mail.

        This is done inside the task: Airflow may kill what it calls after a task has failed, and
        then it runs the task again.
        """
        self._before = None
        try:
            return super().execute(context)
        except AirflowRescheduleException:
            raise
        except (Exception, AirflowTaskTimeout) as error:
            cause = error.__cause__ if isinstance(error, AirflowFailException) else error
            final = isinstance(error, AirflowFailException) or is_last_try(context)
            # A stopped task has no time left, and a run that is over has its verdict.
            if not final or self.stopped or isinstance(cause, RunOver):
                raise
            if self._end_badly(context, cause or error):
                return self._hashes
            raise

    def work(
        self, connection: Connection[Any], settings: Settings, context: Context
    ) -> dict[str, str | None]:
        """Certify the store, report it, and release the lease."""
        from feature_store.declarations.store_profile import read_profile
        from feature_store.schema.object_states import require_store
        from feature_store.schema.readiness import check_access

        try:
            require_store(connection)
            check_access(connection, read_profile(settings.include_dir))
        except NotReady:
            failed = failed_before(context)  # only by what Airflow knows
            if failed is None:
                raise
            raise failed from None
        self._assert(connection, settings, context)
        self._end_well(connection, settings, context)
        return self._hashes

    def get_openlineage_facets_on_complete(self, _: Any) -> OperatorLineage:
        """The feature sets that no task refreshes, for OpenLineage's provider."""
        from feature_store.operators.open_lineage import lineage_of_carriers

        return lineage_of_carriers(self.settings())

    def _end_well(self, connection: Connection[Any], settings: Settings, context: Context) -> None:
        """What follows certification. It cannot fail the run: readers are already let through."""
        with _whatever_happens("Reviews were not mailed"):
            _tell_of_reviews(connection, context, self.settings)
        with _whatever_happens("Warnings were not mailed"):
            mail_warnings(connection, context, self.settings)
        with _whatever_happens("What was certified was not announced"):
            self._announce(connection, context)
        with _whatever_happens("The lease was not released; the next run takes it over"):
            self._end(connection, settings, context)

    def _assert(self, connection: Connection[Any], settings: Settings, context: Context) -> None:
        from feature_store.audit.runs import verdict_of
        from feature_store.declarations.feature_sets import logged_sets
        from feature_store.declarations.store_definition import read_store
        from feature_store.validation.certification import certify

        failed = failed_before(context)
        if failed:
            raise failed
        store = read_store(settings.include_dir)
        lease = take_turn(connection, settings, context)
        self._hashes = _assert_contracts(connection, store, lease, settings)
        _assert_history(connection, store, lease, settings, context)
        self._before = verdict_of(connection, lease.holder) or 0
        with connection.transaction():
            certify(connection, lease, store, list(logged_sets(settings.include_dir)))
        log.info("Certified: the rows that readers have now are proven.")

    def _end_badly(self, context: Context, error: BaseException) -> bool:
        """Record the failed verdict and send the one mail. True: the store is certified after all.

        If the connection broke during certification, only the record knows.

        Raises:
            StoreError, psycopg.Error: the record cannot be reached now; there will be another try.
        """
        verdict = None
        try:
            settings = self.settings()
            with self._session(settings) as connection:
                if self._is_certified(connection, context):
                    log.warning("The store was certified nevertheless: %s", str(error).strip())
                    self._end_well(connection, settings, context)
                    return True
                verdict = record_failure(connection, settings, context, error)
                if verdict:
                    self._end(connection, settings, context)
        except (StoreError, psycopg.Error) as problem:
            if passes_on_its_own(problem) and not is_last_try(context):
                raise
            log.warning("The verdict could not be recorded: %s", str(problem).strip())
        mail_failure(context, error, verdict, self.settings)
        return False

    def _is_certified(self, connection: Connection[Any], context: Context) -> bool:
        """Whether this try has certified the store without getting the answer."""
        from feature_store.audit.runs import verdict_of

        if self._before is None:
            return False
        return (verdict_of(connection, holder_of(context)) or 0) > self._before

    def _end(self, connection: Connection[Any], settings: Settings, context: Context) -> None:
        """What follows the verdict and cannot change it; then the lease is released."""
        from feature_store.audit.retention import forget

        self._report(connection, settings, context)
        with _whatever_happens("Retention was not applied"):
            log.info("Retention: %s.", forget(connection, settings))
        release_lease(connection, holder_of(context))

    def _report(self, connection: Connection[Any], settings: Settings, context: Context) -> None:
        """Write the run's report. The verdict does not depend on it."""
        from feature_store.declarations.leak_rules import read_exceptions
        from feature_store.declarations.suites import read_suites
        from feature_store.reporting.report.render import write_report

        try:
            exceptions = read_exceptions(settings.include_dir)
            suites = read_suites(settings.include_dir)
            path = write_report(
                connection, holder_of(context), settings.report_dir, exceptions, suites
            )
        except Exception as error:
            log.warning("The report could not be written: %s", error)
        else:
            log.info("The run's report: %s", path)

    def _announce(self, connection: Connection[Any], context: Context) -> None:
        """Write to the assets' events what was certified, and what each feature log was given."""
        from feature_store.validation.certification import read_certified, read_logged

        told = read_certified(connection) | read_logged(connection, holder_of(context))
        for outlet in self.outlets:
            extra = {"run_id": context["dag_run"].run_id}
            context["outlet_events"][outlet].extra = extra | told.get(outlet.name, {})


@contextmanager
def _whatever_happens(words: str) -> Iterator[None]:
    """Log an error in something that does not affect the verdict."""
    try:
        yield
    except (Exception, AirflowTaskTimeout) as error:
        log.warning("%s: %s", words, error)


def _tell_of_reviews(
    connection: Connection[Any], context: Context, settings: Callable[[], Settings]
) -> None:
    """Mail the reviews that no mail has told of."""
    from feature_store.validation.history.mailed_reviews import unmailed_reviews

    found = unmailed_reviews(connection)
    for review in found.reviews:
        log.warning("For review: %s", review)
    for review in found.unanswered:
        log.warning("Closed without an answer, because a definition changed: %s", review)
    if found.reviews or found.unanswered:
        mail_reviews(connection, context, found, settings)


def _assert_contracts(
    connection: Connection[Any], store: Store, lease: Lease, settings: Settings
) -> dict[str, str | None]:
    """Check the proofs' stamp, each feature set's contract, and the leak gates."""
    from feature_store.declarations.feature_sets import read_feature_sets
    from feature_store.declarations.leak_rules import read_exceptions, read_rules
    from feature_store.schema.contract_stamp import assert_contract
    from feature_store.schema.proof_stamp import assert_proofs
    from feature_store.validation.leaks.gates import assert_no_leak, read_scene

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
    assert_proofs(connection, store, settings.include_dir)
    log.info("The proofs are those that a person stamped.")
    rules, exceptions = read_rules(settings.include_dir), read_exceptions(settings.include_dir)
    scene = read_scene(connection, store, feature_sets, rules, exceptions)
    warnings = assert_no_leak(connection, scene)
    for warning in warnings:
        log.warning("%s: %s", warning.gate, warning)
    log.info("The leak gates found no leak; %s exceptions are declared.", len(exceptions))
    _record_provenance(connection, lease, scene)
    return hashes


def _record_provenance(connection: Connection[Any], lease: Lease, scene: Scene) -> None:
    """Record what each feature is made of. The verdict does not depend on this."""
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
    """Check history. A backfill's run accepts the reviews of its day."""
    from feature_store.declarations.history_series import read_history
    from feature_store.validation.history.acceptance import accept_backfill_day
    from feature_store.validation.history.judgement import judge_history
    from feature_store.validation.history.result import assert_history

    layers = read_history(settings.include_dir, store)
    day = as_of_day_of(context, settings)
    today = today_of(context, settings)
    verdict = judge_history(connection, layers, lease, day, settings, today)
    if context["dag_run"].run_type.value == "backfill":
        # The backfill of a day accepts late data of that day only.
        for accepted in accept_backfill_day(connection, lease):
            log.info("Accepted by this backfill: %s", accepted)
    assert_history(verdict)
    for change in verdict.definition_changes:
        log.warning("History starts again: %s", change)
