"""The recorded semantics of the device store (F0-F3): one rule a test.

The number in a docstring is the rule's number in the record of semantics.
"""

import math
from datetime import date
from typing import Any

import pytest

from tests.oracle.harness import Store, at, by_id, load, only, picked
from tests.relations import F1, F2, F3

DAY_1, DAY_2, DAY_3 = (at(f"2026-03-{day} 12:00") for day in (10, 11, 12))
SHARES = (
    "gmc_seg_share",
    "gmc_color_share_in_seg",
    "gmc_color_rarity_score",
    "gmc_color_share_global",
    "gmc_color_rarity_global",
    "gmc_color_rank_in_seg",
    "gmc_seg_color_entropy",
    "gmc_seg_top_color_share",
    "gmc_seg_missing_color_share",
)
COUNTS = ("gmc_seg_n", "gmc_color_n_in_seg", "gmc_color_n_global", "gmc_seg_n_distinct_colors")


def _phone(listing_id: int, edited: Any, generation: int | None = 15, **other: Any) -> Any:
    base = {"listing_id": listing_id, "edited_date": edited, "generation": generation}
    return base | {"model": "iPhone"} | other


def _image(listing_id: int, color: str | None, generation: int = 15, **other: Any) -> Any:
    base = {"listing_id": listing_id, "generation": generation, "body_color_key_main": color}
    return base | other


def _stats(store: Store, day: int, color: str = "black", **where: Any) -> dict[str, Any]:
    key = {"t0_day": date(2026, 3, day), "color_bucket": color}
    return only(store, F2, **{"gen_key": 15, "model_variant": "base"} | key | where)


def test_statistics_count_strictly_earlier_days(store: Store) -> None:
    """F2: black, black and blue on day 1; on day 2 another black, which sees only those."""
    phones = [_phone(number, DAY_1) for number in (1, 2, 3)] + [_phone(4, DAY_2)]
    images = [_image(n, color) for n, color in enumerate(("black", "black", "blue", "black"), 1)]
    load(store, phones, images=images)
    row = _stats(store, 11)
    assert picked(row, *COUNTS) == (3, 2, 2, 2)
    assert row["gmc_seg_share"] == 1.0, "(3 + 0.5) / (3 + 0.5 x 1 segment)"
    assert row["gmc_color_share_in_seg"] == 2.5 / 14, "(2 + 0.5) / (3 + 0.5 x 22 colours)"
    assert row["gmc_color_share_global"] == 2.5 / 14
    assert row["gmc_color_rarity_score"] == pytest.approx(1.7227665977411035, rel=1e-12)
    assert row["gmc_seg_top_color_share"] == 2 / 3
    assert row["gmc_seg_missing_color_share"] == 0.0
    # -(2/3 ln 2/3 + 1/3 ln 1/3)
    assert row["gmc_seg_color_entropy"] == pytest.approx(0.6365141682948128, rel=1e-12)
    assert by_id(store, F3)[4]["gmc_color_n_in_seg"] == 2


def test_colors_are_ranked_densely(store: Store) -> None:
    """22: three black, three blue, one pink: ranks 1, 1, 2, and 3 for the nineteen others."""
    colors = ["black"] * 3 + ["blue"] * 3 + ["pink"]
    phones = [_phone(number, DAY_1) for number in range(1, 8)] + [_phone(8, DAY_2)]
    load(store, phones, images=[_image(n, color) for n, color in enumerate(colors, 1)])
    ranks = [
        _stats(store, 11, color)["gmc_color_rank_in_seg"]
        for color in ("black", "blue", "pink", "gold", "_MISSING")
    ]
    assert ranks == [1, 1, 2, 3, 3]


def test_first_day_of_a_segment(store: Store) -> None:
    """22: all 22 colours share rank 1, the top share is NULL, the missing share 0.0."""
    load(store, [_phone(1, DAY_1)])
    rows = store.rows(F2)
    assert len(rows) == 22
    assert {row["gmc_color_rank_in_seg"] for row in rows} == {1}
    names = ("gmc_seg_top_color_share", "gmc_seg_missing_color_share", "gmc_seg_share")
    assert {picked(row, *names) for row in rows} == {(None, 0.0, 1.0)}
    assert {row["gmc_color_share_in_seg"] for row in rows} == {0.5 / 11}


