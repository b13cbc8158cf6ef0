"""What comes after a night's refreshes, as the DAG runs it: suites at once, then the verdict."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from bench.nights import check_expectations, judge, refresh_all
from bench.scratch import Scratch
from bench.variants import take_the_lease
from feature_store.audit.lease import Lease
from feature_store.database.side_by_side import side_by_side
from feature_store.declarations.expectations import read_expectations
from feature_store.declarations.suites import read_suites
from feature_store.validation.suite_jobs import suite_jobs
from feature_store.validation.suite_record import begin_suite


def time_checks_in_the_dag(scratch: Scratch, runs: int) -> list[float]:
    """Time suites, proofs, profiles, leak gates and history, each night after a refresh.

    Sessions are opened inside what is timed, as a task opens its own; what Airflow needs for a task
    is not in it. History has its baseline already: call `bench.nights.time_checks` first.

    Raises:
        NotMeasured: an expectation is not met, so that not all was looked at.
    """
    return [_night(scratch) for _ in range(runs)]


def _night(scratch: Scratch) -> float:
    with scratch.session() as connection:
        refresh_all(connection, scratch)
        lease = take_the_lease(connection)
        suites = read_suites(scratch.settings.include_dir)
        started = time.perf_counter()
        with ThreadPoolExecutor(len(suites)) as pool:
            for done in [pool.submit(_check, scratch, lease, suite) for suite in suites]:
                done.result()
        judge(connection, scratch, lease)
        return time.perf_counter() - started


def _check(scratch: Scratch, lease: Lease, suite: str) -> None:
    """What the task of a suite does (`feature_store.operators.suite_steps`)."""
    settings, store = scratch.settings, scratch.store
    with scratch.session() as connection, ExitStack() as opened:
        event = begin_suite(connection, lease, suite)
        if jobs := suite_jobs(connection, store, settings, lease, suite, event):
            another = opened.enter_context(scratch.session())
            side_by_side(jobs, [connection, another])
        check_expectations(scratch, read_expectations(settings.include_dir, store, suite))
