"""Every breakage of a store gives the one right verdict, and one mail whose subject tells it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from sandbox.breakages.catalogue import BREAKAGES
from sandbox.breakages.outcome import differences
from sandbox.server import folder_for_servers

if TYPE_CHECKING:
    from sandbox.breakages.lab import Lab


@pytest.fixture(scope="session")
def lab(server, airflow_database, tmp_path_factory) -> Iterator[Lab]:
    from sandbox.breakages.lab import Lab  # imports Airflow

    # Not below pytest's own directory: that is closed to the servers' system user.
    with folder_for_servers("breakages-") as place:
        yield Lab(server, tmp_path_factory.mktemp("breakages"), place)


@pytest.mark.parametrize("breakage", BREAKAGES, ids=lambda breakage: breakage.name)
def test_a_breakage_gives_the_one_right_verdict_and_mail(lab: Lab, breakage) -> None:
    assert differences(breakage.expected, lab.run(breakage)) == []


def test_no_two_breakages_share_a_name() -> None:
    assert len({breakage.name for breakage in BREAKAGES}) == len(BREAKAGES)
