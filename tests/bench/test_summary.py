"""Medians, sums and ratios of figures small enough to check by hand, and the tables of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench import variants
from bench.figure import Figure
from bench.nights import PROFILES
from bench.plot import draw
from bench.summary import against_reference, read_sizes, whole_against_reference
from bench.tables import refresh_tables
from bench.targets import judge


def _size(listings: int, times: float, *, reference: bool = True) -> dict[str, Any]:
    """Two relations, one with a helper below it. Of three runs the last is ten times slower."""

    def runs(**seconds: float) -> dict[str, list[float]]:
        return {name: [s * times, s * times, 10 * s * times] for name, s in seconds.items()}

    ours = {"e": 1.0, "helper": 0.5, "f2": 1.5}
    passes = {v.name: runs(**ours) for v in variants.WITHOUT_REFERENCE}
    passes |= {v.name: runs(whole=2.0) for v in variants.ALL if v.side_by_side}
    if reference:
        passes |= {v.name: runs(e=30.0, f2=10.0) for v in variants.ALL if v.of == "reference"}
    return {
        "listings": listings,
        "runs": 3,
        "rows": {"e": 9, "helper": 2, "f2": 4},
        "bytes": {},
        "passes": {"tuned": passes, "default": {"shipped": runs(e=2.0, helper=1.0, f2=3.0)}},
        "unchanged": [{"e": 0.06, "f2": 0.06}],
        "checks": {
            "first": [{"history": 9.0}],
            "later": [
                {"proof e, in its refresh": 0.6, "proof f2": 0.4, "history": 0.5, PROFILES: 0.3}
            ],
        },
        "checks_in_the_dag": [0.7, 0.8, 9.0],
    }


@pytest.fixture
def result() -> dict[str, Any]:
    return {
        "machine": {
            "at": "2026-07-01", "commit": "abc", "uncommitted_changes": False, "cpu": "one",
            "cores": 2, "memory_gb": 8, "system": "Linux", "python": "3.11", "load_before": 0.1,
        },
        "conditions": {"profiles": {"tuned": {"version": "18"}}, "sessions": {"plain": {}}},
        "labels": {"e": "E", "helper": "helper", "f2": "F2"},
        "helpers": {"helper": ["f2"]},
        "sizes": [_size(10_000, 1.0), _size(100_000, 13.0, reference=False)],
    }  # fmt: skip


def test_a_helper_counts_as_part_of_what_it_serves_and_once_in_the_whole(
    result: dict[str, Any],
) -> None:
    size = read_sizes(result)[0]
    assert size.seconds(variants.SHIPPED, "f2") == Figure(2.0)
    assert size.total(variants.SHIPPED) == Figure(3.0)
    assert against_reference(size, "F2")["as shipped"] == Figure(5.0)
    assert against_reference(size, "E")["as shipped"] == Figure(30.0)
    assert whole_against_reference(size, speed=True)["by SQL alone"] == Figure(40 / 3)


def test_what_the_whole_takes_side_by_side_stands_beside_what_is_judged(
    result: dict[str, Any],
) -> None:
    size = read_sizes(result)[0]
    assert size.night() == Figure(2.0)
    found = whole_against_reference(size, speed=True)
    assert (found["as shipped"], found["side by side"]) == (Figure(40 / 3), Figure(20.0))
    assert "all took 2.000 s as shipped; without the speed layer 2.000 s" in refresh_tables(result)


def test_a_proof_that_its_refresh_makes_counts_once_in_the_whole_night(
    result: dict[str, Any],
) -> None:
    size = read_sizes(result)[0]
    assert size.whole_night() == Figure(2.0 + 0.8)
    assert size.checks_in_the_dag() == Figure(0.6 + 0.8)
    assert "| the whole night as the DAG runs it" in refresh_tables(result)


def test_targets_are_judged_where_they_were_measured(result: dict[str, Any]) -> None:
    judged = {one.what: one for one in judge(read_sizes(result))}
    assert judged["F2 at 10,000, reference / ours as shipped"].verdict.startswith("NOT reached")
    assert judged["growth of the whole from 10,000 to 100,000"].observed == Figure(13.0)
    assert judged["total at 10,000 under default server settings / tuned"].observed == Figure(2.0)
    assert judged["unchanged night at 10,000 / full refresh"].observed == Figure(0.04)
    checks = judged["proofs, suites, gates and history at 10,000 / refreshes alone"]
    assert checks.observed == Figure(1.5 / 2.4)
    in_the_dag = judged["the same with profiles at 10,000, as the DAG runs them / refreshes alone"]
    assert in_the_dag.observed == Figure((0.6 + 0.8) / 2.4)
    profiles = judged["profiles of the features at 100,000 / refreshes alone"]
    assert profiles.observed == Figure(0.3 / (39 - 0.6))
    assert not any(what.startswith("E at 100,000") for what in judged), "there is no reference"


def _give_up(result: dict[str, Any], runs: list[int]) -> None:
    reference = [v.name for v in variants.ALL if v.of == "reference"]
    result["patience"] = 10
    result["sizes"][0]["given_up"] = {"tuned": {name: {"f2": runs} for name in reference}}


def test_what_was_given_up_makes_its_median_its_sums_and_its_ratios_lower_bounds(
    result: dict[str, Any],
) -> None:
    _give_up(result, [0, 2])
    size = read_sizes(result)[0]
    assert size.seconds(variants.REFERENCE_PLAIN, "f2") == Figure(10.0, lower_bound=True)
    assert size.seconds(variants.REFERENCE_PLAIN, "e") == Figure(30.0)
    assert size.total(variants.REFERENCE) == Figure(40.0, lower_bound=True)
    assert size.total(variants.SHIPPED) == Figure(3.0)
    assert against_reference(size, "F2")["both in our session"] == Figure(5.0, lower_bound=True)
    assert against_reference(size, "F2")["reference spared"] == Figure(5.0, lower_bound=True)
    judged = {one.what: one for one in judge([size])}
    f2 = judged["F2 at 10,000, reference / ours as shipped"]
    assert (f2.observed, f2.verdict) == (Figure(5.0, lower_bound=True), "open, at least this")
    whole = judged["whole at 10,000, with the speed layer, reference / ours as shipped"]
    assert whole.verdict == "reached", "even its lower bound is beyond the target"


def test_a_run_that_was_the_slowest_anyhow_leaves_the_median_what_it_is(
    result: dict[str, Any],
) -> None:
    _give_up(result, [2])
    size = read_sizes(result)[0]
    assert size.seconds(variants.REFERENCE_PLAIN, "f2") == Figure(10.0)
    assert size.total(variants.REFERENCE) == Figure(40.0)


def test_the_tables_say_what_a_lower_bound_is_where_there_is_one(result: dict[str, Any]) -> None:
    assert "given up" not in refresh_tables(result), "also where the result knows no patience"
    _give_up(result, [0, 1])
    tables = refresh_tables(result)
    assert "took longer than 10 s was given up" in tables
    assert "> 10.000" in tables
    assert "> 5.0 " in tables


def test_the_tables_and_the_plot_are_made_from_the_result(
    result: dict[str, Any], tmp_path: Path
) -> None:
    tables = refresh_tables(result)
    assert "## 100,000 listings: seconds, plain refreshes (median of 3)" in tables
    assert "helper is ours alone and counts as part of F2." in tables
    draw(read_sizes(result), tmp_path / "plot.svg")
    drawn = (tmp_path / "plot.svg").read_text()
    assert "<svg" in drawn
    assert "at least" not in drawn
    _give_up(result, [0, 1])
    draw(read_sizes(result), tmp_path / "plot.svg")
    assert "at least" in (tmp_path / "plot.svg").read_text()
