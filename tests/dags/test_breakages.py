"""Every breakage of a store gives the one right verdict, and one mail whose subject says it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from sandbox.breakages.catalogue import BREAKAGES
from sandbox.breakages.run_result import differences
from sandbox.server import folder_for_servers

from .breakages_of_bikes import OF_BIKES

if TYPE_CHECKING:
    from sandbox.breakages.lab import Lab


@pytest.fixture(scope="session")
def lab(server, airflow_database, tmp_path_factory) -> Iterator[Lab]:
    from sandbox.breakages.lab import Lab  # imports Airflow

    with folder_for_servers("breakages-") as place:
        yield Lab(server, tmp_path_factory.mktemp("breakages"), place)


# These differ from another breakage, or from a run of tests/dags, only in the proof, expectation or
# words that tell of them. Tests of those cover them.
_LIKE_ANOTHER = {
    "bikes-duplicate-count",
    "bikes-feature-gone",
    "bikes-flagged-count-forced-in",
    "bikes-other-specification",
    "bikes-own-day-in-the-anchor",
    "count-off-by-one",
    "duplicate-ai-row",
    "feature-column-gone",
    "feature-dropped",
    "labels-inverted-in-the-training-view",
    "late-arrivals",
    "markup-in-a-title",
    "median-off",
    "own-day-in-a-speed-anchor",
    "session-ended",
    "source-column-dropped",
    "spam-let-through",
    "spam-token-odd",
    "spam-token-odd-forced-in",
}
_EVERY = (*BREAKAGES, *OF_BIKES)
_ALL = [
    pytest.param(one, id=one.name, marks=[pytest.mark.slow] * (one.name in _LIKE_ANOTHER))
    for one in _EVERY
]


@pytest.mark.parametrize("breakage", _ALL)
def test_a_breakage_gives_the_one_right_verdict_and_mail(lab: Lab, breakage) -> None:
    assert differences(breakage.expected, lab.run(breakage)) == []


def test_no_two_breakages_share_a_name() -> None:
    names = {breakage.name for breakage in _EVERY}
    assert len(names) == len(_EVERY)
    assert names >= _LIKE_ANOTHER
