"""Which refreshes serve a backfill: the order of the store's transactions decides, not a clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from feature_store.connection import Connection, one_value
from feature_store.operators.tasks import RefreshOperator
from tests.relations import A

_LISTING = """
INSERT INTO "iPhone".iphone_listings (listing_id, generation, storage_gb, price, edited_date)
SELECT coalesce(max(listing_id), 0) + 1, 15, 128, 5000, '2026-01-01 12:00+00'
FROM "iPhone".iphone_listings
"""
# A time by Airflow's clock, which is ten minutes behind the store's.
_BEHIND = datetime.now(UTC) - timedelta(minutes=10)


@pytest.fixture
def store(store_database: str, airflow_conn: Any) -> Any:
    airflow_conn(store_database)
    with psycopg.connect(store_database, autocommit=True) as connection:
        yield connection


def _refresh(run_id: str, kind: str, go: int = 0) -> str:
    run = SimpleNamespace(
        dag_id="feature_store_refresh",
        run_id=run_id,
        run_type=SimpleNamespace(value=kind),
        logical_date=datetime(2026, 6, 30, tzinfo=UTC),
        run_after=datetime(2026, 6, 30, tzinfo=UTC),
        start_date=_BEHIND,
        clear_number=go,
    )
    ti = SimpleNamespace(
        xcom_push=lambda **_: None, try_number=1, get_dagrun_state=lambda _, of: _states(of, run_id)
    )
    context: Any = {"ti": ti, "dag_run": run, "params": {}}
    mode: str = RefreshOperator(task_id="a", relation=A).execute(context)["mode"]
    return mode


def _states(of: str, run_id: str) -> str:
    return "running" if of == run_id else "success"


def _listings(store: Connection) -> int:
    return int(one_value(store, f"SELECT count(*) FROM {A}".encode()))


@pytest.mark.parametrize("skew", ["-1 hour", "0", "1 hour"])
def test_late_data_from_between_a_refresh_and_the_backfill_are_refreshed_on_any_clock(
    store: Connection, skew: str
) -> None:
    store.execute(_LISTING)
    _refresh("nightly", "scheduled")
    _written_by_a_clock(store, skew)
    store.execute(_LISTING)

    assert _refresh("backfill of day 1", "backfill") != "reused"
    assert _listings(store) == 2


@pytest.mark.parametrize("skew", ["-1 hour", "0", "1 hour"])
def test_a_refresh_after_the_backfill_was_asked_for_serves_it_on_any_clock(
    store: Connection, skew: str
) -> None:
    """A source that is written all the time makes no second refresh, until the run is cleared."""
    _refresh("backfill of day 1", "backfill")
    _written_by_a_clock(store, skew)
    store.execute(_LISTING)

    assert _refresh("backfill of day 1", "backfill") == "reused"
    assert _refresh("backfill of day 1", "backfill", go=1) != "reused"
    assert _listings(store) == 1


def _written_by_a_clock(store: Connection, ahead: str) -> None:
    store.execute(
        "UPDATE feature_store_audit.refresh SET started_at = started_at + %(by)s::interval, "
        "finished_at = finished_at + %(by)s::interval",
        {"by": ahead},
    )