def test_entropy_of_one_color_is_a_plain_zero(store: Store) -> None:
    """9: never -0, neither on the first day nor with a single colour."""
    load(store, [_phone(1, DAY_1), _phone(2, DAY_1), _phone(3, DAY_2)])
    for day in (10, 11):
        entropy = _stats(store, day)["gmc_seg_color_entropy"]
        assert (entropy, math.copysign(1.0, entropy)) == (0.0, 1.0)


def test_a_null_segment_counts_only_as_a_segment(store: Store) -> None:
    """21: of two phones of day 1, the one without a generation is in no total."""
    phones = [_phone(1, DAY_1), _phone(2, DAY_1, None), _phone(3, DAY_2), _phone(4, DAY_2, None)]
    load(store, phones)
    row = _stats(store, 11, "_MISSING")
    assert picked(row, *COUNTS) == (1, 1, 1, 1)
    assert row["gmc_seg_share"] == 1.5 / 2, "(1 + 0.5) / (1 + 0.5 x 2 segments)"
    assert all(row["gen_key"] == 15 for row in store.rows(F2))
    null = by_id(store, F3)[4]
    assert picked(null, *(f"dev_gen_{n}" for n in range(13, 18))) == (None,) * 5
    assert picked(null, "dev_gen_other", "dev_var_base", "dev_color_missing") == (1, 1, 1)
    assert picked(null, *COUNTS) == (0, 0, 0, 0)
    assert picked(null, *SHARES) == (None,) * 9


def test_an_undated_listing_counts_nowhere(store: Store) -> None:
    """21: NULL t0_day: flags as usual, no statistics, not even a segment; but a grid row."""
    load(store, [_phone(1, DAY_1), _phone(2, None, 16), _phone(3, DAY_2)])
    undated = by_id(store, F3)[2]
    assert picked(undated, "dev_gen_15", "dev_gen_16", "dev_gen_other") == (0, 1, 0)
    assert picked(undated, *COUNTS) == (0, 0, 0, 0)
    assert picked(undated, *SHARES) == (None,) * 9
    assert _stats(store, 11, "_MISSING")["gmc_seg_share"] == 1.0, "(1 + 0.5) / (1 + 0.5 x 1)"
    assert _stats(store, 11, "_MISSING")["gmc_color_n_global"] == 1
    assert _stats(store, 11, "_MISSING", gen_key=16)["gmc_seg_n"] == 0
    assert all(row["t0_day"] is not None for row in store.rows(F2))


def test_a_new_segment_adds_zero_rows_to_every_past_day(store: Store) -> None:
    """7: the grid is days x segments x 22 colours; rows that were there stay as they were."""
    phones = [_phone(1, DAY_1), _phone(2, DAY_2)]
    load(store, phones)
    before = {_key(row): row for row in store.rows(F2)}
    load(store, [*phones, _phone(3, DAY_2, 17, model="iPhone Pro")])
    after = {_key(row): row for row in store.rows(F2)}
    assert (len(before), len(after)) == (44, 88)
    assert {key: after[key] for key in before} == before
    added = [row for key, row in after.items() if key not in before]
    assert {picked(row, *COUNTS[:2]) for row in added} == {(0, 0)}


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return picked(row, "t0_day", "gen_key", "model_variant", "color_bucket")


def test_a_late_image_changes_the_live_views_only(store: Store) -> None:
    """7: F1 and F3 read images at once; F2 knows them after the next refresh."""
    load(store, [_phone(1, DAY_1), _phone(2, DAY_2)])
    before = sorted(map(repr, store.rows(F2)))
    store.connection.execute(
        "INSERT INTO feature_store.device_image_features_unified_v1"
        " (generation, listing_id, body_color_key_main) VALUES (15, 1, 'pink')"
    )
    assert by_id(store, F1)[1]["color_bucket"] == "pink"
    assert by_id(store, F3)[1]["dev_color_pink"] == 1
    assert sorted(map(repr, store.rows(F2))) == before
    store.refresh()
    assert _stats(store, 11, "pink")["gmc_color_n_in_seg"] == 1


