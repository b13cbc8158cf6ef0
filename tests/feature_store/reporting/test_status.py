"""The status table."""

from __future__ import annotations

from datetime import timedelta

import pytest

from feature_store.audit.lease import RunKey, take_lease
from feature_store.refresh.refresh import refresh
from feature_store.reporting.status import Line, as_table, read_status
from feature_store.reporting.status_problem import unwell
from feature_store.schema.object_states import State
from tests.relations import D1 as _D1

_SPAM = "ml.spam_listings_v1"


def _read(database, include) -> dict[str, Line]:
    lines = read_status(database.connection, include.store, include.directory)
    assert [line.relation for line in lines] == [str(r.name) for r in include.store.relations]
    return {line.relation: line for line in lines}


def test_before_apply_every_relation_is_missing(scratch_sources, include):
    for line in _read(scratch_sources, include).values():
        assert line.state is State.MISSING
        assert (line.rows, line.bytes, line.refreshed_at, line.seconds) == (None,) * 4


def test_after_apply_nothing_has_been_refreshed(scratch, include):
    lines = _read(scratch, include)
    assert {line.state for line in lines.values()} == {State.AS_FILE}
    assert {line.rows for line in lines.values()} == {None}
    assert lines[_D1].bytes == scratch.value("SELECT pg_total_relation_size(%s)", _D1) > 0
    assert lines[_SPAM].bytes == 0
    assert {line.refresh for line in lines.values()} == {"base", "read", "views"}


def test_after_two_refreshes_the_last_one_is_shown(store_db, include, settings):
    lease = take_lease(store_db.connection, RunKey("d", "r"), lambda _: True, timedelta(0))
    insert = (
        'INSERT INTO "iPhone".iphone_listings (listing_id, sold_date, edited_date) '
        "VALUES (1, now(), now())"
    )
    relation = include.store.find(_D1)
    for _ in range(2):
        store_db.run(insert)
        refresh(store_db.connection, relation, lease, settings.zone)
    line = _read(store_db, include)[_D1]
    assert line.rows == 2
    assert (line.rows, line.refreshed_at, line.seconds) == store_db.rows(
        "SELECT row_count, finished_at, seconds FROM feature_store_audit.refresh "
        "ORDER BY refresh_id DESC"
    )[0]
    shown = as_table([line]).splitlines()[-1].split("  ")
    assert f"{line.refreshed_at:%Y-%m-%d %H:%M:%S} UTC" in shown


def test_a_relation_that_is_not_as_its_file_is_shown_so(scratch, include):
    scratch.run("DROP INDEX ml.sold_dur_v1_idx", "DROP VIEW ml.spam_listings_v1 CASCADE")
    lines = _read(scratch, include)
    assert lines[_D1].state is State.DRIFTED
    assert lines[_SPAM].state is State.MISSING
    assert as_table([lines[_D1]]).endswith("  altered in the database since it was applied")


def test_reading_the_status_alters_nothing(store_db, include):
    before = store_db.snapshot()
    store_db.run("BEGIN READ ONLY")
    _read(store_db, include)
    store_db.run("ROLLBACK")
    assert store_db.snapshot() == before


@pytest.mark.parametrize(("count", "shown"), [(None, ""), (0, "0"), (1234567, "1,234,567")])
def test_no_rows_and_never_refreshed_are_told_apart(count, shown):
    line = Line("ml.x", "base", count, 2_500_000, None, None, State.AS_FILE)
    cells = as_table([line]).splitlines()
    start = cells[1].split("  ")
    place = len("  ".join(start[:2])) + 2
    assert cells[2][place : place + len(start[2])].strip() == shown
    assert "2.5" in cells[2]


def test_a_record_older_than_the_package_is_a_problem():
    problem = unwell([], [], is_old=True)
    assert problem is not None
    assert "the record is older than this package" in problem.problem
    assert "bin/feature-store apply" in (problem.next_step or "")
    assert unwell([], [], is_old=False) is None
