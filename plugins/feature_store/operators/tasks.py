"""The DAG's operators: take the lease and check, refresh one relation, check one suite.

The last operator, which gives the verdict, is in `verdict`. Each opens its own session and holds
the store's lease (`store_operator`).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import psycopg

from feature_store.operators.airflow_run import (
    asked_by,
    check_parameters,
    has_failed,
    take_turn,
)
from feature_store.operators.store_operator import StoreOperator
from feature_store.reporting.mail.send import mail_untold
from feature_store.settings import Settings

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context
    from psycopg import Connection

log = logging.getLogger(__name__)

FINDINGS = "findings"
"""The XCom key under which a suite leaves the results of its expectations."""

# A task that waits for the lease is rescheduled many times. If it comes back before a slow
# scheduler has noted its end, the scheduler counts it as lost, and a try is gone. So it gets extra
# tries.
_RETRIES_OF_WHO_WAITS = 10


class PrepareOperator(StoreOperator):
    """Take the lease, then check that a refresh can start. Changes nothing in the store.

    If an earlier run failed and could not send its mail, that mail is sent first.

    Returns (XCom): the run's as-of day as YYYY-MM-DD.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"retries": _RETRIES_OF_WHO_WAITS, **kwargs})

    def work(self, connection: Connection[Any], settings: Settings, context: Context) -> str:
        """Take the lease, check everything, and open the run's record."""
        from feature_store.declarations.store_profile import read_profile
        from feature_store.operators.run_opening import look_and_open
        from feature_store.schema.audit_migrations import audit_is_current
        from feature_store.schema.object_states import has_audit
        from feature_store.schema.readiness import check_access

        check_parameters(context, settings)
        try:
            current = audit_is_current(connection)
            if current:
                asked_by(connection, context)  # before it waits for the lease
            if has_audit(connection):
                take_turn(connection, settings, context)
        except psycopg.errors.InsufficientPrivilege:
            check_access(
                connection, read_profile(settings.include_dir)
            )  # names every GRANT that is missing
            raise
        if current:
            mail_untold(connection, context, has_failed(context), self.settings)
        day = look_and_open(connection, settings, context)
        log.info("Ready. This run answers for %s (%s).", day, settings.zone)
        return day.isoformat()


class RefreshOperator(StoreOperator):
    """Refresh one relation, unless a refresh would change nothing.

    It never skips: a skip would turn an unvalidated run green.

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
        """Refresh the relation under the lease, or record why it is not necessary."""
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

    def get_openlineage_facets_on_complete(self, _: Any) -> OperatorLineage:
        """What it reads and writes, column by column, for OpenLineage's provider."""
        from feature_store.operators.open_lineage import lineage_of

        return lineage_of(self.relation, self.settings())


class SuiteOperator(StoreOperator):
    """Check all expectations of one suite, even if some of them fail.

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

        # The suite takes long. At its end the fencing token shows whether this run still has the
        # lease.
        findings = tell_empty(run_suite(expectations, connect), compared)
        check_untouched(connection, layers, f"The suite {self.suite}")
        with connection.transaction():
            hold_lease(connection, lease)
            record(connection, event, findings)
        context["ti"].xcom_push(key=FINDINGS, value=in_short(findings))
        return verdict(self.suite, findings)
