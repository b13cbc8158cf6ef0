"""A correct store that has nothing to prove, in part or in all, is certified like any other."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from feature_store.declarations.store_definition import Store
from feature_store.settings import Settings
from sandbox.load import load_csv
from sandbox.server import Server
from tests.conftest import create_store

FIRST_DAY = datetime.fromisoformat("2026-06-24T12:00+00:00")
AS_OF = "2026-06-30"


def _active_ads(path: Path, ads: int) -> Path:
    """Ads of one week that are all online, as a first scrape finds them."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["listing_id", "generation", "model", "storage_gb", "price", "edited_date"])
        for number in range(ads):
            t0 = FIRST_DAY + timedelta(hours=number)
            rows.writerow([number, 15, "iPhone 15 Pro", 128, 9000 + number, t0.isoformat()])
    return path


@pytest.fixture
def young(
    server: Server,
    settings: Settings,
    store_files: Store,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[str]:
    """A stamped store over this many active ads; its connection string."""
    name = f"young_{os.getpid()}_{request.param}"
    conninfo = server.create_database(name, "sources_only")
    if request.param:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            load_csv(connection, _active_ads(tmp_path / "ads.csv", request.param))
    create_store(conninfo, store_files, settings)
    yield conninfo
    server.drop_database(name)


@pytest.mark.parametrize(
    "young",
    [
        pytest.param(0, id="an empty store"),
        pytest.param(150, id="a week of active ads", marks=pytest.mark.slow),
    ],
    indirect=True,
)
def test_a_store_without_sales_is_certified_and_told_what_had_nothing_to_compare(
    young: str, run_dag: Callable[..., Any]
) -> None:
    run = run_dag(young, as_of_day=AS_OF)

    assert set(run.tasks.values()) == {"success"}, run.tasks
    with psycopg.connect(young) as connection:
        for schema, name in (
            ("ml", "tom_features_v1"),
            ("feature_store", "iphone_device_meta_encoded_v2_model"),
        ):
            ask = f"SELECT * FROM {schema}.require_certified(%s, interval '1 hour')"
            assert connection.execute(ask.encode(), (name,)).fetchall()
        told = dict(
            connection.execute(
                "SELECT expectation, observed FROM feature_store_audit.expectation "
                "WHERE suite = 'as_of_counts' AND outcome = 'met'"
            ).fetchall()
        )
    assert told["ml.tom_speed_anchor_v1_mv"] == (
        "nothing to compare: relation and specification both give no rows"
    )
