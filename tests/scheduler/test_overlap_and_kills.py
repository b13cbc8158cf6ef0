"""On a real scheduler: runs that overlap, a task that is stopped, a machine that dies.

The tests build on each other's runs, in this order, on one Airflow: starting one takes a while.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from contextlib import suppress
from email import message_from_bytes, policy
from itertools import groupby
from pathlib import Path

import psutil
import psycopg
import pytest

from feature_store.connection import Connection
from sandbox.airflow_api import wait_until
from sandbox.mailbox import Mailbox
from tests.docs.pages import lines_that_call

from .conftest import RealAirflow
from .middle import E, hold_in_the_middle_of_e, working_on_e

pytestmark = pytest.mark.timeout(1800)

Session = Connection
GATE = "assert_contract"
# Well below the lock timeout of these tests, which would end the SQL of a task that nobody stopped.
STOPS_WITHIN = 90
STOPPED = "stopped_in_the_middle_of_E"
# It types lines one after the other, as loading Airflow for each would take a minute.
_TYPE = """
import shlex, sys
from airflow.cli.cli_parser import get_parser
for line in sys.argv[1:]:
    typed = get_parser().parse_args(shlex.split(line, comments=True)[1:])
    typed.func(typed)
"""


def _typed(airflow: RealAirflow, *lines: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _TYPE, *lines],
        env=airflow.environment,
        input="y\n" * sum("tasks clear" in line for line in lines),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def refreshes_by_run(session: Session) -> list[str]:
    """Which runs refreshed, in order; a run that refreshes several times in a row is there once."""
    rows = session.execute("SELECT run_id FROM feature_store_audit.refresh ORDER BY refresh_id")
    return [run for run, _ in groupby(run_id for (run_id,) in rows)]


def text_of(mail: Path) -> str:
    message = message_from_bytes(mail.read_bytes(), policy=policy.default)
    body = message.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def cleared_of(airflow: RealAirflow, run: str, printed: str) -> set[str]:
    """The tasks of a run that Airflow asked about clearing."""
    return set(re.findall(rf"{airflow.dag_id}\.([\w.]+) {run} ", printed))


def test_a_nightly_run_and_a_backfill_at_once_never_interleave(
    real_airflow: RealAirflow, session: Session
) -> None:
    # Unpaused, the DAG starts the latest missed nightly run by itself, just now.
    real_airflow.command(
        "backfill", "create", "--dag-id", "feature_store_refresh",
        "--from-date", "2026-06-11T00:00:00", "--to-date", "2026-06-11T23:59:59",
        "--dag-run-conf", '{"refresh_unchanged": true}',
    )  # fmt: skip

    wait_until(lambda: len(real_airflow.runs()) == 2, 300, real_airflow.logs)
    overlapping = 0

    def all_ended() -> bool:
        nonlocal overlapping
        states = list(real_airflow.runs().values())
        overlapping = max(overlapping, states.count("running"))
        return all(state in ("success", "failed") for state in states)

    wait_until(all_ended, 1500, real_airflow.logs, between_looks=2)
    assert overlapping >= 2, "the runs did not overlap, so this proved nothing"
    assert set(real_airflow.runs().values()) == {"success"}
    order = refreshes_by_run(session)
    assert len(order) == len(set(order)), "the refreshes of two runs lie between each other"
    assert {run for run in real_airflow.runs() if run.startswith("backfill")} <= set(order)
    days = session.execute(
        "SELECT as_of_day::text FROM feature_store_audit.run WHERE run_type = 'backfill'"
    ).fetchall()
    assert days == [("2026-06-11",)]


def test_what_tasks_are_forked_from_has_the_slow_libraries_already(
    real_airflow: RealAirflow,
) -> None:
    scheduler = psutil.Process(real_airflow.process("scheduler").pid)
    workers = [p for p in scheduler.children() if "LocalExecutor" in " ".join(p.cmdline())]
    assert workers
    for worker in workers:
        mapped = " ".join(library.path for library in worker.memory_maps())
        assert "/pandas/" in mapped, "Great Expectations was not imported ahead"


def test_stopping_a_task_stops_its_sql_and_the_mails_command_has_it_done_again(
    real_airflow: RealAirflow, session: Session, real_database: str, mailbox: Mailbox
) -> None:
    run = STOPPED
    with psycopg.connect(real_database) as blocker:
        moment = "2026-06-30T03:20:00+02:00"  # as docs/operations.md says
        hold_in_the_middle_of_e(real_airflow, session, blocker, run, logical_date=moment)

        real_airflow.mark_failed(run, E)

        wait_until(lambda: not working_on_e(session), STOPS_WITHIN, real_airflow.logs)
        blocker.rollback()
    assert real_airflow.wait_for_run(run) == "failed"
    assert session.execute("SELECT run_id FROM feature_store_audit.lease").fetchone() == (None,)

    (mail,) = map(text_of, mailbox.alarms())
    (typed,) = [line for line in mail.splitlines() if line.startswith("airflow ")]
    printed = real_airflow.command(*shlex.split(typed)[1:], answer="y")
    cleared = cleared_of(real_airflow, run, printed)
    after_e = {i for i in real_airflow.tasks(run) if i == E or i.startswith(("expect", GATE))}
    assert after_e <= cleared < real_airflow.tasks(run).keys()
    wait_until(lambda: real_airflow.tasks(run)[GATE] != "failed", 300, real_airflow.logs)
    assert real_airflow.wait_for_run(run) == "success"
    # The failed run sent one mail, although the mail server is slow.
    assert len(mailbox.alarms()) == 1
    assert session.execute(
        "SELECT run_id, nth, sent FROM feature_store_audit.mail WHERE kind = 'failure'"
    ).fetchall() == [(run, 1, True)]


@pytest.mark.slow
def test_a_task_whose_machine_is_shut_down_is_tried_again(
    real_airflow: RealAirflow, session: Session, real_database: str
) -> None:
    run = "shut_down_in_the_middle_of_E"
    with psycopg.connect(real_database) as blocker:
        hold_in_the_middle_of_e(real_airflow, session, blocker, run)

        real_airflow.terminate_tasks()

        wait_until(lambda: not working_on_e(session), STOPS_WITHIN, real_airflow.logs)
        blocker.rollback()
    assert real_airflow.wait_for_run(run) == "success"


@pytest.mark.slow
def test_after_a_power_cut_in_the_middle_of_e_the_run_ends_well_without_hand_work(
    real_airflow: RealAirflow, session: Session, real_database: str
) -> None:
    run = "cut_off_in_the_middle_of_E"
    rows = session.execute("SELECT count(*) FROM ml.tom_features_v1_enriched_mv").fetchone()
    with psycopg.connect(real_database) as blocker:
        hold_in_the_middle_of_e(real_airflow, session, blocker, run)

        real_airflow.kill_scheduler()

        # The server notices by itself that its client is gone, while it still waits for the lock.
        wait_until(lambda: not working_on_e(session), STOPS_WITHIN, real_airflow.logs)
        blocker.rollback()
    readable = session.execute("SELECT count(*) FROM ml.tom_features_v1_enriched_mv").fetchone()
    assert readable == rows
    records = session.execute(
        "SELECT count(*) FROM feature_store_audit.refresh "
        "WHERE run_id = %s AND relation = 'ml.tom_features_v1_enriched_mv'",
        (run,),
    ).fetchone()
    assert records == (0,)

    real_airflow.start_component("scheduler")

    assert real_airflow.wait_for_run(run) == "success"


@pytest.mark.slow
def test_a_run_that_was_deleted_does_not_keep_the_lease(
    real_airflow: RealAirflow, session: Session
) -> None:
    session.execute(
        "UPDATE feature_store_audit.lease SET dag_id = 'feature_store_refresh', "
        "run_id = 'deleted', taken_at = now(), seen_at = now() - interval '901 seconds'"
    )

    real_airflow.trigger("after_a_deleted_run")

    assert real_airflow.wait_for_run("after_a_deleted_run") == "success"


def test_what_the_pages_type_into_airflow_has_the_effect_that_they_name(
    real_airflow: RealAirflow,
) -> None:
    all_lines = lines_that_call("airflow")
    (removed,) = [line for line in all_lines if " dags delete " in line]  # has a test of its own
    lines = [line for line in all_lines if line != removed]
    before = real_airflow.runs()
    side_by_side = {"base.ask_daily_median_v1", "base.sold_prices_v1_mv"}
    for task in side_by_side:
        real_airflow.mark_failed(STOPPED, task)
    typed = _typed(real_airflow, *lines)
    new = [run for run in real_airflow.runs() if run not in before]
    assert sum(run.startswith("manual") for run in new) == sum("trigger" in line for line in lines)
    for day in ("2026-06-12", "2026-06-13", "2026-06-14"):
        assert any(run.startswith(f"backfill__{day}") for run in real_airflow.runs())
    assert not real_airflow.call("GET", f"dags/{real_airflow.dag_id}")["is_paused"]
    # The first line of the two that clear.
    only_failed, _, typed = typed.partition("Are you sure")
    assert cleared_of(real_airflow, STOPPED, only_failed) == side_by_side
    after_d4 = {"read.tom_speed_anchor_v1_mv", "read.tom_features_v1_enriched_speed_mv", GATE}
    cleared = cleared_of(real_airflow, STOPPED, typed)
    assert after_d4 <= cleared
    assert E not in cleared


def test_airflow_forgets_the_dag_of_a_store_that_is_removed(real_airflow: RealAirflow) -> None:
    (line,) = [line for line in lines_that_call("airflow") if " dags delete " in line]

    def nothing_runs() -> bool:
        # Beside the scheduler this may be refused at times.
        with suppress(RuntimeError):
            for run, state in real_airflow.runs().items():
                if state not in ("success", "failed"):
                    path = f"dags/{real_airflow.dag_id}/dagRuns/{run}"
                    real_airflow.call("PATCH", path, {"state": "failed"})
            return not real_airflow.running_tasks()
        return False

    wait_until(nothing_runs, 400, real_airflow.logs)
    assert re.search(r"Removed [1-9]\d* record", _typed(real_airflow, line))
