"""The recorded semantics of E-AI: one rule a test; the number is the rule's in the record."""

from collections.abc import Sequence
from typing import Any

from tests.oracle.harness import Store, at, by_id, load, only, picked
from tests.relations import E_AI, E_SPEED

LISTING: dict[str, Any] = {
    "listing_id": 1,
    "generation": 15,
    "storage_gb": 128,
    "price": 10000,
    "edited_date": at("2026-03-10 12:00"),
}
Flags = dict[str | None, tuple[int, ...]]


def _rows(
    store: Store, ai: Sequence[dict[str, Any]], prices: Sequence[int | None] = ()
) -> list[dict[str, Any]]:
    """E-AI's rows for these AI rows, one listing each."""
    asked = prices or [10000] * len(ai)
    load(
        store,
        [LISTING | {"listing_id": n, "price": price} for n, price in enumerate(asked)],
        ai=[{"listing_id": number} | row for number, row in enumerate(ai)],
    )
    rows = by_id(store, E_AI)
    return [rows[number] for number in range(len(ai))]


def _flags(store: Store, column: str, values: Flags, names: Sequence[str]) -> Flags:
    """The flags that E-AI gives for each value of an AI column."""
    rows = _rows(store, [{column: value} for value in values])
    return {value: picked(row, *names) for value, row in zip(values, rows, strict=True)}


def test_an_ai_row_newer_than_t0_is_used(store: Store) -> None:
    """4: there is no time guard, on purpose; AI columns are a declared exception."""
    rows = _rows(store, [{"sale_mode": "firm", "updated_at": at("2026-09-01 00:00")}])
    assert rows[0]["ai_sale_mode_firm"] == 1


def test_without_an_ai_row_everything_is_unknown(store: Store) -> None:
    """25: flags 0, the four 'unknown' ones 1, scores 0, the storage hint NULL."""
    load(store, [LISTING])
    row = only(store, E_AI)
    ones = {name for name, value in row.items() if name.startswith("ai_") and value == 1}
    unknown = {"ai_sale_mode_unspecified", "ai_owner_unknown"}
    assert ones == unknown | {"ai_ship_unspecified", "ai_rep_unknown"}
    names = ("ai_negotiability_f", "ai_opening_offer_nok_f", "ai_opening_offer_ratio")
    assert picked(row, *names) == (0.0, 0.0, 0.0)
    assert row["ai_storage_gb_fixed"] is None


def test_sale_modes(store: Store) -> None:
    """25: lower case, but not trimmed."""
    expected: Flags = {
        "obo": (1, 0, 0, 0),
        "OBO": (1, 0, 0, 0),
        "Firm": (0, 1, 0, 0),
        "bids": (0, 0, 1, 0),
        " obo": (0, 0, 0, 1),
        "obo ": (0, 0, 0, 1),
        "": (0, 0, 0, 1),
        "auction": (0, 0, 0, 1),
        None: (0, 0, 0, 1),
    }
    names = [f"ai_sale_mode_{name}" for name in ("obo", "firm", "bids", "unspecified")]
    assert _flags(store, "sale_mode", expected, names) == expected


def test_owners(store: Store) -> None:
    """25: lower case, but not trimmed."""
    expected: Flags = {
        "PRIVATE": (1, 0, 0),
        "work_phone": (0, 1, 0),
        " private": (0, 0, 1),
        None: (0, 0, 1),
    }
    names = ["ai_owner_private", "ai_owner_work", "ai_owner_unknown"]
    assert _flags(store, "owner_type", expected, names) == expected


def test_repair_providers(store: Store) -> None:
    """25: lower case, but not trimmed."""
    expected: Flags = {
        "Apple": (1, 0, 0, 0),
        "authorized": (0, 1, 0, 0),
        "independent": (0, 0, 1, 0),
        "apple ": (0, 0, 0, 1),
        None: (0, 0, 0, 1),
    }
    names = [f"ai_rep_{name}" for name in ("apple", "authorized", "independent", "unknown")]
    assert _flags(store, "repair_provider", expected, names) == expected


def test_shipping(store: Store) -> None:
    """25: both at once is a pickup, yet both plain flags are 1."""
    expected = {
        (True, True): (0, 1, 0, 1, 1),
        (True, None): (1, 0, 0, 1, 0),
        (True, False): (1, 0, 0, 1, 0),
        (None, True): (0, 1, 0, 0, 1),
        (False, False): (0, 0, 1, 0, 0),
        (None, None): (0, 0, 1, 0, 0),
    }
    rows = _rows(store, [{"can_ship": can, "pickup_only": only_} for can, only_ in expected])
    names = ("ai_ship_can", "ai_ship_pickup", "ai_ship_unspecified")
    bins = ("ai_can_ship_bin", "ai_pickup_only_bin")
    found = [picked(row, *names, *bins) for row in rows]
    assert dict(zip(expected, found, strict=True)) == expected


def test_scores_are_clipped(store: Store) -> None:
    """25: to 0..1; NaN clips to 1."""
    expected = [(0.25, 0.25), (-0.5, 0.0), (1.5, 1.0), (float("nan"), 1.0), (None, 0.0)]
    expected += [(float("inf"), 1.0), (float("-inf"), 0.0)]
    names = ("negotiability_ai", "urgency_ai", "lqs_textonly")
    rows = _rows(store, [dict.fromkeys(names, score) for score, _ in expected])
    for row, (_, clipped) in zip(rows, expected, strict=True):
        scores = picked(row, "ai_negotiability_f", "ai_urgency_f", "ai_lqs_textonly_f")
        assert scores == (clipped,) * 3


def test_offers(store: Store) -> None:
    """25: a negative offer is 0; the ratio lies in 0..5, NULL without a positive price."""
    expected = {
        (2500, 10000): (2500.0, 0.25),
        (-500, 10000): (0.0, 0.0),
        (90000, 10000): (90000.0, 5.0),
        (None, 10000): (0.0, 0.0),
        (2500, 0): (2500.0, None),
        (2500, None): (2500.0, None),
    }
    offers = [{"opening_offer_nok": offer} for offer, _ in expected]
    rows = _rows(store, offers, prices=[price for _, price in expected])
    found = [picked(row, "ai_opening_offer_nok_f", "ai_opening_offer_ratio") for row in rows]
    assert dict(zip(expected, found, strict=True)) == expected


def test_ai_layer_has_sixty_columns(store: Store) -> None:
    """30 and 17: E-speed's 35 columns, then the 25 AI ones."""
    columns = store.columns(E_AI)
    assert columns[:35] == store.columns(E_SPEED)
    assert len(columns) == 60
    assert all(name.startswith("ai_") for name, _ in columns[35:])
