"""A lower bound stays a lower bound in medians and ratios, and no table overstates it."""

from __future__ import annotations

import pytest

from bench.figure import Figure, median_figure, ratio
from bench.results import number


@pytest.mark.parametrize(
    ("values", "given_up", "median"),
    [
        pytest.param([1, 2, 9], [False, False, False], Figure(2), id="nothing was given up"),
        pytest.param([1, 2, 9], [False, False, True], Figure(2), id="the slowest run was"),
        pytest.param([1, 2, 9], [False, True, True], Figure(2, True), id="most runs were"),
        pytest.param([1, 2, 9], [True, False, False], Figure(2, True), id="it may be the slowest"),
        pytest.param([1, 2], [False, True], Figure(1.5, True), id="half of an even number was"),
        pytest.param([9], [True], Figure(9, True), id="the only run was"),
    ],
)
def test_a_median_is_exact_if_what_was_given_up_could_not_change_it(
    values: list[float], given_up: list[bool], median: Figure
) -> None:
    assert median_figure(values, given_up) == median


def test_a_ratio_is_a_lower_bound_if_what_is_divided_is_one() -> None:
    assert ratio(Figure(120, True), Figure(10)) == Figure(12, True)
    assert ratio(Figure(120), Figure(10)) == Figure(12)
    assert ratio(Figure(120), Figure(10, True)) is None, "it could be anything below 12"
    assert ratio(None, Figure(10)) is ratio(Figure(120), Figure(0)) is None


def test_a_lower_bound_is_written_with_a_mark_and_rounded_down() -> None:
    assert number(Figure(12.37, True), 1) == "> 12.3"
    assert number(Figure(12.37), 1) == number(12.37, 1) == "12.4"
    assert number(Figure(1200, True), 0) == "> 1,200"
    assert number(None) == "–"
