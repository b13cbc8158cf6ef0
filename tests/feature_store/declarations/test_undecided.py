"""Until a person has decided what only a person can decide, no command works with the folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from feature_store.declarations.folder_lint import folder_problems
from feature_store.declarations.store_definition import read_store
from feature_store.declarations.undecided import undecided
from feature_store.errors import BadInput

BIKES = Path(__file__).resolve().parents[3] / "examples" / "bike_stations"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(BIKES, tmp_path / "my bikes")


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("store.toml", 'title = "DECIDE: how do people call it?"\n'),
        ("contracts/empty_risk_v1.toml", "# DECIDE: how do people call it?\n"),
        ("sql/base/bikes.mornings_mv.sql", "-- As-of:      DECIDE: how do people call it?\n"),
        ("sql/history/bikes.mornings_mv.sql", "-- DECIDE: how do people call it?\n"),
    ],
)
def test_a_mark_is_refused_with_its_file_and_line_and_listed_once(folder, path, line):
    file = folder / path
    before = file.read_text().splitlines(keepends=True)
    file.write_text("".join([*before[:2], line, *before[2:]]))
    words = f"{file}, line 3: to be decided: how do people call it?"
    with pytest.raises(BadInput) as caught:
        read_store(folder)
    assert caught.value.problem == words
    assert caught.value.next_step.endswith(
        f"`bin/feature-store check '{folder}'` lists all that is left (1 place)."
    )
    assert [p for p in folder_problems(folder) if "to be decided" in p] == [words]


def test_other_faults_are_told_beside_what_is_to_be_decided(folder):
    (folder / "store.toml").write_text("# DECIDE: one\n# DECIDE: other\nname = 'My Store'\n")
    told = folder_problems(folder)
    assert len(told) == 3
    assert told[2].endswith("got 'My Store'.")


def test_what_is_no_file_of_the_store_may_say_what_it_likes(folder):
    (folder / "notes.md").write_text("DECIDE: later")
    (folder / "old").mkdir()
    (folder / "old/leak_rules.toml").write_text("# DECIDE: never")
    assert undecided(folder) == ()
    assert folder_problems(folder) == []
