"""The recorded definition of the speed anchors (D4, E-speed): one rule a test.

In every market below the ask median is 10000, so a listing's price tells its ratio ``ptv_final``:
10000 is ratio 1.00, in bucket 4. No sale has a price, so only asks decide.
"""

from datetime import date, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from tests.oracle.harness import Store, at, by_id, load, only, picked
from tests.relations import D1, D4, E_CLEAN, E_SPEED, E

ANCHOR_DAY = date(2026, 4, 15)
T0 = at("2026-04-15 12:00")
SOLD = at("2026-04-10 12:00")
PHONE: dict[str, Any] = {"generation": 15, "storage_gb": 128, "price": 10000}
SPEED = (
    "speed_fast7_anchor",
    "speed_fast24_anchor",
    "speed_slow21_anchor",
    "speed_median_hours_ptv",
    "speed_n_eff_ptv",
)


def _market(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows, each with enough others of its cohort and day that ask 10000."""
    ids = count(1000)
    fillers = [
        {name: row[name] for name in ("generation", "storage_gb", "edited_date")}
        | {"listing_id": next(ids), "price": 10000}
        for row in rows
        for _ in range(6)
    ]
    return [*rows, *fillers]


def _sale(listing_id: int, sold: datetime, hours: float, **other: Any) -> dict[str, Any]:
    """A listing that sold at that instant after so many hours."""
    dates = {"edited_date": sold - timedelta(hours=hours), "sold_date": sold}
    return PHONE | {"listing_id": listing_id} | dates | other


def _asking(listing_id: int = 1, **other: Any) -> dict[str, Any]:
    return PHONE | {"listing_id": listing_id, "edited_date": T0} | other


SOLD_AT = {
    "2026-01-14 23:59": False,  # 91 days before
    "2026-01-15 00:00": True,  # 90 days before
    "2026-04-14 23:59": True,
    "2026-04-15 00:00": False,  # the anchor day itself
    "2026-04-16 00:00": False,
}


def test_window_is_the_ninety_days_before_the_anchor_day(store: Store) -> None:
    """D4: D - 90 <= sold_day < D, and the proof columns say which days were used."""
    listings = []
    for number, sold in enumerate(SOLD_AT):  # each in a generation of its own
        listings += [_asking(number, generation=number)]
        listings += [_sale(50 + number, at(sold), 12, generation=number)]
    load(store, _market(*listings))
    rows = {r["generation"]: r for r in store.rows(D4) if r["anchor_day"] == ANCHOR_DAY}
    assert {sold: n in rows for n, sold in enumerate(SOLD_AT)} == SOLD_AT
    for number, sold in enumerate(SOLD_AT):
        if number in rows:
            used = picked(rows[number], "min_sold_day_used", "max_sold_day_used")
            assert used == (at(sold).date(), at(sold).date())


def test_weights_halve_in_ninety_days(store: Store) -> None:
    """D4: 90 days old weighs 1/2, 30 days old 1/2 to the power 1/3 = 0.7937..."""
    old = _sale(2, at("2026-01-15 12:00"), 12)
    newer = _sale(3, at("2026-03-16 12:00"), 600)
    load(store, _market(_asking(), old, newer))
    row = only(store, D4, anchor_day=ANCHOR_DAY)
    newer_weight = 0.7937005259840998
    total = 0.5 + newer_weight
    assert row["sum_w"] == pytest.approx(total, rel=1e-12)
    assert row["speed_fast24_anchor"] == pytest.approx(0.5 / total, rel=1e-12)
    assert row["speed_slow21_anchor"] == pytest.approx(newer_weight / total, rel=1e-12)
    n_eff = total**2 / (0.25 + newer_weight**2)
    assert row["speed_n_eff_ptv"] == pytest.approx(n_eff, rel=1e-12)
    assert row["speed_median_hours_ptv"] == 306.0, "unweighted: (12 + 600) / 2"
    assert picked(row, "min_sold_day_used", "max_sold_day_used") == (
        date(2026, 1, 15),
        date(2026, 3, 16),
    )


def test_limits_of_fast_and_slow(store: Store) -> None:
    """D4: 24 and 168 hours are fast, 504 are not slow; a share of nothing is 0, not NULL."""
    sold = at("2026-01-15 12:00")  # weight 1/2
    limits = [_sale(number, sold, hours) for number, hours in ((2, 24), (3, 168), (4, 504))]
    load(store, _market(_asking(), *limits))
    row = only(store, D4, anchor_day=ANCHOR_DAY)
    assert picked(row, "sum_w", *SPEED) == (1.5, 2 / 3, 1 / 3, 0.0, 168.0, 3.0)
    over = [_sale(2, sold, 24.5), _sale(3, sold, 168.5), _sale(4, sold, 504.5)]
    load(store, _market(_asking(), *over))
    row = only(store, D4, anchor_day=ANCHOR_DAY)
    assert picked(row, *SPEED) == (1 / 3, 0.0, 1 / 3, 168.5, 3.0)


RATIO_BUCKETS: dict[int, int | None] = {
    4999: None, 5000: 1, 7999: 1, 8000: 2, 8999: 2, 9000: 3, 9999: 3, 10000: 4, 10999: 4,
    11000: 5, 11999: 5, 12000: 6, 13999: 6, 14000: 7, 25000: 7, 25001: None,
}  # fmt: skip


def test_ratio_buckets(store: Store) -> None:
    """D4: lower edges inclusive, 0.50 and 2.50 inside, nothing beyond: no sale and no anchor."""
    listings = []
    for number, price in enumerate(RATIO_BUCKETS):  # each in a generation of its own
        own = {"price": price, "generation": number}
        listings += [_asking(number, **own), _sale(50 + number, SOLD, 12, **own)]
    load(store, _market(*listings))
    anchors = [row for row in store.rows(D4) if row["anchor_day"] == ANCHOR_DAY]
    by_generation = {row["generation"]: row["ptv_bucket"] for row in anchors}
    found = {price: by_generation.get(n) for n, price in enumerate(RATIO_BUCKETS)}
    assert found == RATIO_BUCKETS
    for number, bucket in enumerate(RATIO_BUCKETS.values()):
        fast24 = by_id(store, E_SPEED)[number]["speed_fast24_anchor"]
        assert fast24 == (None if bucket is None else 1.0)


STORAGE_BUCKETS = {
    2000: 1024, 900: 1024, 899: 512, 500: 512, 499: 256, 250: 256, 249: 128, 120: 128,
    119: 119, 64: 64,
}  # fmt: skip


def test_storage_buckets(store: Store) -> None:
    """D4: sizes are rounded to their class; below 120 they stay themselves."""
    listings = []
    for number, storage in enumerate(STORAGE_BUCKETS):  # each in a generation of its own
        own = {"storage_gb": storage, "generation": number}
        listings += [_asking(number, **own), _sale(50 + number, SOLD, 12, **own)]
    load(store, _market(*listings))
    anchors = [row for row in store.rows(D4) if row["anchor_day"] == ANCHOR_DAY]
    by_generation = {row["generation"]: row["sbucket"] for row in anchors}
    found = {storage: by_generation[n] for n, storage in enumerate(STORAGE_BUCKETS)}
    assert found == STORAGE_BUCKETS
    for number in range(len(STORAGE_BUCKETS)):
        assert by_id(store, E_SPEED)[number]["speed_n_eff_ptv"] == 1.0


@pytest.mark.parametrize("missing", ["generation", "storage_gb"])
def test_a_null_cohort_has_no_speed(store: Store, missing: str) -> None:
    """D4 and 20: without a generation or a storage there is no cohort."""
    null: dict[str, Any] = {missing: None}
    load(store, _market(_asking(**null), _sale(2, SOLD, 12, **null)))
    assert store.rows(D4) == []
    assert picked(by_id(store, E_SPEED)[1], *SPEED) == (None,) * 5


def test_a_sale_counts_in_the_cohort_of_its_listings_t0(store: Store) -> None:
    """D4: first put up as 15/128 at 10000, sold after an edit to 14/256 at 12000."""
    first = PHONE | {"listing_id": 2, "edited_date": at("2026-04-01 12:00")}
    edit = {"generation": 14, "storage_gb": 256, "price": 12000}
    load(store, _market(_asking(), first, _sale(2, SOLD, 12, **edit)))
    assert only(store, D1)["generation"] == 14
    row = only(store, D4, anchor_day=ANCHOR_DAY)
    assert picked(row, "generation", "sbucket", "ptv_bucket") == (15, 128, 4)
    assert row["speed_median_hours_ptv"] == 12.0, "the hours are those of the sold row"


def test_a_sale_of_a_spam_listing_counts(store: Store) -> None:
    """D4 and 18: D4 joins E, not E-clean, and D1's rows are judged one by one."""
    sale = _sale(2, SOLD, 12)
    load(store, _market(_asking(), sale, sale | {"spam": "junk"}))
    assert 2 not in by_id(store, E_CLEAN)
    assert only(store, D4, anchor_day=ANCHOR_DAY)["speed_n_eff_ptv"] == 1.0


def test_a_rescraped_sale_counts_twice(store: Store) -> None:
    """D4 and 12: two equal sold rows are two sales."""
    sale = _sale(2, at("2026-01-15 12:00"), 12)
    load(store, _market(_asking(), sale, sale))
    row = only(store, D4, anchor_day=ANCHOR_DAY)
    assert picked(row, "sum_w", "speed_n_eff_ptv") == (1.0, 2.0)


def test_a_listing_looks_up_its_own_day_and_cohort(store: Store) -> None:
    """E-speed: the anchor of its t0 day, generation, storage class and ratio; else NULL."""
    sale = _sale(9, SOLD, 12)
    listings = [
        _asking(1),
        _asking(2, storage_gb=120),  # the same class
        _asking(3, price=11000),
        _asking(4, generation=14),
        _asking(5, storage_gb=256),
        _asking(6, edited_date=at("2026-04-10 23:00")),  # the day of the sale: not yet known
        _asking(7, edited_date=at("2026-04-11 00:00")),
        _asking(8, edited_date=None),
    ]
    load(store, _market(*listings, sale))
    rows = by_id(store, E_SPEED)
    having = {number for number in range(1, 9) if rows[number]["speed_n_eff_ptv"] is not None}
    assert having == {1, 2, 7}
    assert picked(rows[1], *SPEED) == (1.0, 1.0, 0.0, 12.0, 1.0)


def test_anchor_days_are_the_t0_days_that_occur(store: Store) -> None:
    """D4: no row for a day without a listing, and never one for today."""
    later = _asking(3, edited_date=at("2026-04-20 12:00"))
    load(store, _market(_asking(), later, _sale(2, SOLD, 12)))
    days = {row["anchor_day"] for row in store.rows(D4)}
    assert days == {ANCHOR_DAY, date(2026, 4, 20)}
    assert all(row["max_sold_day_used"] < row["anchor_day"] for row in store.rows(D4))


def test_speed_adds_five_columns_to_the_clean_layer(store: Store) -> None:
    """D4 and 30: fast7, fast24, slow21, median, n_eff, in that order, and nothing else."""
    base = store.columns(E_CLEAN)
    assert base == store.columns(E)
    assert store.columns(E_SPEED) == [*base, *((name, "double precision") for name in SPEED)]
