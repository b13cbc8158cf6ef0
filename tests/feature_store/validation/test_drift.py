"""How far apart two distributions are, and what a few parts of one say together."""

from __future__ import annotations

import math
import statistics
from datetime import date

import pytest

from feature_store.validation.drift import distance, with_missing
from feature_store.validation.profile_months import newest_month
from feature_store.validation.profile_parts import Part, together


def test_what_is_alike_has_no_distance_and_what_has_nothing_in_common_has_one_of_1():
    assert distance([3, 0, 7], [30, 0, 70]) == 0
    assert distance([5, 0], [0, 9]) == 1
    assert distance([1, 2, 3], [3, 2, 1]) == distance([3, 2, 1], [1, 2, 3])


def test_an_empty_bin_is_finite_and_half_of_the_rows_without_a_value_make_0_56():
    assert distance(with_missing([10], 10), with_missing([5], 10)) == pytest.approx(0.558, abs=1e-3)


@pytest.mark.parametrize(("one", "other"), [([], []), ([0], [4]), ([4], [4, 0])])
def test_what_cannot_be_compared_has_none(one, other):
    assert distance(one, other) is None


def part(values: list[float]) -> Part:
    known = [v for v in values if math.isfinite(v)]
    return Part(
        rows=len(values) + 1,
        filled=len(values),
        zeros=values.count(0),
        least=min(values, default=None),
        most=max(values, default=None),
        measured=len(known),
        mean=statistics.fmean(known) if known else None,
        deviation=statistics.stdev(known) if len(known) > 1 else None,
        counts=(len(values),),
    )


@pytest.mark.parametrize(
    "parts", [([1.0, 2.0, 9.0], [4.0], [], [0.0, 0.0]), ([], []), ([7.0], [7.0]), ([3.0],)]
)
def test_parts_together_say_what_all_their_rows_say(parts):
    whole = together(part(list(values)) for values in parts)
    wanted = part([v for values in parts for v in values])
    assert whole.rows == wanted.rows - 1 + len(parts)
    assert (whole.filled, whole.zeros, whole.counts) == (
        wanted.filled,
        wanted.zeros,
        wanted.counts,
    )
    assert (whole.least, whole.most) == (wanted.least, wanted.most)
    assert whole.mean == pytest.approx(wanted.mean)
    assert whole.deviation == pytest.approx(wanted.deviation)


def month(rows: int, below: int) -> Part:
    return Part(rows, rows, 0, 0, 1, rows, 0.5, 0.5, (below, rows - below))


def test_the_newest_month_with_enough_rows_is_held_against_the_last_certified_one_before_it():
    days = [date(2026, m, 1) for m in range(1, 8)]
    certified = {d: {"x": [50, 50, 0]} for d in days[:5]} | {days[2]: {"x": [80, 20, 0]}}
    now = {d: {"x": month(100, 90)} for d in days[:6]} | {days[6]: {"x": month(7, 7)}}

    found = newest_month(now, certified, least_rows=50)

    assert found.described == (days[5], 100, days[4], 100)
    assert found.drift["x"] == distance([50, 50, 0], [90, 10, 0])
    assert found.usual["x"] == distance([50, 50, 0], [80, 20, 0])


def test_before_a_feature_has_a_past_nothing_is_usual_and_of_small_months_nothing_is_told():
    one, two = date(2026, 1, 1), date(2026, 2, 1)
    now = {one: {"x": month(60, 1)}, two: {"x": month(60, 1)}}
    assert newest_month(now, {one: {"x": [1, 59, 0]}}, 50).usual == {"x": None}
    assert newest_month(now, {}, 50).described == (two, 60, None, None)
    assert newest_month(now, {}, 500).described == (None, None, None, None)
