"""Some faults of `make faults`, in one night; and that the campaign is the same each time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain

import pytest

from tests.faults.campaign import FIRST, one_night, survived, table, took_effect
from tests.faults.kinds import ANYWHERE, FATAL, MAIL, OF_PREPARE
from tests.faults.lab import Lab, laboratory
from tests.faults.night import Night
from tests.faults.plan import Planned, draw_round
from tests.faults.scene import Point

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]

A, D2 = "base.tom_features_v1_mv", "base.ask_daily_median_v1"
GATE = "assert_contract"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with laboratory(tmp_path_factory.mktemp("faults")) as running:
        yield running


@pytest.mark.slow
def test_a_night_of_faults_ends_well_by_itself_and_all_that_is_told_of_it_agrees(lab: Lab) -> None:
    done = [
        ("prepare", "killed after a commit"),
        (A, "server crashed after a commit"),
        (D2, "disk full"),
        (GATE, "reset after a commit"),
    ]
    points = {
        task: [Point(number, 1, task, kind, 0, 2, number)]
        for number, (task, kind) in enumerate(done, start=1)
    }
    night = Night(lab, "night_0001", FIRST)

    lines = one_night(lab, night, Planned(1, True, points))

    assert [line for line in lines if not survived(line)] == []
    assert took_effect(lines) == len(done), lines
    assert {task: night.tries[task] for task, _ in done} == dict.fromkeys(points, 2), night.tries
    assert "server crashed after a commit" in table(json.loads(json.dumps(lines)))


def test_the_faults_of_a_seed_are_the_same_each_time_and_of_every_kind() -> None:
    tasks = ("prepare", A, D2, "read.x", "expectations.uniqueness", GATE)
    rounds = [draw_round(1, number, tasks, cable=True) for number in range(40)]
    assert rounds == [draw_round(1, number, tasks, cable=True) for number in range(40)]
    assert rounds != [draw_round(2, number, tasks, cable=True) for number in range(40)]
    nights = list(chain.from_iterable(rounds))
    points = [p for night in nights for of in night.points.values() for p in of]
    assert {p.kind for p in points} == {*ANYWHERE, *OF_PREPARE, *FATAL, *MAIL}
    assert len({p.number for p in points}) == len(points)
    without = [night for n in range(40) for night in draw_round(1, n, tasks, cable=False)]
    assert "cable pulled" not in str(without)