def test_a_late_spam_flag_moves_later_days_only(store: Store) -> None:
    """6: a listing of day 2 that turns out to be spam leaves the counts of day 3, not of 2."""
    phones = [_phone(1, DAY_1), _phone(2, DAY_2), _phone(3, DAY_2), _phone(4, DAY_3)]
    load(store, phones)
    assert [_stats(store, day)["gmc_seg_n"] for day in (10, 11, 12)] == [0, 1, 3]
    load(store, [*phones, _phone(2, DAY_3, spam="junk")])
    assert [_stats(store, day)["gmc_seg_n"] for day in (10, 11, 12)] == [0, 1, 2]


VARIANTS: dict[str | None, str] = {
    "iPhone 15 PRO  MAX": "pro_max",
    "iphone\tpro\nmax": "pro_max",
    "iPhone 15 Pro": "pro",
    "iPhone 15 promax": "pro",
    "Plus mini": "plus",
    "13 Mini": "mini",
    "iPhone Air": "air",
    "iPhone 15": "base",
    "   ": "base",
    "": "other",
    None: "other",
}


def test_model_variants(store: Store) -> None:
    """23: blanks are squeezed, not trimmed."""
    load(store, [_phone(n, DAY_1, model=model) for n, model in enumerate(VARIANTS)])
    meta, flags = by_id(store, F1), by_id(store, F3)
    found = {model: meta[n]["model_variant"] for n, model in enumerate(VARIANTS)}
    assert found == VARIANTS
    for number, variant in enumerate(VARIANTS.values()):
        ones = [name for name, value in flags[number].items() if "dev_var_" in name and value]
        assert ones == [f"dev_var_{variant}"]


BUCKETS: dict[str | None, str] = {
    "blue": "blue",
    "cosmic_orange": "cosmic_orange",
    "Blue": "_OTHER",
    " blue": "_OTHER",
    "   ": "_OTHER",
    "mauve": "_OTHER",
    "_OTHER": "_OTHER",
    "": "_MISSING",
    None: "_MISSING",
    "_MISSING": "_MISSING",
}


def test_color_buckets(store: Store) -> None:
    """23: colours are case-sensitive."""
    numbered = list(enumerate(BUCKETS))
    phones = [_phone(number, DAY_1) for number, _ in numbered]
    load(store, phones, images=[_image(number, color) for number, color in numbered])
    meta, flags = by_id(store, F1), by_id(store, F3)
    assert {color: meta[number]["color_bucket"] for number, color in numbered} == BUCKETS
    names = {"_MISSING": "dev_color_missing", "_OTHER": "dev_color_other"}
    for number, color in numbered:
        bucket = BUCKETS[color]
        assert flags[number][names.get(bucket, f"dev_color_{bucket}")] == 1
        assert meta[number]["dev_color_is_missing"] == int(bucket == "_MISSING")


def test_images_may_correct_the_generation(store: Store) -> None:
    """F1: gen_key is what the images say, else what the listing says."""
    expected = {None: (15, "dev_gen_15"), 13: (13, "dev_gen_13"), 12: (12, "dev_gen_other")}
    numbered = list(enumerate(expected))
    images = [_image(n, "black", model_effective_generation=said) for n, said in numbered]
    load(store, [_phone(number, DAY_1) for number, _ in numbered], images=images)
    meta, flags = by_id(store, F1), by_id(store, F3)
    for number, said in numbered:
        gen_key, flag = expected[said]
        assert picked(meta[number], "generation", "gen_key") == (15, gen_key)
        ones = [name for name, value in flags[number].items() if "dev_gen_" in name and value]
        assert ones == [flag]


def test_images_of_another_generation_are_not_this_listings(store: Store) -> None:
    """F1: images join by generation and listing_id; without any, counts are NULL, flags 0."""
    image = _image(1, "black", 14, image_count=3, color_known=True)
    load(store, [_phone(1, DAY_1)], images=[image])
    names = ("color_bucket", "image_count", "dev_has_images", "dev_color_known")
    assert picked(only(store, F1), *names) == ("_MISSING", None, 0, 0)


def test_encoded_device_has_sixty_one_columns(store: Store) -> None:
    """11 and 30: two keys, 35 flags, 11 columns of image evidence and 13 statistics."""
    columns = [name for name, _ in store.columns(F3)]
    assert columns[:2] == ["generation", "listing_id"]
    assert len(columns) == len(set(columns)) == 61
    assert len([name for name in columns if name.startswith("gmc_")]) == 13
