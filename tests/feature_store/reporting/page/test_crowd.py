"""Many ask a real API server at once: each gets an answer, and nobody else waits for them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import httpx
import psycopg
import pytest

from tests.feature_store.reporting.page.conftest import Airflow

# Seconds, with time for a busy machine; an answer that waits for the crowd takes longer.
_AT_ONCE = 4
_REPORT = "/api/report?dag_id=feature_store_refresh&run_id=scheduled__{}"


@pytest.fixture
def crowd() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(160) as threads:
        yield threads


def _statuses(asked: list[Future[httpx.Response]]) -> list[int]:
    return [future.result().status_code for future in asked]


def _report(airflow: Airflow, night: int) -> httpx.Response:
    """The report of a night; asked for again as a 503 says, if the machine stands still."""
    answer = airflow.get(_REPORT.format(night))
    for _ in range(2):
        if answer.status_code == 503:
            time.sleep(5)
            answer = airflow.get(_REPORT.format(night))
    return answer


def _done(asked: list[Future[httpx.Response]]) -> int:
    return sum(future.done() for future in asked)


def test_while_reports_are_drawn_the_store_is_told(airflow, crowd):
    """Each report is another one, so each is drawn. Drawing once kept a session all the time."""
    # So that all that is needed is loaded: an answer is measured, not an import.
    _report(airflow, 30)
    assert airflow.get("/api/now").status_code == 200
    assert airflow.get("/api/runs", user="admin").status_code == 200
    asked = [crowd.submit(_report, airflow, night) for night in range(1, 13)]
    while not _done(asked):
        time.sleep(0.01)
    assert airflow.get("/api/runs", user="admin").status_code == 200
    assert _done(asked) < len(asked), "another person waited for all reports"
    while _done(asked) < len(asked):
        began = time.monotonic()
        assert airflow.get("/api/now").status_code == 200
        assert time.monotonic() - began < _AT_ONCE
        time.sleep(0.2)
    unanswered = [r.text for r in (one.result() for one in asked) if r.status_code != 200]
    assert not unanswered, "\n".join(unanswered)


def test_while_the_store_s_database_waits_airflow_answers(airflow, nightly, crowd):
    """The page's requests wait in threads of its own, or in none."""
    with psycopg.connect(nightly.conninfo) as blocking:
        blocking.execute("LOCK TABLE feature_store_audit.run IN ACCESS EXCLUSIVE MODE")
        asked = [crowd.submit(airflow.get, "/api/runs") for _ in range(160)]
        time.sleep(2)  # until all have come
        began = time.monotonic()
        assert airflow.other("GET", "/api/v2/version").status_code == 200
        assert airflow.get("/api/features").status_code == 200
        assert time.monotonic() - began < _AT_ONCE
        assert _done(asked) < len(asked), "the answers came when the crowd had gone"
        assert set(_statuses(asked)) == {503}
    told = [future.result().json()["problem"] for future in asked]
    assert "Too many people ask for the feature store's record at this moment." in told
    busy = next(f.result() for f in asked if "retry-after" in f.result().headers)
    assert busy.json()["problem"].startswith("Too many people ask")
