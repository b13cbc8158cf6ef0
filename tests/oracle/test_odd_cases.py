"""The generated sets do hold the odd cases, so that a green comparison means something."""

from collections import Counter
from functools import cache
from typing import Any

from tests.oracle import compute
from tests.oracle.odd_cases import PROFILES, SPAM, generate
from tests.oracle.rows import Sources
from tests.relations import D1, D4, E_AI, E_CLEAN, E_SPEED, F1, F2, F3, A, E

_ODD, _FULL, _EDGES, _MIDNIGHT = PROFILES
_SEEDS = (1, 2)


@cache
def _sources(profile: int) -> tuple[Sources, ...]:
    return tuple(generate(PROFILES[profile], seed) for seed in _SEEDS)


@cache
def _computed(profile: int) -> tuple[dict[str, list[dict[str, Any]]], ...]:
    return tuple(compute(sources) for sources in _sources(profile))


def _rows(profile: int, relation: str) -> list[dict[str, Any]]:
    return [row for computed in _computed(profile) for row in computed[relation]]


def test_the_same_seed_gives_the_same_set() -> None:
    assert repr(generate(_ODD, 1)) == repr(generate(_ODD, 1))
    assert repr(generate(_ODD, 1)) != repr(generate(_ODD, 2))


def test_listings_are_edited_rescraped_and_tied() -> None:
    for sources in _sources(0):
        unflagged = [row for row in sources.listings if row.spam is None]
        assert max(Counter(row.listing_id for row in unflagged).values()) >= 3
        assert any(n > 1 for n in Counter(unflagged).values()), "an identical re-scrape"
        ties = Counter(
            (row.listing_id, row.edited_date) for row in set(unflagged) if row.edited_date
        )
        assert sum(n > 1 for n in ties.values()) >= 5
    undated = [row for row in _rows(0, A) if row["edited_date"] is None]
    assert undated, "a listing whose dates are all NULL"


def test_spam_comes_in_all_its_forms() -> None:
    for sources in _sources(0):
        flagged = [row for row in sources.listings if row.spam is not None]
        assert {"false", "no", ""} & {row.spam for row in flagged}
        clean_ids = {row.listing_id for row in sources.listings if row.spam is None}
        spam_ids = {row.listing_id for row in flagged if row.spam in SPAM}
        assert clean_ids & spam_ids, "a listing with both spam and clean rows"
    assert len(_rows(0, E_CLEAN)) < len(_rows(0, E))


def test_sales_are_odd() -> None:
    hours = [row["duration_hours"] for row in _rows(0, D1)]
    assert any(value < 0 for value in hours)
    assert any(value == 0 for value in hours)
    listings = [row for sources in _sources(0) for row in sources.listings]
    assert any(row.real_sold_price == 0 and row.sold_price for row in listings)
    assert any(row.sold_date and row.sold_price is None for row in listings)


def test_cohorts_fill_up() -> None:
    rows = _rows(1, E)
    assert sum(row["sold_cnt_30d"] >= 10 for row in rows) > 50
    by_ask = [r for r in rows if r["sold_cnt_30d"] < 10 and (r["ask_cnt"] or 0) >= 5]
    assert sum(row["ptv_final"] is not None for row in by_ask) > 50
    assert {9, 10} <= {row["sold_cnt_30d"] for row in rows}
    assert {4, 5} <= {row["ask_cnt"] for row in rows}


def test_speed_buckets_and_their_edges_occur() -> None:
    ratios = {row["ptv_final"] for row in _rows(2, E)}
    assert {0.5, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 2.5} <= ratios
    assert {row["ptv_bucket"] for row in _rows(2, D4)} == set(range(1, 8))
    assert {0.4999, 2.5001} <= ratios, "just outside: no bucket"
    days_back = {(row["anchor_day"] - row["min_sold_day_used"]).days for row in _rows(2, D4)}
    assert max(days_back) == 90
    found = [row["speed_n_eff_ptv"] for row in _rows(2, E_SPEED)]
    assert None in found
    assert sum(value is not None for value in found) > 100


def test_ai_rows_are_missing_and_out_of_range() -> None:
    rows = _rows(0, E_AI)
    assert any(r["ai_can_ship_bin"] and r["ai_pickup_only_bin"] for r in rows)
    assert any(r["ai_opening_offer_ratio"] == 5.0 for r in rows)
    assert any(r["ai_opening_offer_ratio"] is None for r in rows)
    known = {row.listing_id for row in _sources(0)[0].ai}
    assert {row["listing_id"] for row in _computed(0)[0][E_AI]} - known


def test_devices_are_odd() -> None:
    meta = _rows(0, F1)
    assert {row["model_variant"] for row in meta} >= {"base", "other", "pro_max", "pro", "air"}
    assert {"_MISSING", "_OTHER"} <= {row["color_bucket"] for row in meta}
    assert any(row["gen_key"] is None for row in meta)
    assert any(row["t0_day"] is None for row in meta)
    assert any(row["gmc_seg_top_color_share"] is None for row in _rows(0, F2))
    assert any(row["gmc_seg_n"] == 0 and row["gmc_seg_share"] is None for row in _rows(0, F3))
    assert max(row["gmc_seg_n_distinct_colors"] for row in _rows(1, F2)) >= 3


def test_instants_lie_around_midnight() -> None:
    minutes = {
        row.edited_date.hour * 60 + row.edited_date.minute
        for sources in _sources(3)
        for row in sources.listings
        if row.edited_date
    }
    assert any(minute >= 23 * 60 for minute in minutes)
    assert any(minute <= 60 for minute in minutes)
