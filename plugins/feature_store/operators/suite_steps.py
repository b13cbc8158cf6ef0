"""What the task of a suite does: its proofs, then its expectations, each to its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from feature_store.audit.adopted import adopted_relations
from feature_store.audit.interference import check_untouched
from feature_store.audit.lease import hold_lease
from feature_store.connection import Connection
from feature_store.database.side_by_side import side_by_side
from feature_store.declarations.expectations import read_expectations
from feature_store.declarations.store_definition import read_store
from feature_store.declarations.suites import Check, read_suites
from feature_store.operators.airflow_run import take_run_lease
from feature_store.operators.run_opening import require_record
from feature_store.proof.proving import compared_rows
from feature_store.schema.adoption import read_other_keys
from feature_store.schema.readiness import check_code
from feature_store.schema.stamps.proof_stamp import refuse_changed
from feature_store.settings import Settings
from feature_store.validation.suite_jobs import suite_jobs
from feature_store.validation.suite_record import begin_suite, record
from feature_store.validation.suite_result import sum_up, tell_empty
from feature_store.validation.suites import run_suite

if TYPE_CHECKING:
    from airflow.sdk import Context


def check_suite(
    connection: Connection,
    settings: Settings,
    context: Context,
    suite: str,
    connect: Callable[[], Connection],
) -> dict[str, Any]:
    """Run a suite's proofs, then its expectations, under the lease.

    Args:
        connection: a pinned session in autocommit mode.
        settings: the store's.
        context: of the task.
        suite: its name, one of `suites.toml`.
        connect: opens another session like it.

    Raises:
        LeaseTaken: another run has the lease.
        StoreError, psycopg.Error: a critical expectation is broken, or a check could not run.
    """
    lease = take_run_lease(connection, settings, context)
    require_record(connection, settings, context)
    event = begin_suite(connection, lease, suite)
    store = read_store(settings.include_dir)
    refuse_changed(connection, store, settings.include_dir)
    check_code(connection, store, settings)
    layers = [relation.name for relation in store.refreshed]
    check_untouched(connection, layers, f"The suite {suite}")
    other_keys = read_other_keys(connection, store)
    expectations = read_expectations(
        settings.include_dir, store, suite, other_keys, adopted_relations(connection)
    )
    checks = read_suites(settings.include_dir)[suite].checks
    jobs = suite_jobs(connection, store, settings, lease, suite, event)
    if jobs:
        with connect() as another:
            side_by_side(jobs, [connection, another])
    compared = compared_rows(connection, event) if Check.SPECIFICATIONS in checks else {}

    def connect_for_suite() -> Connection:
        session = connect()
        session.autocommit = False  # what Great Expectations counts on
        return session

    # It takes its time, and sees by its fence in the end whether the lease is still this run's.
    findings = tell_empty(run_suite(expectations, connect_for_suite), compared)
    check_untouched(connection, layers, f"The suite {suite}")
    with connection.transaction():
        hold_lease(connection, lease)
        record(connection, event, findings)
    return sum_up(suite, findings)
