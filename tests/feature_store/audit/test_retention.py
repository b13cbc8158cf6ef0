"""Retention: a run's rows go when the run is old, except those that somebody still needs."""

from __future__ import annotations

import os
import time
from dataclasses import replace

import pytest

from feature_store.audit.lease import RunKey
from feature_store.audit.retention import Forgotten, forget
from feature_store.reporting.report.render import file_name
from feature_store.validation.history.findings import find

_DAG = "feature_store_refresh"
_AUDIT = "feature_store_audit"


@pytest.fixture
def past(scratch, settings, tmp_path):
    """Runs of long ago; each refreshes ml.a, checks one expectation and judges history."""

    class Past:
        def __init__(self):
            self.settings = replace(settings, keep_days=100, report_dir=tmp_path / "reports")

        def run(self, run_id, days_ago, *, refreshes=True, as_of_day="2026-01-01"):
            when = f"now() - interval '{days_ago} days'"
            scratch.run(
                f"INSERT INTO {_AUDIT}.run (dag_id, run_id, run_type, as_of_day, zone, "
                f"prepared_at, server_version) VALUES ('{_DAG}', '{run_id}', 'scheduled', "
                f"'{as_of_day}', 'UTC', {when}, '18.1')",
                f"INSERT INTO {_AUDIT}.expectation (dag_id, run_id, suite, expectation, relation, "
                f"severity, outcome, expected, observed, seconds) VALUES ('{_DAG}', '{run_id}', "
                f"'uniqueness', 'x', 'ml.a', 'critical', 'met', '', '', 0)",
                f"UPDATE {_AUDIT}.suite_log SET begun_at = {when} WHERE run_id = '{run_id}'",
                f"INSERT INTO {_AUDIT}.history_judgement_log (dag_id, run_id, as_of_day, "
                f"settled_before, days, seconds) VALUES ('{_DAG}', '{run_id}', '{as_of_day}', "
                f"'2025-12-02', 1, 0)",
            )
            if refreshes:
                scratch.run(
                    f"INSERT INTO {_AUDIT}.refresh (relation, dag_id, run_id, token, mode, "
                    f"row_count, bytes, seconds, snapshot, zone, started_at, finished_at) VALUES "
                    f"('ml.a', '{_DAG}', '{run_id}', 1, 'blocking', 1, 1, 1, '1:1:', 'UTC', "
                    f"{when}, {when})"
                )

        def reused(self, run_id, from_run):
            scratch.run(
                f"INSERT INTO {_AUDIT}.reuse_log (dag_id, run_id, relation, refresh_id, reason) "
                f"SELECT '{_DAG}', '{run_id}', relation, refresh_id, 'unchanged' "
                f"FROM {_AUDIT}.refresh WHERE run_id = '{from_run}'"
            )

        def certified(self, run_id):
            scratch.run(
                f"INSERT INTO {_AUDIT}.certification_log (relation, refresh_id, file_node, dag_id, "
                f"run_id, as_of_day, certified_at) SELECT relation, refresh_id, 1, dag_id, run_id, "
                f"'2026-01-01', finished_at FROM {_AUDIT}.refresh WHERE run_id = '{run_id}'"
            )

        def finding(self, layer, outcome, days_ago):
            closed = f"now() - interval '{days_ago} days'" if outcome else "NULL"
            said = f"'{outcome}'" if outcome else "NULL"
            kind = "exception" if outcome == "reported" else "review"
            scratch.run(
                f"INSERT INTO {_AUDIT}.history_finding (kind, layer, relation, day, dag_id, "
                f"run_id, found_at, latest_dag_id, latest_run_id, outcome, closed_at, closed_by, "
                f"reason) VALUES ('{kind}', '{layer}', 'ml.a', '2025-01-01', 'd', 'r', {closed}, "
                f"'d', 'r', {said}, {closed}, 'ann', 'late')"
            )

        def forget(self, **changed):
            return forget(scratch.connection, replace(self.settings, **changed))

        def of(self, table):
            rows = scratch.rows(f"SELECT run_id FROM {_AUDIT}.{table} ORDER BY run_id")
            return [run_id for (run_id,) in rows]

    return Past()


def test_an_old_run_goes_with_all_its_rows_and_a_younger_one_stays(past):
    past.run("old", 101)
    past.run("young", 99, as_of_day="2026-02-01")
    assert past.forget() == Forgotten(runs=1, refreshes=1, findings=0, reports=0)
    for table in ("run", "expectation", "refresh", "history_judgement"):
        assert past.of(table) == ["young"], table
    assert past.forget() == Forgotten(0, 0, 0, 0)


