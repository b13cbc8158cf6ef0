"""The sample is the same everywhere, keeps its rates, and contains every odd case it promises."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise
from math import isnan
from statistics import median
from typing import Any

import pytest

from sandbox.sample.generator import (
    AI_COLUMNS,
    IMAGE_COLUMNS,
    LISTING_COLUMNS,
    SampleOptions,
    ai_rows,
    image_rows,
    listing_rows,
)

Record = dict[str, Any]
Rows = Callable[[SampleOptions], Iterable[tuple[object, ...]]]

TABLES: dict[str, tuple[Rows, tuple[str, ...]]] = {
    "listings": (listing_rows, LISTING_COLUMNS),
    "ai": (ai_rows, AI_COLUMNS),
    "images": (image_rows, IMAGE_COLUMNS),
}
SPAM_TOKENS = {
    "t",
    "true",
    "1",
    "yes",
    "y",
    "spam",
    "wtb",
    "wanted",
    "duplicate-junk",
    "junk",
    "bundled",
    "below13",
}
COLOURS = {
    "graphite",
    "black_titanium",
    "silver",
    "space_black",
    "midnight",
    "sierra_blue",
    "blue",
    "natural_titanium",
    "gold",
    "deep_purple",
    "white_titanium",
    "starlight",
    "desert_titanium",
    "blue_titanium",
    "black",
    "alpine_green",
    "pink",
    "green",
    "deep_blue",
    "cosmic_orange",
}
SMALL = SampleOptions(listings=200, days=30)
SMALLEST_DOCUMENTED = SampleOptions(listings=2_000)
TYPICAL = SampleOptions(listings=10_000)


def records(table: str, options: SampleOptions) -> list[Record]:
    rows, columns = TABLES[table]
    return [dict(zip(columns, row, strict=True)) for row in rows(options)]


def digest(table: str, options: SampleOptions) -> str:
    rows, _ = TABLES[table]
    text = "\n".join("|".join(map(str, row)) for row in rows(options))
    return hashlib.sha256(text.encode()).hexdigest()


def by_listing(rows: list[Record]) -> dict[int, list[Record]]:
    grouped: dict[int, list[Record]] = {}
    for row in rows:
        grouped.setdefault(row["listing_id"], []).append(row)
    return grouped


def is_spam(row: Record) -> bool:
    return row["spam"] is not None and row["spam"].strip().lower() in SPAM_TOKENS


def share(rows: list[Record], holds: Callable[[Record], bool]) -> float:
    return sum(map(holds, rows)) / len(rows)


@pytest.fixture(scope="module")
def sample() -> dict[str, list[Record]]:
    return {table: records(table, SMALLEST_DOCUMENTED) for table in TABLES}


@pytest.fixture(scope="module")
def typical() -> dict[int, list[Record]]:
    return by_listing(records("listings", TYPICAL))


# The same everywhere


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("listings", "9342a61999a7aabed2c67feb44b7012150b97ca74577cd73a1d3c761ed64c70e"),
        ("ai", "1ea1eb2a59e61f438256ca9d56e21eb4cac92c2b91c4ab818555e25bc007acaf"),
        ("images", "a85ee9aa2c63f11306a544938f07f25ea97ab2bdcb7e83a4b6ef136cedf02b26"),
    ],
)
def test_rows_of_known_options_never_change(table: str, expected: str) -> None:
    assert digest(table, SMALL) == expected, (
        "The sample's rows changed. If that is meant, pin the new digest and say so in the "
        "changelog: everyone's sample, and every figure measured on it, changes too."
    )


@pytest.mark.parametrize("table", TABLES)
def test_another_seed_gives_other_rows(table: str) -> None:
    assert digest(table, SMALL) != digest(table, SampleOptions(listings=200, days=30, seed=2))


def test_largest_sample_starts_at_once_because_rows_are_streamed() -> None:
    largest = SampleOptions(listings=1_000_000)
    assert len(list(islice(listing_rows(largest), 3))) == 3


# Options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"listings": 0}, "listings must be from 1 to 1000000, got 0"),
        ({"listings": -5}, "listings must be from 1 to 1000000, got -5"),
        ({"listings": 1_000_001}, "listings must be from 1 to 1000000, got 1000001"),
        ({"days": 0}, "days must be from 1 to 3650, got 0"),
        ({"days": 3651}, "days must be from 1 to 3650, got 3651"),
        ({"seed": -1}, "seed must be from 0 to 4294967295, got -1"),
        (
            {"last_day": date(1999, 1, 1)},
            "last_day must be from 2015-01-01 to 2099-12-31, got 1999-01-01",
        ),
    ],
)
def test_option_out_of_range_is_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as refusal:
        SampleOptions(**options)
    assert str(refusal.value) == message


@pytest.mark.parametrize("options", [{"listings": 1, "days": 1}, {"listings": 30, "days": 3650}])
def test_extreme_options_give_that_many_listings(options: dict[str, Any]) -> None:
    chosen = SampleOptions(**options)
    assert len(by_listing(records("listings", chosen))) == chosen.listings


def test_nothing_happens_before_the_first_day_or_after_the_last() -> None:
    options = SampleOptions(listings=300, days=10, last_day=date(2025, 3, 31))
    rows = records("listings", options)
    edits = [row["edited_date"] for row in rows if row["edited_date"]]
    moments = [
        row[column]
        for row in rows
        for column in ("edited_date", "last_seen", "sold_date")
        if row[column]
    ]
    updates = [row["updated_at"] for row in records("ai", options) if row["updated_at"]]
    end = datetime(2025, 4, 1, tzinfo=UTC)
    assert min(edits) >= datetime(2025, 3, 22, tzinfo=UTC)
    assert max(moments + updates) < end
    assert {edit.date() for edit in edits} == {date(2025, 3, 22 + day) for day in range(10)}


# Keys and agreement between the tables


def test_side_rows_belong_to_a_listing_and_are_unique(sample: dict[str, list[Record]]) -> None:
    generations = {row["listing_id"]: row["generation"] for row in sample["listings"]}
    ai_ids = [row["listing_id"] for row in sample["ai"]]
    image_keys = [(row["generation"], row["listing_id"]) for row in sample["images"]]
    assert len(set(ai_ids)) == len(ai_ids)
    assert len(set(image_keys)) == len(image_keys)
    assert set(ai_ids) <= set(generations)
    assert all(generations[listing_id] == generation for generation, listing_id in image_keys)


def test_side_tables_cover_most_listings_but_not_all(sample: dict[str, list[Record]]) -> None:
    listings = by_listing(sample["listings"])
    known = sum(rows[0]["generation"] is not None for rows in listings.values())
    assert len(sample["ai"]) / len(listings) == pytest.approx(0.85, abs=0.03)
    assert len(sample["images"]) / known == pytest.approx(0.80, abs=0.03)


# Rates


def test_of_10000_listings_about_9283_have_an_unmarked_row(
    typical: dict[int, list[Record]],
) -> None:
    unmarked = sum(any(row["spam"] is None for row in rows) for rows in typical.values())
    assert unmarked == pytest.approx(9_283, rel=0.02)


def test_listings_have_one_and_a_half_rows_on_average(typical: dict[int, list[Record]]) -> None:
    assert sum(map(len, typical.values())) / len(typical) == pytest.approx(1.5, abs=0.1)


def test_one_listing_in_twenty_is_spam(typical: dict[int, list[Record]]) -> None:
    assert 0.05 < sum(any(map(is_spam, rows)) for rows in typical.values()) / 10_000 < 0.07


def test_two_in_a_hundred_share_their_earliest_edit_and_differ(
    typical: dict[int, list[Record]],
) -> None:
    def tied(rows: list[Record]) -> bool:
        dated = [row for row in rows if row["spam"] is None and row["edited_date"]]
        first = min((row["edited_date"] for row in dated), default=None)
        return len({(r["price"], r["title"]) for r in dated if r["edited_date"] == first}) > 1

    assert 0.015 < sum(map(tied, typical.values())) / 10_000 < 0.025


def test_one_in_two_hundred_is_sold_before_its_edit(typical: dict[int, list[Record]]) -> None:
    first_rows = [rows[0] for rows in typical.values()]

    def sold_before(row: Record) -> bool:
        return bool(
            row["sold_date"] and row["edited_date"] and row["sold_date"] < row["edited_date"]
        )

    assert 0.003 < share(first_rows, sold_before) < 0.007


def hours_to_sell(rows: Iterable[Record]) -> list[float]:
    return sorted(
        (row["sold_date"] - row["edited_date"]) / timedelta(hours=1)
        for row in rows
        if row["sold_date"] and row["edited_date"]
    )


def test_most_listings_sell_within_days(typical: dict[int, list[Record]]) -> None:
    hours = hours_to_sell(rows[0] for rows in typical.values())
    assert len(hours) > 6_500
    assert 24 < median(hours) < 24 * 7


def test_what_is_cheap_for_its_kind_sells_faster(typical: dict[int, list[Record]]) -> None:
    kinds: dict[tuple[object, ...], list[Record]] = {}
    for rows in typical.values():
        if rows[0]["price"] and rows[0]["damage_severity_ai"] == 0:
            kinds.setdefault((rows[0]["model"], rows[0]["storage_gb"]), []).append(rows[0])
    cheap, dear = [], []
    for alike in kinds.values():
        usual = median(row["price"] for row in alike)
        cheap += [row for row in alike if row["price"] < 0.85 * usual]
        dear += [row for row in alike if row["price"] > 1.15 * usual]
    assert 1.3 * median(hours_to_sell(cheap)) < median(hours_to_sell(dear))


def test_later_rows_are_later_edits_or_re_scrapes(typical: dict[int, list[Record]]) -> None:
    kinds: Counter[str] = Counter()
    for rows in typical.values():
        for before, after in pairwise(rows):
            if not (before["edited_date"] and after["edited_date"]):
                continue
            assert after["edited_date"] >= before["edited_date"]
            if before["last_seen"] and after["last_seen"]:
                assert after["last_seen"] >= before["last_seen"]
            kinds["edit" if after["edited_date"] > before["edited_date"] else "re-scrape"] += 1
    assert kinds["edit"] > kinds["re-scrape"] > 1_000


def test_generations_appear_when_they_are_released(typical: dict[int, list[Record]]) -> None:
    first_seen: dict[int, date] = {}
    for rows in typical.values():
        edited, generation = rows[0]["edited_date"], rows[0]["generation"]
        if edited and generation:
            first_seen[generation] = min(first_seen.get(generation, date.max), edited.date())
    assert set(first_seen) == {13, 14, 15, 16, 17}
    assert first_seen[17] >= date(2025, 9, 19)
    assert max(first_seen[generation] for generation in (13, 14, 15, 16)) < date(2025, 7, 5)


def test_a_sample_from_before_a_release_has_none_of_that_generation() -> None:
    rows = records("listings", SampleOptions(listings=500, last_day=date(2024, 6, 30)))
    assert {row["generation"] for row in rows} == {13, 14, 15, None}


def test_edits_spread_over_all_hours_so_that_zones_matter(
    typical: dict[int, list[Record]],
) -> None:
    edits = [row["edited_date"] for rows in typical.values() for row in rows if row["edited_date"]]
    hours = Counter(edit.hour for edit in edits)
    assert set(hours) == set(range(24))
    assert (hours[23] + hours[0]) / len(edits) > 0.02


def test_postal_codes_fit_their_city(sample: dict[str, list[Record]]) -> None:
    codes = {(row["location_city"], row["postal_code"]) for row in sample["listings"]}
    assert ("Oslo", "0155") in codes
    assert all(len(code) == 4 and code.isdigit() for _, code in codes if code)
    assert all(code < "1300" for city, code in codes if city == "Oslo" and code)


# Odd cases: each really occurs in the smallest documented sample


def test_every_known_colour_occurs(sample: dict[str, list[Record]]) -> None:
    assert {row["body_color_key_main"] for row in sample["images"]} >= COLOURS


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("generation", [None, 13, 14, 15, 16, 17]),
        ("model", [None, "", "   ", "iPhone Air", "iPhone 13 mini", "iPhone 15 Plus"]),
        ("storage_gb", [None, 64, 128, 256, 512, 1024, 500, 120]),
        ("price", [None, 0]),
        ("condition_score", [None]),
        ("battery_pct_fixed_ai", [None]),
        ("damage_severity_ai", [None, 0, 1, 2, 3]),
        ("damage_binary_ai", [None, 0, 1]),
        ("seller_rating", [None]),
        ("seller_stats_fetched", [None, True, False]),
        ("location_city", [None, "Oslo", "Tromsø"]),
        ("postal_code", [None]),
        ("title", [None, ""]),
        ("description", [None, ""]),
        ("status", [None, "active", "sold", "inactive"]),
        ("spam", [None, "", "false", "no", "maybe", " WTB ", "Duplicate-Junk", "below13"]),
        ("edited_date", [None]),
        ("last_seen", [None]),
        ("sold_date", [None]),
        ("sold_price", [None]),
        ("real_sold_price", [None, 0]),
    ],
)
def test_listing_column_takes_its_odd_values(
    sample: dict[str, list[Record]], column: str, values: list[object]
) -> None:
    assert set(values) <= {row[column] for row in sample["listings"]}


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("sale_mode", [None, "obo", "firm", "bids", "OBO", " obo", "auction"]),
        ("owner_type", [None, "private", "work_phone", "PRIVATE", "company"]),
        ("repair_provider", [None, "apple", "authorized", "independent", "Apple", "diy"]),
        ("can_ship", [None, True, False]),
        ("pickup_only", [None, True, False]),
        ("vat_invoice", [None, True, False]),
        ("negotiability_ai", [None, -0.2, 1.7]),
        ("opening_offer_nok", [None, 0]),
        ("storage_gb_fixed_ai", [None]),
        ("updated_at", [None]),
    ],
)
def test_ai_column_takes_its_odd_values(
    sample: dict[str, list[Record]], column: str, values: list[object]
) -> None:
    assert set(values) <= {row[column] for row in sample["ai"]}


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("image_count", [None, 0]),
        ("body_color_key_main", [None, "", "Blue", "rainbow"]),
        ("color_known", [None, True, False]),
        ("color_conflict", [None, True, False]),
        ("n_color_votes", [0]),
        ("color_primary_vote_share", [None, 1]),
        ("color_vote_margin_share", [None, 0, 1]),
        ("model_effective_generation", [None]),
        ("model_fixed_any", [None, True, False]),
        ("model_generation_mismatch", [None, True, False]),
        ("is_spam_below13", [None, True, False]),
    ],
)
def test_image_column_takes_its_odd_values(
    sample: dict[str, list[Record]], column: str, values: list[object]
) -> None:
    assert set(values) <= {row[column] for row in sample["images"]}


@pytest.mark.parametrize(
    ("table", "holds"),
    [
        pytest.param("listings", lambda r: "  " in (r["model"] or "").strip(), id="double spaces"),
        pytest.param("listings", lambda r: (r["model"] or "X").islower(), id="lower case model"),
        pytest.param("listings", lambda r: r["price"] in (1, 1234, 99_999), id="placeholder price"),
        pytest.param("ai", lambda r: isnan(r["urgency_ai"] or 0), id="NaN score"),
        pytest.param("ai", lambda r: r["can_ship"] and r["pickup_only"], id="contradiction"),
        pytest.param("ai", lambda r: (r["opening_offer_nok"] or 0) < 0, id="negative offer"),
        pytest.param(
            "images",
            lambda r: (r["model_effective_generation"] or r["generation"]) != r["generation"],
            id="another generation seen",
        ),
    ],
)
def test_odd_row_occurs(
    sample: dict[str, list[Record]], table: str, holds: Callable[[Record], bool]
) -> None:
    assert any(map(holds, sample[table]))


@pytest.mark.parametrize("spam_first", [True, False])
def test_some_listings_have_spam_rows_and_clean_rows(
    sample: dict[str, list[Record]], spam_first: bool
) -> None:
    mixed = [
        is_spam(rows[0])
        for rows in by_listing(sample["listings"]).values()
        if any(map(is_spam, rows)) and any(row["spam"] is None for row in rows)
    ]
    assert spam_first in mixed


def test_most_ai_rows_are_newer_than_the_listing(sample: dict[str, list[Record]]) -> None:
    edited = {row["listing_id"]: row["edited_date"] for row in reversed(sample["listings"])}
    newer = [
        row["updated_at"] > edited[row["listing_id"]]
        for row in sample["ai"]
        if row["updated_at"] and edited[row["listing_id"]]
    ]
    assert 0.8 < sum(newer) / len(newer) < 1
