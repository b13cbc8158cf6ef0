"""On a real scheduler: late data of old days, the review of them, and a backfill that accepts them.

The sources hold 20 days of June 2026, all settled long since. The tests build on each other's runs,
in this order, on one Airflow: starting one takes a while.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage

import psycopg
import pytest

from sandbox.airflow_api import wait_until
from sandbox.mailbox import Mailbox

from .conftest import RealAirflow
from .middle import Session, hold_in_the_middle_of_e

# Four runs one after the other, on a machine that may be busy: only make test-all has the time.
# make test still covers overlaps and kills here, and what a backfill accepts by tests of history.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

RANGE = ("2026-06-12", "2026-06-13", "2026-06-14")
OUTSIDE = "2026-06-20"
# The middle day already had a nightly run, with the logical date 03:20 in Oslo.
OF_THE_MIDDLE_DAY = "nightly_of_june_13"
BESIDE = "beside_the_backfill"

_LATE = """
INSERT INTO "iPhone".iphone_listings
    (listing_id, generation, storage_gb, model, price, edited_date, sold_date, sold_price)
VALUES (%s, 15, 128, 'iPhone 15', 10000, %s, %s, %s)
"""


def by_day(session: Session, condition: str) -> dict[str, set[str]]:
    """The reviews that meet a condition: the layers of each day."""
    found = session.execute(
        "SELECT day::text, layer FROM feature_store_audit.history_finding "
        f"WHERE kind = 'review' AND {condition}".encode()
    )
    days = defaultdict(set)
    for day, layer in found:
        days[day].add(layer)
    return dict(days)


def mails(mailbox: Mailbox) -> list[EmailMessage]:
    return [message_from_bytes(m.read_bytes(), policy=policy.default) for m in mailbox.alarms()]


@contextmanager
def sources_written_all_the_time(conninfo: str) -> Iterator[None]:
    """While this lasts, a new listing of today arrives every second."""
    enough = threading.Event()

    def write() -> None:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            listing_id = 8_000_000
            while not enough.wait(1):
                connection.execute(
                    'INSERT INTO "iPhone".iphone_listings (listing_id, generation, storage_gb, '
                    "model, price, edited_date) VALUES (%s, 15, 128, 'iPhone 15', 9000, now())",
                    (listing_id,),
                )
                listing_id += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        enough.set()
        writer.join()


def test_late_rows_of_old_days_are_reviewed_with_one_mail_and_fail_nothing(
    real_airflow: RealAirflow, session: Session, mailbox: Mailbox
) -> None:
    # Unpaused, the DAG starts the latest missed nightly run by itself: the baseline.
    wait_until(lambda: len(real_airflow.runs()) == 1, 120, real_airflow.logs)
    (nightly,) = real_airflow.runs()
    assert real_airflow.wait_for_run(nightly) == "success"
    assert by_day(session, "TRUE") == {}
    assert mails(mailbox) == []

    for late in (
        (7_000_001, "2026-06-12T12:00Z", "2026-06-14T12:00Z", 9500),
        (7_000_002, "2026-06-14T12:00Z", None, None),
        (7_000_003, f"{OUTSIDE}T12:00Z", None, None),
    ):
        session.execute(_LATE, late)
    real_airflow.trigger(OF_THE_MIDDLE_DAY, logical_date="2026-06-13T03:20:00+02:00")
    assert real_airflow.wait_for_run(OF_THE_MIDDLE_DAY) == "success"

    assert by_day(session, "outcome IS NULL") == {
        "2026-06-12": {"A", "D2", "F0", "device counts"},
        "2026-06-14": {"A", "D1", "D2", "D3", "F0", "device counts"},
        OUTSIDE: {"A", "D2", "F0", "device counts"},
    }
    (mail,) = mails(mailbox)
    assert f"3 old days (2026-06-12 to {OUTSIDE}) have changed" in mail["Subject"]
    text = mail.get_body(("plain",))
    assert text is not None
    for day in ("2026-06-12", "2026-06-14", OUTSIDE):
        assert f"accept-history --day {day}" in text.get_content()


def test_a_backfill_beside_another_run_accepts_exactly_its_days_with_one_refresh(
    real_airflow: RealAirflow, session: Session, real_database: str, mailbox: Mailbox
) -> None:
    before = set(real_airflow.runs())
    with psycopg.connect(real_database) as blocker, sources_written_all_the_time(real_database):
        hold_in_the_middle_of_e(real_airflow, session, blocker, BESIDE, refresh_unchanged=True)

        real_airflow.command(
            "backfill", "create", "--dag-id", real_airflow.dag_id,
            "--from-date", f"{RANGE[0]}T00:00:00", "--to-date", f"{RANGE[-1]}T23:59:59",
            "--max-active-runs", "3", "--reprocess-behavior", "completed",
        )  # fmt: skip

        def all_run() -> bool:
            return list(real_airflow.runs().values()).count("running") == 4

        wait_until(all_run, 200, real_airflow.logs)
        blocker.rollback()
        # In the order of their days, but last the day whose run was there before.
        backfill = [*sorted(set(real_airflow.runs()) - before - {BESIDE}), OF_THE_MIDDLE_DAY]
        for run in [BESIDE, *backfill]:
            assert real_airflow.wait_for_run(run) == "success"
    assert_days_of_the_range(session, backfill)
    assert_one_refresh_served_all(session, backfill)
    assert_nothing_interleaved(session)
    assert_accepted_exactly(real_airflow, session, backfill)
    session.execute("SELECT ml.require_certified('tom_features_v1', '1 hour')")
    # The run that found the late days ran again, but what is still pending was mailed once.
    assert len(mails(mailbox)) == 1


def assert_days_of_the_range(session: Session, backfill: list[str]) -> None:
    runs = session.execute(
        "SELECT as_of_day::text, run_id, verdict FROM feature_store_audit.run "
        "WHERE run_type = 'backfill' ORDER BY as_of_day"
    ).fetchall()
    assert [(day, verdict) for day, _, verdict in runs] == [(day, "passed") for day in RANGE]
    assert sorted(run for _, run, _ in runs) == sorted(backfill)
    # The middle day's own run became part of the backfill.
    assert runs[1][1] == OF_THE_MIDDLE_DAY


def assert_one_refresh_served_all(session: Session, backfill: list[str]) -> None:
    """The first of the backfill's runs refreshed, although new rows came all the time."""
    refreshed = session.execute(
        "SELECT run_id, array_agg(relation ORDER BY relation) FROM feature_store_audit.refresh "
        "WHERE refresh_id > (SELECT max(refresh_id) FROM feature_store_audit.refresh "
        "WHERE run_id = %s) AND run_id = ANY(%s) GROUP BY run_id",
        (BESIDE, backfill),
    ).fetchall()
    ((first, relations),) = refreshed
    assert relations == sorted(set(relations)), "the backfill refreshed something twice"
    reused = session.execute(
        "SELECT u.run_id, array_agg(u.relation ORDER BY u.relation) "
        "FROM feature_store_audit.reuse AS u "
        "INNER JOIN feature_store_audit.refresh AS r USING (refresh_id) "
        "WHERE r.run_id = %s GROUP BY u.run_id",
        (first,),
    ).fetchall()
    assert dict(reused) == {run: relations for run in backfill if run != first}
    # A's inputs differed each time, so only the rule for backfills can have spared it.
    reasons = session.execute(
        "SELECT DISTINCT reason FROM feature_store_audit.reuse "
        "WHERE relation = 'ml.tom_features_v1_mv'"
    ).fetchall()
    assert reasons == [(f"refreshed by run {first} after the backfill was asked for",)]


def assert_nothing_interleaved(session: Session) -> None:
    overlapping = session.execute(
        "SELECT a.run_id, b.run_id FROM feature_store_audit.refresh AS a "
        "INNER JOIN feature_store_audit.refresh AS b ON a.run_id < b.run_id "
        "AND (a.started_at, a.finished_at) OVERLAPS (b.started_at, b.finished_at)"
    ).fetchall()
    assert overlapping == []


def assert_accepted_exactly(airflow: RealAirflow, session: Session, backfill: list[str]) -> None:
    """Each day was accepted by its own run; days outside the range still wait for a person."""
    accepted = session.execute(
        "SELECT DISTINCT f.day::text, f.reason, r.run_id "
        "FROM feature_store_audit.history_finding AS f "
        "LEFT JOIN feature_store_audit.run AS r ON f.day = r.as_of_day AND r.run_type = 'backfill' "
        "WHERE f.outcome = 'accepted' ORDER BY 1"
    ).fetchall()
    assert accepted == [
        (day, f"backfill: {airflow.dag_id}, run {run}", run)
        for day, run in zip((RANGE[0], RANGE[-1]), (backfill[0], backfill[1]), strict=True)
    ]
    assert by_day(session, "outcome IS NULL").keys() == {OUTSIDE}