def test_without_a_limit_everything_stays(past):
    past.run("old", 9_999)
    past.run("young", 1)
    assert past.forget(keep_days=0) == Forgotten(0, 0, 0, 0)
    assert past.of("refresh") == ["old", "young"]


def test_the_latest_refresh_of_a_relation_stays_whatever_its_age(past):
    """The next change is detected by it, and for years nothing may have changed."""
    past.run("older", 300)
    past.run("old", 200)
    past.forget()
    assert past.of("refresh") == ["old"]


def test_the_certified_refresh_and_the_run_that_certified_it_stay(past):
    """require_certified reads them, while a younger run has refreshed but has not certified."""
    past.run("certified", 200)
    past.certified("certified")
    past.run("young", 1)
    past.forget()
    for table in ("run", "expectation", "refresh", "certified"):
        assert "certified" in past.of(table), table


def test_a_refresh_that_a_kept_run_used_again_stays_for_its_report(past):
    past.run("old", 200)
    past.run("young", 50, refreshes=False)
    past.reused("young", "old")
    past.run("latest", 1)
    past.forget()
    assert past.of("refresh") == ["latest", "old"]
    assert past.of("reuse") == ["young"]


def test_the_run_that_has_the_lease_stays(past, scratch):
    past.run("old", 200)
    scratch.run(f"UPDATE {_AUDIT}.lease SET dag_id = '{_DAG}', run_id = 'old'")
    past.forget()
    assert past.of("run") == ["old"]


def test_the_judgement_of_the_newest_day_stays_for_the_settling_window(past):
    past.run("newest day", 200, as_of_day="2026-06-30")
    past.run("older day", 150, as_of_day="2026-06-29")
    past.forget()
    assert past.of("run") == []
    assert past.of("history_judgement") == ["newest day"]


def test_findings_go_only_where_nobody_answered_for_them(past, scratch):
    for outcome in ("accepted", "undone", "redefined", "reported"):
        past.finding(outcome, outcome, 101)
        past.finding(outcome, outcome, 99)
    past.finding("open", None, 101)
    assert past.forget().findings == 3
    left = find(scratch.connection, "TRUE")
    assert sorted(f.layer for f in left) == [
        "accepted",
        "accepted",
        "open",
        "redefined",
        "reported",
        "undone",
    ]


def test_a_night_deletes_a_bounded_part_the_oldest_first(past):
    for days in range(400, 298, -1):
        past.run(f"{days} days ago", days, refreshes=False)
    past.run("young", 1)
    assert past.forget().runs == 100
    assert past.of("run") == ["299 days ago", "300 days ago", "young"]


def test_old_reports_go_and_other_files_stay(past):
    folder = past.settings.report_dir
    folder.mkdir()
    old, young = (file_name(RunKey(_DAG, run)) for run in ("old", "young"))
    names = [old, young, f".{'0' * 16}.tmp", "report-of-mine.html", "index.html"]
    for name in names:
        (folder / name).write_text("x")
        if name != young:
            long_ago = time.time() - 91 * 86_400
            os.utime(folder / name, (long_ago, long_ago))
    assert past.forget(keep_report_days=0).reports == 0
    assert past.forget().reports == 2
    assert {path.name for path in folder.iterdir()} == {young, "report-of-mine.html", "index.html"}


def test_without_a_report_folder_there_is_nothing_to_delete(past):
    assert past.forget().reports == 0


def test_under_a_publication_of_all_tables_what_is_old_is_forgotten_all_the_same(past, scratch):
    """Without a key or all its columns, nothing can be deleted from a table that is published."""
    nameless = scratch.rows(
        "SELECT c.oid::regclass::text FROM pg_class AS c WHERE c.relkind = 'r' "
        f"AND c.relnamespace = ANY('{{{_AUDIT},feature_log,ml,feature_store}}'::regnamespace[]) "
        "AND c.relreplident <> 'f' AND NOT EXISTS (SELECT FROM pg_index AS i "
        "WHERE i.indrelid = c.oid AND i.indisprimary) ORDER BY 1"
    )
    assert nameless == []
    past.run("old", 400)
    scratch.run(
        f"INSERT INTO {_AUDIT}.proof_log (suite_event, proof, compared, broken, sample, seconds) "
        f"SELECT event_id, 'ml.a', 1, 0, '[]', 0 FROM {_AUDIT}.suite_log",
        "CREATE PUBLICATION everything FOR ALL TABLES",
    )
    assert forget(scratch.connection, past.settings).runs == 1
    assert scratch.value(f"SELECT count(*) FROM {_AUDIT}.proof_log") == 0
