"""The cost of a night besides its refresh: finding unchanged relations, and checking the rest."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta

import psycopg

from bench.scratch import Scratch
from bench.variants import HOLDER, Stopwatch, take_the_lease
from feature_store.audit.lease import Lease
from feature_store.audit.runs import open_run
from feature_store.connection import Connection
from feature_store.database.side_by_side import side_by_side
from feature_store.declarations.declared_exceptions import read_exceptions
from feature_store.declarations.expectations import Expectation, read_expectations
from feature_store.declarations.feature_sets import read_feature_sets
from feature_store.declarations.history_series import read_history
from feature_store.declarations.leak_rules import read_rules
from feature_store.declarations.suites import Check, read_suites, suite_of
from feature_store.declarations.thresholds import least_rows_for_drift
from feature_store.errors import StoreError
from feature_store.proof.proving import proofs
from feature_store.refresh.refresh import refresh
from feature_store.refresh.unchanged import record_reuse, reusable
from feature_store.schema.stamps.contract_stamp import stamp
from feature_store.validation.history.judgement import judge_history
from feature_store.validation.leaks.gates import check_gates
from feature_store.validation.profile import record_profile
from feature_store.validation.suite_record import begin_suite
from feature_store.validation.suites import run_suite

PROFILES = "profiles, with counts of NULLs"
"""The step that describes each feature for people; it proves and checks nothing."""

IN_ITS_REFRESH = ", in its refresh"
"""Ends the step of a proof that a refresh made: its seconds are among the refresh's, too."""

_PROOFS = """
SELECT p.proof, p.seconds, EXISTS (
    SELECT FROM feature_store_audit.proof_log AS l
    WHERE l.suite_event = p.suite_event AND l.proof = p.proof
)
FROM feature_store_audit.proof AS p
WHERE p.suite_event = %s
"""


class NotMeasured(StoreError):
    """What should be measured did not happen."""


def time_unchanged_night(scratch: Scratch, runs: int) -> list[dict[str, float]]:
    """Time the refresh tasks of nights in which nothing changed.

    Returns:
        Night by night and by relation: seconds to find that it is unchanged and to record that.

    Raises:
        NotMeasured: a relation would have been refreshed.
    """
    with scratch.session() as connection:
        refresh_all(connection, scratch)
        return [_unchanged_night(connection, scratch) for _ in range(runs)]


def time_checks(scratch: Scratch, runs: int) -> dict[str, list[dict[str, float]]]:
    """Time all that proves and checks a night: suites, proofs, leak gates, history.

    Returns:
        ``first``: the first night's seconds by step, which lays history's baseline; ``later``:
        those of later nights, each after a refresh.

    Raises:
        NotMeasured: an expectation is not met, so that not all was looked at.
    """
    # Import it first: that is slow, and does not depend on the data.
    import great_expectations  # noqa: F401

    nights = []
    with scratch.session() as connection:
        for feature_set in read_feature_sets(scratch.settings.include_dir):
            stamp(connection, feature_set, replace=False)  # what is not stamped has no profile
        for _ in range(runs + 1):
            refresh_all(connection, scratch)
            nights.append(_check_all(connection, scratch))
    return {"first": nights[:1], "later": nights[1:]}


def refresh_all(connection: Connection, scratch: Scratch) -> None:
    """Refresh every relation, one after another, in a run of its own."""
    lease = take_the_lease(connection)
    day = scratch.newest_day(connection)
    open_run(connection, HOLDER, "manual", day, scratch.settings.zone)
    for relation in scratch.store.refreshed:
        refresh(connection, relation, lease, scratch.settings.zone)


def _unchanged_night(connection: Connection, scratch: Scratch) -> dict[str, float]:
    watch = Stopwatch()
    for relation in scratch.store.refreshed:
        with watch.time(str(relation.name)):
            lease = take_the_lease(connection)
            reuse = reusable(connection, scratch.store, relation, scratch.settings.zone)
            if reuse:
                record_reuse(connection, lease, relation, reuse)
        if not reuse:
            raise NotMeasured(f"{relation.name} counts as changed although nothing did.")
    return _rounded(watch)


def _check_all(connection: Connection, scratch: Scratch) -> dict[str, float]:
    settings, store = scratch.settings, scratch.store
    watch = Stopwatch()
    lease = take_the_lease(connection)
    event = begin_suite(connection, lease, suite_of(settings.include_dir, Check.SPECIFICATIONS))
    least_rows = least_rows_for_drift(settings.include_dir)
    for feature_set in read_feature_sets(settings.include_dir):
        with watch.time(PROFILES):
            record_profile(connection, lease, feature_set, event, least_rows)
    side_by_side(proofs(connection, store, lease, event), [connection])
    for proven, seconds, by_suite in connection.execute(_PROOFS, (event,)):
        watch.seconds[f"proof {proven}{'' if by_suite else IN_ITS_REFRESH}"] = seconds

    for suite in read_suites(settings.include_dir):
        expectations = read_expectations(settings.include_dir, store, suite)
        with watch.time(f"suite {suite}"):
            check_expectations(scratch, expectations)
    judge(connection, scratch, lease, watch)
    return _rounded(watch)


def judge(
    connection: Connection, scratch: Scratch, lease: Lease, watch: Stopwatch | None = None
) -> None:
    """Run the leak gates and history, timing each."""
    settings, store, watch = scratch.settings, scratch.store, watch or Stopwatch()
    rules, exceptions = read_rules(settings.include_dir), read_exceptions(settings.include_dir)
    with watch.time("leak gates"):
        check_gates(connection, store, read_feature_sets(settings.include_dir), rules, exceptions)
    layers = read_history(settings.include_dir, store)
    with watch.time("history"):
        judge_history(
            connection, layers, lease, scratch.newest_day(connection) + timedelta(1), settings
        )


def check_expectations(scratch: Scratch, expectations: Sequence[Expectation]) -> None:
    """Check expectations as a suite.

    Raises:
        NotMeasured: a critical one is not met, or one could not be checked.
    """
    with ExitStack() as opened:

        def connect() -> Connection:
            connection = opened.enter_context(psycopg.connect(scratch.conninfo, autocommit=True))
            scratch.pin(connection)
            connection.autocommit = False  # what Great Expectations counts on
            return connection

        findings = run_suite(expectations, connect)
    for found in findings:
        broken = found.outcome == "broken" and found.expectation.severity == "critical"
        if broken or found.outcome == "error":
            raise NotMeasured(f"{found.expectation.name}: {found.observed}.")


def _rounded(watch: Stopwatch) -> dict[str, float]:
    return {name: round(seconds, 4) for name, seconds in watch.seconds.items()}
