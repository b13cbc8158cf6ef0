"""New data never moves an old day; late data moves exactly the days that it may."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest

from sandbox.load import load_sample
from sandbox.sample.options import SampleOptions
from tests.feature_store.validation.history.nights import Nights, quiet

FIRST, DAY, LAST = date(2026, 4, 1), date(2026, 5, 10), date(2026, 5, 30)
SETTLED = timedelta(days=400)  # judged so much later, every day is settled
_SAMPLE = SampleOptions(listings=400, days=(LAST - FIRST).days + 1, last_day=LAST)
_COHORT = (15, 128)


@pytest.fixture(scope="module")
def sample(server, store_files, settings) -> Iterator[Nights]:
    """A sample market of sixty days, of which the store has seen forty."""
    nights = Nights(server.create_database("invariance", "store"), store_files, settings)
    load_sample(nights.connection, _SAMPLE)
    run = nights.connection.execute
    run("CREATE SCHEMA later")
    # Flags, and sales before their listing's t0, would be late data: that comes second.
    run('UPDATE "iPhone".iphone_listings SET spam = NULL')
    run('DELETE FROM "iPhone".iphone_listings WHERE sold_date < edited_date')
    run('CREATE TABLE later.listings AS SELECT * FROM "iPhone".iphone_listings')
    nights.load = lambda: None  # type: ignore[method-assign]
    yield nights
    nights.connection.close()


def _as_of(nights: Nights, day: date) -> None:
    """The sources as they stood at the end of a day."""
    end = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    run = nights.connection.execute
    run('TRUNCATE "iPhone".iphone_listings')
    run(
        'INSERT INTO "iPhone".iphone_listings SELECT * FROM later.listings AS l '
        "WHERE l.edited_date IS NULL OR l.edited_date < %s",
        (end,),
    )
    run(
        'UPDATE "iPhone".iphone_listings SET sold_date = NULL, sold_price = NULL, '
        "real_sold_price = NULL WHERE sold_date >= %s",
        (end,),
    )


def _days(nights: Nights, layer: str, run_id: str) -> set[date]:
    """The days of a layer that this run moved."""
    rows = nights.rows(
        "SELECT day FROM feature_store_audit.history_day WHERE layer = %s AND run_id = %s",
        layer,
        run_id,
    )
    return {day for (day,) in rows}


def test_later_days_move_no_earlier_one_and_a_late_row_exactly_what_it_may(sample):
    _as_of(sample, DAY)
    sample.night(DAY)
    before = sample.fingerprints(DAY)
    assert {name for name, _ in before} == set(sample.layers)

    _as_of(sample, LAST)
    assert quiet(sample.night(LAST + SETTLED)) is False, "twenty settled days are new"
    assert sample.fingerprints(DAY) == before
    reviewed = sample.rows("SELECT min(day) FROM feature_store_audit.history_finding")
    assert reviewed == [(DAY + timedelta(days=1),)]
    sample.rows(
        "INSERT INTO feature_store_audit.history_closing_log (finding_id, outcome) "
        "SELECT finding_id, 'undone' FROM feature_store_audit.history_finding "
        "WHERE outcome IS NULL RETURNING 1"
    )
    sample.connection.execute("DELETE FROM feature_store_audit.history_layer")
    sample.connection.execute("DELETE FROM feature_store_audit.history_day")
    assert quiet(sample.night(LAST + SETTLED))  # a new baseline

    _a_late_row(sample)


def _a_late_row(nights: Nights) -> None:
    """Add a phone of 10 April, sold on 13 April, of which the store hears at the end of May."""
    listed, sold = date(2026, 4, 10), date(2026, 4, 13)
    nights.connection.execute(
        'INSERT INTO "iPhone".iphone_listings (listing_id, generation, storage_gb, model, price, '
        "edited_date, sold_date, sold_price) VALUES (1, %s, %s, 'iPhone 15', 6000, "
        "'2026-04-10 12:00+00', '2026-04-13 12:00+00', 6000)",
        _COHORT,
    )
    verdict = nights.night(LAST + SETTLED)
    assert verdict.leaks == ()
    assert {(f.layer, f.day) for f in verdict.reviews} == {
        *((layer, listed) for layer in ("A", "D2", "F0", "device counts")),
        *((layer, sold) for layer in ("D1", "D3")),
    }
    moved = {name: _days(nights, name, "night 4") for name in ("E", "D4", "F2", "D1 by cohort")}
    in_cohort = {
        day
        for (day,) in nights.rows(
            "SELECT DISTINCT edited_date::date FROM ml.tom_features_v1_mv "
            "WHERE generation = %s AND storage_gb = %s",
            *_COHORT,
        )
    }
    after = {name: {d for n, d in nights.fingerprints(LAST) if n == name} for name in moved}
    thirty_days = {sold + timedelta(days=n) for n in range(1, 31)}
    assert moved["E"] == {listed} | (thirty_days & in_cohort)
    assert moved["F2"] == {day for day in after["F2"] if day > listed}
    # A sale that got a cohort, or another one, counts in the ninety days after it.
    assert moved["D4"] == {
        day
        for day in after["D4"]
        if any(sale < day <= sale + timedelta(days=90) for sale in moved["D1 by cohort"])
    }
    assert min(moved["D1 by cohort"]) >= listed
