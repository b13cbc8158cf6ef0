"""Thresholds: the numbers of a store's folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from feature_store.declarations.thresholds import (
    least_rows_for_drift,
    read_thresholds,
    unused_thresholds,
)
from feature_store.errors import BadInput

_BIKES = Path(__file__).resolve().parents[3] / "examples" / "bike_stations"

_GUARD = {"most_rows_lost": 0.4, "least_rows_guarded": 100}


def _read(tmp_path, **numbers: float) -> dict[str, float]:
    lines = [f"{name} = {value}\n" for name, value in {**_GUARD, **numbers}.items()]
    (tmp_path / "thresholds.toml").write_text("".join(lines))
    return read_thresholds(tmp_path)


@pytest.mark.parametrize("name", ["most_rows_lost", "most_drift"])
@pytest.mark.parametrize("value", [40, 1.01, -0.1])
def test_a_share_is_from_0_to_1(tmp_path, name, value):
    """40 per cent as 40 would let every row go."""
    with pytest.raises(BadInput, match=f"{name}: expected a share from 0 to 1, got {value}"):
        _read(tmp_path, **{name: value})
    assert _read(tmp_path, **{name: 0})[name] == 0
    assert _read(tmp_path, **{name: 1})[name] == 1


@pytest.mark.parametrize(
    "name", ["least_rows_guarded", "least_rows_for_drift", "most_drift_to_usual"]
)
def test_a_number_of_rows_or_times_is_not_below_0(tmp_path, name):
    with pytest.raises(BadInput, match=f"{name}: expected 0 or more, got -1"):
        _read(tmp_path, **{name: -1})
    assert _read(tmp_path, **{name: 0})[name] == 0


def test_what_only_a_store_s_own_queries_read_is_any_number(tmp_path):
    assert _read(tmp_path, most_of_ours=-40)["most_of_ours"] == -40


def test_a_number_that_only_the_package_or_its_page_reads_is_used(tmp_path):
    """A store without a query about drift still measures it, and its page has a newest day."""
    bikes = tmp_path / "bikes"
    shutil.copytree(_BIKES, bikes)
    fresh = [
        path for path in bikes.rglob("*.sql") if ":most_days_without_a_count" in path.read_text()
    ]
    for path in fresh:
        path.unlink()
    with (bikes / "thresholds.toml").open("a") as file:
        file.write(
            "least_rows_for_drift = 50\nmost_drift = 0.2\nmost_drift_to_usual = 3\nmine = 1\n"
        )
    assert fresh
    assert least_rows_for_drift(bikes) == 50
    assert unused_thresholds(bikes) == ["mine"]
