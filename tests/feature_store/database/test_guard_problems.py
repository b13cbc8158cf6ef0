"""Guards: what a refresh cannot work with is named, by its key, before it is read."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from feature_store.audit.lease import RunKey, take_lease
from feature_store.errors import ExpectationsBroken, NotReady
from feature_store.refresh.refresh import refresh
from feature_store.schema.apply import apply
from feature_store.schema.readiness import check_ready
from tests.feature_store.validation.leaks.variants import LISTINGS
from tests.relations import D4 as _D4
from tests.relations import F2 as _F2
from tests.relations import A

_DAY = date(2026, 3, 1)
_LISTING = {"listing_id": 7, "generation": 15, "storage_gb": 128, "edited_date": "2026-03-01"}
_IMAGES = "feature_store.device_image_features_unified_v1"
_AI = '"iPhone".iphone_ai_enrich'


def _refresh(store, name: str) -> None:
    lease = take_lease(store.connection, RunKey("tests", "run"), lambda _: True, timedelta(0))
    refresh(store.connection, store.files.find(name), lease, store.settings.zone)


def _refresh_all(database, include) -> None:
    lease = take_lease(database.connection, RunKey("tests", "run"), lambda _: True, timedelta(0))
    for relation in include.store.refreshed:
        refresh(database.connection, relation, lease, "UTC")


def _problem(store_db, include) -> str:
    with pytest.raises(NotReady) as caught:
        check_ready(store_db.connection, include.store, include.settings)
    assert caught.value.readers == "the rows of the last refresh; nothing was changed."
    return caught.value.problem


@pytest.mark.parametrize("column", ["edited_date", "sold_date", "last_seen"])
@pytest.mark.parametrize("moment", ["infinity", "-infinity", "4713-01-02 BC", "294276-12-30"])
def test_a_moment_that_is_none_is_named_before_any_work(store_db, include, column, moment):
    store_db.run(
        f"INSERT INTO {LISTINGS} (listing_id, edited_date) VALUES (6, '2026-03-01')",
        f"INSERT INTO {LISTINGS} (listing_id, {column}) VALUES (7, '{moment}')",
    )
    problem = _problem(store_db, include)
    assert "edited_date, sold_date and last_seen to be of a year from 1 to 9999" in problem
    assert f"\n    listing_id 7, source_column {column}, moment " in problem
    assert "listing_id 6" not in problem
    assert "Next: correct the rows, set a moment that is not known to NULL, or flag" in problem


def test_a_row_of_no_listing_is_named_before_any_work(store_db, include):
    store_db.run(
        f"ALTER TABLE {LISTINGS} ALTER listing_id DROP NOT NULL",
        f"INSERT INTO {LISTINGS} (edited_date, price) VALUES ('2026-03-01', 5000)",
        f"INSERT INTO {LISTINGS} (edited_date, spam) VALUES ('2026-03-01', 'spam')",
    )
    problem = _problem(store_db, include)
    assert "iPhone.iphone_listings: expected every unflagged row to have a listing_id" in problem
    assert problem.count("source_column listing_id") == 1


def test_flagged_as_spam_it_stops_nothing(store_db, include):
    store_db.run(
        f"INSERT INTO {LISTINGS} (listing_id, edited_date, sold_date, spam) "
        "VALUES (7, 'infinity', '-infinity', 'spam')"
    )
    check_ready(store_db.connection, include.store, include.settings)


def test_the_first_and_the_last_year_are_moments(store_db, include):
    store_db.run(
        f"INSERT INTO {LISTINGS} (listing_id, edited_date, sold_date) "
        "VALUES (7, '0001-01-02', '9999-12-30'), (8, NULL, NULL)"
    )
    check_ready(store_db.connection, include.store, include.settings)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (
            f"INSERT INTO {_IMAGES} (generation, listing_id, image_count) VALUES (15, 7, 1 << 31)",
            None,
        ),
        (
            f"INSERT INTO {_IMAGES} (generation, listing_id, image_count) "
            "VALUES (15, 7, 3000000000)",
            "generation 15, listing_id 7, source_column image_count, amount 3000000000",
        ),
        (
            f"INSERT INTO {_AI} (listing_id, urgency_ai) VALUES (7, 'Infinity'), (8, 'NaN')",
            None,
        ),
        (
            f"INSERT INTO {_AI} (listing_id, storage_gb_fixed_ai, urgency_ai, lqs_textonly) VALUES "
            "(7, -2147483648, 'Infinity', 1.7e308), (8, 0, -1.7e308, 5e-324)",
            None,
        ),
    ],
)
def test_a_number_that_cannot_be_cast_is_named(store_db, include, statement, told):
    store_db.run(statement)
    if told:
        assert told in _problem(store_db, include)
    else:
        check_ready(store_db.connection, include.store, include.settings)


@pytest.mark.parametrize("score", ["1e309", "-1e309", "1e-400"])
def test_a_score_that_no_double_holds_is_named(sources_db, include, score):
    sources_db.run(
        f"ALTER TABLE {_AI} ALTER urgency_ai TYPE numeric",
        f"INSERT INTO {_AI} (listing_id, urgency_ai) VALUES (7, {score}), (8, 0), (9, 1e-300)",
    )
    apply(sources_db.connection, include.store, include.settings)
    assert "listing_id 7, source_column urgency_ai" in _problem(sources_db, include)


def test_what_comes_after_prepare_has_looked_is_named_by_the_refresh(store):
    """PostgreSQL 15 and 16 would fail without a name; later versions would make endless labels."""
    store.load([_LISTING])
    _refresh(store, A)
    store.load([_LISTING | {"sold_date": "infinity"}])
    with pytest.raises(ExpectationsBroken) as caught:
        _refresh(store, "ml.tom_labels_v1_mv")
    assert "listing_id 7, source_column sold_date, moment infinity" in caught.value.problem
    assert caught.value.problem.startswith("ml.tom_labels_v1_mv was not refreshed, because")
    assert store.connection.info.transaction_status.name == "IDLE"


def _slips(listings: int, days: int) -> list[dict[str, object]]:
    """Wrong listings, each of a generation that nothing else has."""
    return [
        _LISTING
        | {
            "listing_id": 1000 + n,
            "generation": 1000 + n,
            "edited_date": _DAY - timedelta(days=n % days),
        }
        for n in range(1, listings + 1)
    ]


def test_a_grid_that_slips_blow_up_is_refused_and_the_new_values_are_named(shared_store):
    store = shared_store
    store.load([_LISTING])
    store.refresh()
    before = store.rows(_F2)
    store.load([_LISTING, *_slips(1500, 365)])

    with pytest.raises(ExpectationsBroken) as caught:
        store.refresh()

    problem = caught.value.problem
    assert f"{_F2}: expected a grid (days, times segments, times 22 colours)" in problem
    assert (
        "gen_key 1001, model_variant other, listings 1, segment new since the last refresh, "
        "grid_rows 12053030, days 365, segments 1501" in problem
    )
    assert "gen_key 15," not in problem, "it is known"
    assert "and more" in problem
    assert caught.value.readers.startswith("the rows of the refresh of ")
    assert store.rows(_F2) == before


def test_the_first_grid_is_bounded_too(store_db, include):
    include.edit("thresholds.toml", "most_device_rows = 10000000", "most_device_rows = 43")
    store_db.run(
        f"INSERT INTO {LISTINGS} (listing_id, generation, edited_date) VALUES "
        "(1, 15, '2026-03-01'), (2, 16, '2026-03-01')"
    )
    with pytest.raises(ExpectationsBroken, match="grid_rows 44, days 1, segments 2"):
        _refresh_all(store_db, include)


def test_the_cohorts_that_d4_looks_at_are_bounded(store_db, include):
    include.edit("thresholds.toml", "most_anchor_cohorts = 10000000", "most_anchor_cohorts = 1")
    store_db.run(
        f"INSERT INTO {LISTINGS} (listing_id, generation, storage_gb, price, edited_date) "
        "SELECT n, 15 + n % 2, 128, 5000, '2026-03-01' FROM generate_series(1, 10) AS n"
    )
    with pytest.raises(ExpectationsBroken, match=f"{_D4}: expected no more than most_anchor"):
        _refresh_all(store_db, include)
