"""A view that looks ahead is caught by its past: an old day moved without a cause.

Five phones on 1 March give the cohort an ask median; one is sold on 5 March. One phone is listed
on 10 March, one on 20 March.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date

import pytest

from feature_store.errors import HistoryLeak
from feature_store.reporting.history_text import history_text
from feature_store.validation.history.acceptance import accept_history
from feature_store.validation.history.findings import open_leaks
from feature_store.validation.history.result import assert_history
from sandbox.breakages.harm import as_its_refresh_left_it
from tests.feature_store.validation.history.nights import Nights, named, noon, phone, quiet

AS_OF = date(2026, 6, 30)
MARCH_10, MARCH_20 = date(2026, 3, 10), date(2026, 3, 20)
E_FILE = "sql/read/ml.tom_features_v1_enriched_mv.sql"
D4_FILE = "sql/read/ml.tom_speed_anchor_v1_mv.sql"
F2_FILE = "sql/read/feature_store.device_meta_gmc_stats_t0_v1_mv.sql"
AHEAD = {
    "E sees durations of its own day": (
        E_FILE,
        "width_bucket(c.t0_day - 1, sold.days)",
        "width_bucket(c.t0_day, sold.days)",
    ),
    "E sees prices of thirty-one days": (E_FILE, "c.t0_day - 31", "c.t0_day - 32"),
    "D4 sees sales of its own day": (
        D4_FILE,
        "width_bucket(d.anchor_day - 1, s.days)",
        "width_bucket(d.anchor_day, s.days)",
    ),
    "F2 counts a segment's own day": (
        F2_FILE,
        "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING\n        ) AS stretch_no",
        ") AS stretch_no",
    ),
    "F2 counts a colour's own day": (
        F2_FILE,
        "AND 1 PRECEDING\n            ),",
        "AND CURRENT ROW\n            ),",
    ),
}


@pytest.fixture
def leaky(sources_database, include) -> Iterator[Callable[[str | None], Nights]]:
    """The store with one view that looks ahead, after its first night."""
    opened: list[Nights] = []

    def create(ahead: str | None) -> Nights:
        if ahead:
            include.edit(*AHEAD[ahead])
        nights = Nights(sources_database, include.store, include.settings)
        opened.append(nights)
        nights.apply()
        nights.listings = [
            phone(1, "03-01", sold_date=noon("03-05"), sold_price=9000),
            *(phone(number, "03-01") for number in range(2, 6)),
            phone(6, "03-10"),
            phone(7, "03-20"),
        ]
        nights.night(AS_OF)
        return nights

    yield create
    for nights in opened:
        nights.connection.close()


def _sell_on(nights: Nights, listing_id: int, day: str) -> None:
    nights.find(listing_id).update(sold_date=noon(day), sold_price=9000)


def _open(nights: Nights) -> set[str]:
    return {f"{f.layer} {f.day}" for f in open_leaks(nights.connection)}


def test_the_store_as_it_is_does_not_leak(leaky):
    """A sale on 10 March moves E and D4 of 20 March; a phone on 10 March moves F2 of 20 March."""
    nights = leaky(None)
    _sell_on(nights, 2, "03-10")
    nights.listings.append(phone(8, "03-10"))
    verdict = nights.night(AS_OF)
    assert_history(verdict)
    assert {f"{f.layer} {f.day}" for f in verdict.reviews} == {
        f"{layer} 2026-03-10" for layer in ("A", "D1", "D2", "D3", "F0", "device counts")
    }
    moved = nights.rows(
        "SELECT layer, day FROM feature_store_audit.history_day WHERE run_id = 'night 2' "
        "ORDER BY layer, day"
    )
    assert moved == [
        ("AI", MARCH_10),
        ("D1 by cohort", MARCH_10),
        ("D4", MARCH_20),
        ("E", MARCH_10),
        ("E", MARCH_20),
        ("F2", MARCH_20),
    ]


def test_a_leak_is_one_although_its_day_was_recounted(leaky):
    """Unsold listings are scraped again, which may move ask_cnt, but not sold_cnt_30d."""
    nights = leaky("E sees prices of thirty-one days")
    nights.listings += [dict(row) for row in nights.listings[1:]]
    _sell_on(nights, 2, "02-17")
    verdict = nights.night(AS_OF)
    assert named(verdict.leaks) == {"E 2026-03-20 +0 -0 ~1 ask_cnt sold_cnt_30d"}
    assert {f.layer for f in verdict.reviews} == {"D1", "D3"}


@pytest.mark.parametrize(
    ("ahead", "sold", "leaks"),
    [
        (
            "E sees durations of its own day",
            "03-10",
            {"E 2026-03-10 +0 -0 ~1 anchor_median_hours_14d anchor_14d_n"},
        ),
        (
            "E sees prices of thirty-one days",
            "02-17",
            {"E 2026-03-20 +0 -0 ~1 sold_cnt_30d"},
        ),
        (
            "D4 sees sales of its own day",
            "03-10",
            {
                "D4 2026-03-10 +0 -0 ~1 sum_w speed_fast7_anchor "
                "speed_median_hours_ptv speed_n_eff_ptv max_sold_day_used"
            },
        ),
    ],
)
def test_a_window_that_is_a_day_too_wide_is_a_leak(leaky, ahead, sold, leaks):
    nights = leaky(ahead)
    _sell_on(nights, 2, sold)
    verdict = nights.night(AS_OF)
    assert {
        name.replace(
            " speed_fast7_anchor speed_slow21_anchor", " speed_fast7_anchor speed_slow21_anchor"
        )
        for name in named(verdict.leaks)
    } == leaks


@pytest.mark.parametrize(
    ("ahead", "columns"),
    [
        ("F2 counts a segment's own day", {"gmc_seg_n", "gmc_color_n_in_seg", "gmc_seg_share"}),
        ("F2 counts a colour's own day", {"gmc_color_n_global", "gmc_seg_share"}),
    ],
)
def test_device_counts_of_their_own_day_are_a_leak(leaky, ahead, columns):
    nights = leaky(ahead)
    nights.listings.append(phone(8, "03-10"))
    verdict = nights.night(AS_OF)
    (leak,) = verdict.leaks
    assert (leak.layer, leak.day) == ("F2", MARCH_10)
    assert columns <= set(leak.difference.columns)
    assert leak.difference.changed == 22


def test_a_leak_fails_and_says_where(leaky):
    nights = leaky("E sees durations of its own day")
    _sell_on(nights, 2, "03-10")
    with pytest.raises(HistoryLeak) as caught:
        assert_history(nights.night(AS_OF))
    text = str(caught.value)
    for words in (
        "The past moved without cause: E of 2026-03-10.",
        "1 changed in anchor_median_hours_14d, anchor_14d_n",
        "changed: listing_id 6",
        "(A 0; D1 -14..-1; D2 0; D3 -30..-1, in days from its own day)",
        "do not train on them",
    ):
        assert words in text


def test_a_leak_is_said_every_night_until_it_is_mended(leaky):
    """Later changes do not clear it, even if they may move its day."""
    nights = leaky("E sees durations of its own day")
    _sell_on(nights, 2, "03-10")
    nights.night(AS_OF)
    assert {f.layer for f in nights.night(AS_OF).leaks} == {"E"}
    _sell_on(nights, 3, "03-09")
    verdict = nights.night(AS_OF)
    assert named(verdict.leaks) == {
        "E 2026-03-10 +0 -0 ~1 anchor_median_hours_14d anchor_14d_n sold_cnt_30d"
    }
    assert nights.night(AS_OF).leaks == verdict.leaks


def test_mending_the_view_is_a_new_definition_and_closes_the_leak(leaky, include):
    nights = leaky("E sees durations of its own day")
    _sell_on(nights, 2, "03-10")
    nights.night(AS_OF)
    path, right, wrong = AHEAD["E sees durations of its own day"]
    include.edit(path, wrong, right)
    nights.connection.execute("DROP MATERIALIZED VIEW ml.tom_features_v1_enriched_mv CASCADE")
    nights.use(include.store, include.settings)
    nights.apply()
    verdict = nights.night(AS_OF)
    assert not verdict.leaks
    changed = {f.layer: f.details for f in verdict.definition_changes}
    assert sorted(changed) == ["AI", "D1 by cohort", "D4", "E", "F0", "F2", "device counts"]
    assert changed["F2"] == (
        "The definition changed: ml.tom_features_v1_enriched_mv. Its baseline was set again."
    )
    assert {f.layer for f in verdict.reviews} == {"D1", "D3"}, "the late sale still waits"


def test_a_leak_waits_for_a_person_not_for_a_backfill(leaky):
    nights = leaky("E sees durations of its own day")
    _sell_on(nights, 2, "03-10")
    nights.night(AS_OF)
    assert nights.backfill(MARCH_10) != ()  # the late sale
    assert _open(nights) == {"E 2026-03-10"}
    assert "Output days that moved without cause: 1" in history_text(
        nights.connection, "listing_id"
    )
    accept_history(nights.connection, MARCH_10, "known since Monday", "ann")
    assert quiet(nights.night(AS_OF))


@contextmanager
def _without_listing_6(nights: Nights) -> Iterator[None]:
    """Take a row from E, with unchanged inputs and definitions."""
    e = "ml.tom_features_v1_enriched_mv"
    nights.connection.execute(
        f"CREATE TABLE ml.other AS SELECT * FROM {e} WHERE listing_id <> 6".encode()
    )
    layer = nights.layers["E"]
    nights.layers["E"] = replace(layer, query=layer.query.replace(e, "ml.other"))
    _write_anew(nights, e)
    yield
    _write_anew(nights, e)
    nights.layers["E"] = layer


def _write_anew(nights: Nights, relation: str) -> None:
    """Write a relation anew: what was not written since the last judgement is not read again."""
    nights.connection.execute(f"REFRESH MATERIALIZED VIEW {relation}".encode())
    as_its_refresh_left_it(nights.connection, relation)


def test_an_output_changed_by_hand_is_a_leak_and_mending_it_undoes_it(leaky):
    nights = leaky(None)
    lease = nights.lease("by hand")
    with _without_listing_6(nights):
        assert named(nights.judge(lease, AS_OF).leaks) == {"E 2026-03-10 +0 -1 ~0"}
    assert quiet(nights.judge(lease, AS_OF))


def test_a_review_explains_what_moved_with_it_and_nothing_later(leaky):
    """A sale of 5 March that comes late moves E of 10 March, and only once."""
    nights = leaky(None)
    _sell_on(nights, 2, "03-05")
    verdict = nights.night(AS_OF)
    assert [f.layer for f in verdict.reviews] == ["D1", "D3"]
    assert verdict.leaks == ()
    with _without_listing_6(nights):
        verdict = nights.judge(nights.lease("by hand"), AS_OF)
    assert [f.layer for f in verdict.reviews] == ["D1", "D3"], "still pending"
    assert named(verdict.leaks) == {"E 2026-03-10 +0 -1 ~0"}
