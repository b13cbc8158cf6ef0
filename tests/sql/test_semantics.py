"""The recorded semantics of A-D and E-clean: one rule a test, each easy to check by hand.

The number in a docstring is the rule's number in the record of semantics.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.oracle.harness import Store, at, by_id, load, only, picked
from tests.relations import D1, D2, D3, E_CLEAN, F1, A, B, C, E

PHONE: dict[str, Any] = {"generation": 15, "storage_gb": 128, "model": "iPhone 15"}
DAY = at("2026-03-10 12:00")
TOKENS = (
    "t", "true", "1", "yes", "y", "spam", "wtb", "wanted", "duplicate-junk", "junk", "bundled",
    "below13", "SPAM", " Wanted ", "Below13",
)  # fmt: skip
NOT_TOKENS = ("false", "no", "n", "f", "0", "", "  ", "spammy", "\tspam", "duplicate junk")


def test_earliest_edit_is_t0_and_null_dates_come_last(store: Store) -> None:
    """A: of an edit, an earlier one and an undated one, the earlier one is the snapshot."""
    row = PHONE | {"listing_id": 1}
    load(
        store,
        [
            row | {"edited_date": at("2026-03-10 08:00"), "price": 8000},
            row | {"edited_date": at("2026-03-09 08:00"), "price": 9000},
            row | {"edited_date": None, "price": 1},
        ],
    )
    expected = (at("2026-03-09 08:00"), 9000)
    assert picked(only(store, A), "edited_date", "price") == expected


# In each pair the first row is t0, even where all else would speak for the second.
TIES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"generation": 15}, {"generation": None}),
    ({"generation": 14, "price": 9}, {"generation": 15, "price": 1}),
    ({"model": "Z", "price": 9}, {"model": "a", "price": 1}),  # by code point
    ({"model": "a"}, {"model": "å"}),
    ({"storage_gb": 64, "price": 9}, {"storage_gb": 128, "price": 1}),
    ({"price": 8001}, {"price": 8000}),  # sellers cut prices: the higher one came first
    ({"price": 0}, {"price": None}),
    ({"price": 9, "condition_score": Decimal("0.9")}, {"price": 8, "condition_score": Decimal(0)}),
    ({"condition_score": Decimal("0.5")}, {"condition_score": None}),
    ({"battery_pct_fixed_ai": 9, "damage_binary_ai": 1}, {"battery_pct_fixed_ai": 10}),
    ({"damage_severity_ai": 0, "damage_binary_ai": 1}, {"damage_severity_ai": 1}),
    ({"seller_rating": Decimal("9.5")}, {"seller_rating": Decimal("10")}),
    ({"review_count": 1, "member_since_year": 9}, {"review_count": 2, "member_since_year": 8}),
    ({"location_city": "B", "postal_code": "2"}, {"location_city": "a", "postal_code": "1"}),
    ({"postal_code": "0150", "title": "b"}, {"postal_code": "9010", "title": "a"}),
    ({"title": ""}, {"title": "a"}),
    ({"title": "a", "description": "b"}, {"title": "b", "description": "a"}),
    ({"description": "B"}, {"description": "a"}),
]


@pytest.mark.parametrize("edited", [DAY, None])
@pytest.mark.parametrize("swapped", [False, True])
def test_ties_go_to_the_smallest_columns_in_order_and_to_the_highest_price(
    store: Store, edited: datetime | None, swapped: bool
) -> None:
    """8: price descending, else ascending, NULLs last, text by code point, in any row order."""
    rows = [
        PHONE | {"listing_id": number, "edited_date": edited} | columns
        for number, pair in enumerate(TIES)
        for columns in pair
    ]
    load(store, rows[::-1] if swapped else rows)
    snapshots = by_id(store, A)
    for number, (first, _) in enumerate(TIES):
        assert {name: snapshots[number][name] for name in first} == first


def test_outcomes_never_break_a_tie(store: Store) -> None:
    """8: by price the second row is t0; its late sale and sighting have no say."""
    row = PHONE | {"listing_id": 1, "edited_date": DAY}
    seen = {"last_seen": at("2026-03-11 00:00"), "sold_date": at("2026-03-11 00:00")}
    later = {"last_seen": at("2026-04-11 00:00"), "sold_date": at("2026-04-11 00:00")}
    load(store, [row | {"price": 8} | seen, row | {"price": 9} | later])
    assert only(store, A)["price"] == 9


def test_a_spam_token_on_any_row_drops_the_listing_from_the_clean_layers(store: Store) -> None:
    """18: per row in A-D3, per listing from E-clean on."""
    row = PHONE | {"edited_date": DAY, "price": 8000}
    listings = [row | {"listing_id": number} for number in range(len(TOKENS) + 1)]
    flagged = [
        row | {"listing_id": number, "spam": token, "price": 1}
        for number, token in enumerate(TOKENS)
    ]
    load(store, listings + flagged)
    assert {row["price"] for row in store.rows(E)} == {8000}
    assert len(store.rows(E)) == len(TOKENS) + 1
    assert only(store, D2)["ask_cnt"] == len(TOKENS) + 1
    assert set(by_id(store, E_CLEAN)) == {len(TOKENS)}, "the one without a token"
    assert set(by_id(store, F1)) == {len(TOKENS)}


def test_any_other_token_drops_only_its_row(store: Store) -> None:
    """18: also 'false', 'no' and '' drop the row from A-D3; the listing stays clean."""
    row = PHONE | {"edited_date": DAY, "price": 8000}
    sold = {"price": 1, "sold_date": DAY, "sold_price": 5}
    listings = []
    for number, token in enumerate(NOT_TOKENS):
        listings += [row | {"listing_id": number}]
        listings += [row | {"listing_id": number, "spam": token} | sold]
        listings += [row | {"listing_id": 100 + number, "spam": token}]
    load(store, listings)
    assert set(by_id(store, E_CLEAN)) == set(by_id(store, A)) == set(range(len(NOT_TOKENS)))
    assert only(store, D2)["ask_cnt"] == len(NOT_TOKENS)
    assert store.rows(D1) == store.rows(D3) == []
    assert {row["sold_event"] for row in store.rows(B)} == {False}


LABELS: list[tuple[dict[str, Any], bool, int | Decimal]] = [
    ({"edited_date": None, "sold_date": DAY}, True, 0),
    ({"edited_date": DAY}, False, 0),
    ({"edited_date": DAY, "last_seen": at("2026-03-11 12:00")}, False, 24),
    ({"edited_date": DAY, "last_seen": at("2026-03-09 12:00")}, False, 0),
    ({"edited_date": DAY, "sold_date": at("2026-03-10 06:00")}, True, 0),
    ({"edited_date": DAY, "sold_date": DAY, "last_seen": at("2026-03-12 12:00")}, True, 0),
    ({"edited_date": DAY, "sold_date": at("2026-03-10 14:30")}, True, Decimal("2.5")),
]


def test_label_hours_are_never_null_and_never_negative(store: Store) -> None:
    """19: NULL dates give 0; B and C are clipped at 0."""
    load(store, [PHONE | {"listing_id": n} | dates for n, (dates, _, _) in enumerate(LABELS)])
    expected = {n: (sold, hours) for n, (_, sold, hours) in enumerate(LABELS)}
    for relation in (B, C):
        rows = by_id(store, relation)
        found = {n: picked(rows[n], "sold_event", "duration_hours") for n in expected}
        assert found == expected


def test_history_counts_rows_and_is_not_clipped(store: Store) -> None:
    """19 and 12: a re-scrape counts twice; D1 keeps -6 hours; B takes first sale, last sight."""
    row = PHONE | {"listing_id": 1, "edited_date": DAY, "price": 8000, "sold_price": 7000}
    early = row | {"sold_date": at("2026-03-10 06:00"), "last_seen": at("2026-03-10 13:00")}
    later = row | {"sold_date": at("2026-03-12 12:00"), "last_seen": at("2026-03-10 12:30")}
    load(store, [early, early, later])
    hours = sorted(r["duration_hours"] for r in store.rows(D1))
    assert hours == [-6, -6, 48]
    assert len(store.rows(D3)) == 3
    assert only(store, D2)["ask_cnt"] == 3
    label = picked(only(store, B), "sold_date", "last_seen")
    assert label == (at("2026-03-10 06:00"), at("2026-03-10 13:00"))


def test_numbers_have_the_servers_types(store: Store) -> None:
    """27: EXTRACT is numeric, medians are float8, counts are bigint; 100 s = 1/36 h."""
    sold = {"sold_date": at("2026-03-10 12:01:40"), "sold_price": 7000}
    load(store, [PHONE | {"listing_id": 1, "edited_date": DAY, "price": 8000} | sold])
    assert only(store, D1)["duration_hours"] == Decimal("0.02777777777777777778")
    assert only(store, B)["duration_hours"] == Decimal("0.02777777777777777778")
    types = dict(store.columns(E))
    assert types["anchor_median_hours_14d"] == "double precision"
    assert types["anchor_14d_n"] == "bigint"
    assert types["ptv_final"] == "double precision"
