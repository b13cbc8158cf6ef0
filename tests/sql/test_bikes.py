"""The second store's own SQL, and what models read of it, where the city's clocks were wrong."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest

from feature_store.client import read_features, read_training_set
from feature_store.database.session import pin
from feature_store.declarations.expectations import read_expectations
from feature_store.declarations.store_definition import read_store
from feature_store.schema.first_start import bootstrap
from feature_store.validation.suites import run_suite
from sandbox.server import run_psql
from tests.conftest import ROOT
from tests.feature_store.refresh.certified import certify_store

FOLDER = ROOT / "examples" / "bike_stations"
FAR = {9001: "2062-06-30", 9002: "infinity", 9003: "20260-01-01", 9004: "0044-03-15 BC"}


@pytest.fixture(scope="module")
def files():
    return read_store(FOLDER)


@pytest.fixture(scope="module")
def bikes(server, settings, files):
    """A certified store; the counts of the last days are there, and four of far days."""
    settings = replace(settings, include_dir=FOLDER)
    conninfo = server.create_database("bikes_of_far_days")
    for script in ("sources.sql", "seed.sql"):
        run_psql(conninfo, FOLDER / script, ON_ERROR_STOP="1")
    with psycopg.connect(conninfo, autocommit=True) as connection:
        pin(connection, settings, "tests")
        for count, moment in FAR.items():
            connection.execute(
                "INSERT INTO city.counts (count_id, station_id, counted_at) VALUES (%s, 1, %s)",
                (count, moment),
            )
        bootstrap(connection, files, settings)
    certify_store(conninfo, settings, files)
    yield conninfo
    server.drop_database("bikes_of_far_days")


def test_a_count_of_the_future_is_not_the_newest_day(bikes):
    with psycopg.connect(bikes) as connection:
        facts = connection.execute(
            "SELECT n, sample -> 0 ->> 'day' FROM feature_store_audit.fact "
            "WHERE fact = 'rows of the newest day'"
        ).fetchall()
    assert facts == [(8, "2026-06-30")]


@pytest.mark.parametrize(("late", "outcome"), [(2, "met"), (3, "broken")])
def test_a_count_of_the_future_does_not_hide_that_no_more_come(bikes, files, late, outcome):
    (fresh,) = (
        e
        for e in read_expectations(FOLDER, files, "proofs")
        if e.name == "the_newest_count_is_fresh"
    )
    with psycopg.connect(bikes, autocommit=True) as connection:
        connection.execute(
            "UPDATE feature_store_audit.run_log SET as_of_day = '2026-06-30'::date + %s", (late,)
        )
    (finding,) = run_suite([fresh], lambda: psycopg.connect(bikes))
    assert finding.outcome == outcome


def test_a_count_of_a_far_day_keeps_no_other_from_readers(bikes):
    known = read_features(bikes, "empty_risk_v1")["t0"].notna()
    assert set(known.index[~known]) == FAR.keys() - {9001}
    for rebuilt in (False, True):
        rows = read_training_set(bikes, "empty_risk_v1", most_lag=None, rebuilt=rebuilt)
        assert set(rows.index) == set(known.index[known])
