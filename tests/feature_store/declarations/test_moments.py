"""Words for the moment of asking, in SQL files."""

from __future__ import annotations

from datetime import date, datetime, time

import pytest

from feature_store.declarations.moments import named_moments, written_moments


@pytest.mark.parametrize(
    "written",
    [
        "'today'",
        "' Now '",
        "$$yesterday$$",
        "E'tomorrow 10:00 PM'",
        "'[today,tomorrow)'",
        "'{now}'",
        "'(0,x,now,0,x,,)'",
        """'{"(1,\\"tomorrow 10:00\\")"}'""",
    ],
)
def test_a_word_for_the_moment_is_found_however_it_is_quoted(written):
    assert named_moments(f"SELECT {written}::date -- 'now' in a comment") != []


@pytest.mark.parametrize(
    "written", ["'sold today'", "'nowhere'", "'%know%'", "'2026-11-28'", "''", "'(by now)'"]
)
def test_other_text_is_not(written):
    assert named_moments(f"SELECT 1 WHERE l.title ILIKE {written} /* 'today' */") == []


def test_days_and_times_that_a_file_holds_are_read():
    found = set(written_moments("SELECT '2026-11-28', 'x', '08:30', '2026-11-28 10:00+01'"))
    assert {datetime(2026, 11, 28), time(8, 30)} <= found  # noqa: DTZ001  # as it is written
    assert date(2026, 11, 28) in {m.date() for m in found if isinstance(m, datetime)}
