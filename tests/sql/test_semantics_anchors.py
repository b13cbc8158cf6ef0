"""The recorded semantics of E, its anchors and ratios: one rule a test, easy to check by hand.

The number in a docstring is the rule's number in the record of semantics.
"""

from datetime import date
from typing import Any

import pytest

from tests.oracle.harness import Store, at, by_id, load, only, picked
from tests.relations import D1, D2, D3, E

PHONE: dict[str, Any] = {"generation": 15, "storage_gb": 128, "model": "iPhone 15"}
DAY = at("2026-03-10 12:00")


def test_ask_median_sees_the_whole_day_and_the_listing_itself(store: Store) -> None:
    """1: the one declared same-day source."""
    early = PHONE | {"listing_id": 1, "edited_date": at("2026-03-10 08:00"), "price": 8000}
    late = PHONE | {"listing_id": 2, "edited_date": at("2026-03-10 20:00"), "price": 10000}
    alone = PHONE | {"listing_id": 3, "edited_date": at("2026-03-11 08:00"), "price": 7770}
    load(store, [early, late, alone])
    rows = by_id(store, E)
    assert picked(rows[1], "ask_median_price", "ask_cnt") == (9000.0, 2)
    assert rows[1]["ptv_ask_day"] == 8000 / 9000
    assert rows[1]["delta_vs_ask_median_day"] == -1000.0
    assert rows[3]["ptv_ask_day"] == 1.0


def test_own_sale_before_the_edit_is_in_its_own_anchor(store: Store) -> None:
    """2: sold five days before its earliest edit, 120 hours too early."""
    sold = {"sold_date": at("2026-03-05 12:00"), "sold_price": 7000}
    load(store, [PHONE | {"listing_id": 1, "edited_date": DAY, "price": 8000} | sold])
    row = only(store, E)
    assert picked(row, "anchor_median_hours_14d", "anchor_14d_n") == (-120.0, 1)
    assert picked(row, "sold_median_price_30d", "sold_cnt_30d") == (7000.0, 1)
    told = store.connection.execute(
        "SELECT n FROM feature_store_audit.fact WHERE fact LIKE '%a sale of their own%'"
    ).fetchall()
    assert told == [(1,)]


SOLD_ON = {  # day of the only other sale: counts in the 14, in the 30 days before 2026-03-10
    "2026-03-10": (0, 0),  # the day of t0 itself, though hours before
    "2026-03-09": (1, 1),
    "2026-02-24": (1, 1),  # 14 days before
    "2026-02-23": (0, 1),
    "2026-02-08": (0, 1),  # 30 days before
    "2026-02-07": (0, 0),
}


def test_sold_anchors_end_the_day_before_t0(store: Store) -> None:
    """E: both windows close strictly before the day of t0, and hold their first day."""
    listings = []
    for number, day in enumerate(SOLD_ON):  # each in a generation of its own
        phone = PHONE | {"generation": number, "price": 8000}
        sale = {"edited_date": at("2026-01-01 00:00"), "sold_date": at(f"{day} 01:00")}
        listings += [phone | {"listing_id": number, "edited_date": DAY}]
        listings += [phone | {"listing_id": 50 + number, "sold_price": 5000} | sale]
    load(store, listings)
    rows = by_id(store, E)
    found = {
        day: picked(rows[number], "anchor_14d_n", "sold_cnt_30d")
        for number, day in enumerate(SOLD_ON)
    }
    assert found == SOLD_ON


@pytest.mark.parametrize("missing", ["generation", "storage_gb"])
def test_a_null_cohort_has_no_anchors(store: Store, missing: str) -> None:
    """20: two equal listings of a NULL cohort on one day, sold before: counts 0, ask NULL."""
    cohort = PHONE | {missing: None}
    sold = {"edited_date": at("2026-03-01 12:00"), "sold_date": at("2026-03-05 12:00")}
    listings = [cohort | {"listing_id": 1, "edited_date": DAY, "price": 8000}]
    listings += [cohort | {"listing_id": 2, "price": 9000, "sold_price": 8500} | sold]
    load(store, listings)
    row = by_id(store, E)[1]
    assert picked(row, "anchor_14d_n", "sold_cnt_30d", "ask_cnt") == (0, 0, None)
    assert picked(row, "ask_median_price", "ptv_ask_day", "ptv_final") == (None, None, None)
    assert len(store.rows(D1)) == 1, "D1 filters neither"
    assert len(store.rows(D3)) == (1 if missing == "generation" else 0), "D3 filters storage"
    group = only(store, D2, ask_day=date(2026, 3, 10))
    assert picked(group, missing, "ask_cnt") == (None, 1), "D2 has NULL groups"


def test_price_zero_and_price_null(store: Store) -> None:
    """24: price 0 gives ratios 0, NULL gives NULL; a NULL price counts but has no median."""
    at_ask = PHONE | {"edited_date": DAY}
    sold = {"edited_date": at("2026-03-01 12:00"), "sold_date": at("2026-03-05 12:00")}
    listings = [at_ask | {"listing_id": 1, "price": 0}, at_ask | {"listing_id": 2}]
    listings += [at_ask | {"listing_id": 3, "price": 5000}]
    load(store, [*listings, PHONE | {"listing_id": 4, "sold_price": 8000} | sold])
    names = ("ptv_sold_30d", "ptv_ask_day", "delta_vs_sold_median_30d")
    assert picked(by_id(store, E)[1], *names) == (0.0, 0.0, -8000.0)
    assert picked(by_id(store, E)[2], *names) == (None, None, None)
    ask = picked(by_id(store, E)[1], "ask_median_price", "ask_cnt")
    assert ask == (2500.0, 3), "the median of 0 and 5000"


def test_a_zero_real_price_wins_and_gives_no_ratio(store: Store) -> None:
    """24: COALESCE takes the first that is not NULL, and 0 is not; no ratio to a median of 0."""
    sold = {"edited_date": at("2026-03-01 12:00"), "sold_date": at("2026-03-05 12:00")}
    prices = {"sold_price": 8000, "real_sold_price": 0}
    listings = [PHONE | {"listing_id": 1, "edited_date": DAY, "price": 5000}]
    load(store, [*listings, PHONE | {"listing_id": 2} | sold | prices])
    assert only(store, D3)["sold_price"] == 0
    names = ("sold_median_price_30d", "ptv_sold_30d", "delta_vs_sold_median_30d")
    assert picked(by_id(store, E)[1], *names) == (0.0, None, 5000.0)


def test_final_ratio_needs_ten_sales_or_else_five_asks(store: Store) -> None:
    """E: all ask 10000 on the day (ratio 1), all sold at 8000 before (ratio 1.25)."""
    expected = {(10, 5): 1.25, (10, 1): 1.25, (9, 5): 1.0, (9, 4): None}
    sold = {"edited_date": at("2026-03-01 12:00"), "sold_date": at("2026-03-05 12:00")}
    listings = []
    for number, (sales, asks) in enumerate(expected):  # each in a generation of its own
        asking = PHONE | {"generation": number, "edited_date": DAY, "price": 10000}
        fetched = PHONE | {"generation": number, "price": 1, "sold_price": 8000} | sold
        listings += [asking | {"listing_id": 100 * number + n} for n in range(asks)]
        listings += [fetched | {"listing_id": 100 * number + 50 + n} for n in range(sales)]
    load(store, listings)
    rows = by_id(store, E)
    found = {counts: rows[100 * n]["ptv_final"] for n, counts in enumerate(expected)}
    assert found == expected
