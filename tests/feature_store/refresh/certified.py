"""Nights as the audit tables show them, over a store whose relations are empty."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from feature_store.audit.lease import Lease, RunKey, take_lease
from feature_store.audit.runs import open_run
from feature_store.connection import Connection
from feature_store.database.session import pin
from feature_store.declarations.feature_sets import logged_sets, read_feature_sets
from feature_store.declarations.suites import read_suites
from feature_store.refresh.refresh import refresh
from feature_store.schema.stamps.proof_stamp import stamp_sets
from feature_store.validation.certification import certify
from feature_store.validation.suite_record import begin_suite

_DEVICE = "iphone_device_meta_encoded_v2_model"


def judged(connection: Connection, lease: Lease) -> None:
    """Record that a run has judged history and found nothing, without judging it."""
    connection.execute(
        "INSERT INTO feature_store_audit.history_judgement_log "
        "(dag_id, run_id, as_of_day, settled_before, days, seconds) "
        "VALUES (%s, %s, '2026-06-30', '2026-05-31', 0, 0)",
        (lease.holder.dag_id, lease.holder.run_id),
    )


def refresh_all(connection: Connection, store, run_id: str = "night 1") -> Lease:
    """Open a run, and refresh every relation of a real store; returns the run's lease."""
    holder = RunKey("feature_store_refresh", run_id)
    lease = take_lease(connection, holder, lambda _: True, timedelta(0))
    open_run(connection, holder, "scheduled", "2026-06-30", "UTC")
    for relation in store.refreshed:
        refresh(connection, relation, lease, "UTC")
    return lease


def certify_store(conninfo: str, settings, store, run_id: str = "night 1") -> None:
    """Refresh a real store and certify it; that its suites were met is only recorded."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        pin(connection, settings, "tests")
        lease = refresh_all(connection, store, run_id)
        for suite in read_suites(settings.include_dir):
            connection.execute(
                "INSERT INTO feature_store_audit.expectation_log (suite_event, expectation, "
                "relation, severity, outcome, expected, observed, sample, seconds) VALUES "
                "(%s, 'x', 'ml.x', 'critical', 'met', '', '', '[]', 0)",
                (begin_suite(connection, lease, suite),),
            )
        judged(connection, lease)
        with connection.transaction():
            certify(connection, lease, store, logged_sets(settings.include_dir))


class CertifiedNights:
    """Nights over an empty store. Unless said, a step is recorded without being done."""

    def __init__(self, database, store, settings) -> None:
        self.database, self.store = database, store
        sets = read_feature_sets(settings.include_dir)
        stamp_sets(database.connection, store, settings.include_dir, sets, replace=False)

    def begin(self, run_id: str, day: str = "2026-06-30") -> Lease:
        holder = RunKey("feature_store_refresh", run_id)
        lease = take_lease(self.database.connection, holder, lambda _: True, timedelta(0))
        open_run(self.database.connection, holder, "scheduled", day, "UTC")
        return lease

    def refreshed(self, lease: Lease, *relations: str) -> None:
        for relation in relations or [str(r.name) for r in self.store.refreshed]:
            self.database.run(
                "INSERT INTO feature_store_audit.refresh (relation, dag_id, run_id, token, mode, "
                "row_count, bytes, seconds, snapshot, zone, started_at, finished_at) "
                f"VALUES ('{relation}', '{lease.holder.dag_id}', '{lease.holder.run_id}', "
                f"{lease.token}, 'blocking', 7, 0, 0, pg_current_snapshot(), 'UTC', "
                "clock_timestamp(), clock_timestamp())"
            )

    def refresh(self, lease: Lease, *relations: str) -> None:
        """Refresh relations, or all of them, not only in the record."""
        for relation in self.store.refreshed:
            if not relations or str(relation.name) in relations:
                refresh(self.database.connection, relation, lease, "UTC")

    def checked(
        self, lease: Lease, *suites: str, outcome: str = "met", relation: str = "ml.x"
    ) -> None:
        for suite in suites or ("uniqueness", "spam_absence", "as_of_counts"):
            event = begin_suite(self.database.connection, lease, suite)
            self.database.run(
                "INSERT INTO feature_store_audit.expectation_log (suite_event, expectation, "
                "relation, severity, outcome, expected, observed, sample, seconds) "
                f"VALUES ({event}, 'x', '{relation}', 'critical', '{outcome}', 'x', 'x', '[]', 0)"
            )

    def certify(self, lease: Lease, *logged: str) -> None:
        judged(self.database.connection, lease)
        with self.database.connection.transaction():
            certify(self.database.connection, lease, self.store, logged)

    def good(self, run_id: str) -> Lease:
        lease = self.begin(run_id)
        self.refreshed(lease)
        self.checked(lease)
        self.certify(lease)
        return lease

    def required(self, feature_set: str, age: str = "1 day") -> tuple:
        schema = "feature_store" if feature_set == _DEVICE else "ml"
        (row,) = self.database.rows(
            f"SELECT as_of_day::text, run_id FROM {schema}.require_certified(%s, %s::interval)",
            feature_set,
            age,
        )
        return row

    def refusal(self, feature_set: str, age: str = "1 day") -> str:
        with pytest.raises(psycopg.Error) as caught, self.database.connection.transaction():
            self.required(feature_set, age)
        return caught.value.diag.message_primary
