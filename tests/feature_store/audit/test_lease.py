"""The lease: two runs never interleave, and a crashed run does not keep its turn."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest

from feature_store.audit.lease import STOPPED, Lease, RunKey, hold_lease, release_lease, take_lease
from feature_store.audit.runs import fail_run, open_run
from feature_store.connection import Connection
from feature_store.errors import LeaseTaken

MONDAY = RunKey("feature_store_refresh", "monday")
TUESDAY = RunKey("feature_store_refresh", "tuesday")
LONG = timedelta(hours=1)
Session = Connection


@pytest.fixture
def session(store_database: str) -> Iterator[Session]:
    connection = psycopg.connect(store_database, autocommit=True)
    yield connection
    connection.close()


@pytest.fixture
def other(store_database: str) -> Iterator[Session]:
    connection = psycopg.connect(store_database, autocommit=True)
    yield connection
    connection.close()


def running(_: RunKey) -> bool:
    return False


def over(_: RunKey) -> bool:
    return True


def nobody_knows(_: RunKey) -> None:
    return None


def take(session: Session, holder: RunKey, is_over: Any = running, grace: Any = LONG) -> Lease:
    return take_lease(session, holder, is_over, grace)


def test_a_free_lease_is_taken_with_a_new_token(session: Session) -> None:
    first = take(session, MONDAY)
    release_lease(session, MONDAY)
    second = take(session, TUESDAY)

    assert second.token == first.token + 1


def test_all_tasks_of_a_run_share_its_lease(session: Session, other: Session) -> None:
    assert take(session, MONDAY) == take(other, MONDAY)


def test_a_running_holder_keeps_its_lease_and_is_named(session: Session, other: Session) -> None:
    take(session, MONDAY)

    with pytest.raises(LeaseTaken, match="belongs to feature_store_refresh, run monday, since 20"):
        take(other, TUESDAY, running, timedelta(0))


def test_a_run_that_is_over_loses_the_lease_it_never_gave_back(session: Session) -> None:
    crashed = take(session, MONDAY)

    assert take(session, TUESDAY, over).token == crashed.token + 1


def test_the_record_of_a_run_that_left_the_lease_without_a_verdict_is_closed(
    session: Session,
) -> None:
    ask = "SELECT verdict, problem FROM feature_store_audit.run WHERE run_id = 'monday'"
    take(session, MONDAY)
    open_run(session, MONDAY, "scheduled", date(2026, 6, 30), "UTC")
    assert session.execute(ask).fetchall() == [(None, None)]

    take(session, TUESDAY, over)

    assert session.execute(ask).fetchall() == [("failed", STOPPED)]


def test_a_verdict_that_was_spoken_stays(session: Session) -> None:
    take(session, MONDAY)
    open_run(session, MONDAY, "scheduled", date(2026, 6, 30), "UTC")
    fail_run(session, MONDAY, "as_of_counts", {}, 3)

    take(session, TUESDAY, over)

    told = session.execute("SELECT problem FROM feature_store_audit.run").fetchall()
    assert told == [("as_of_counts",)]


def test_a_holder_nobody_can_ask_about_keeps_it_until_it_has_been_silent_for_the_grace(
    session: Session,
) -> None:
    take(session, MONDAY)

    with pytest.raises(LeaseTaken) as taken:
        take(session, TUESDAY, nobody_knows, LONG)
    # A command cannot ask Airflow. Of a run that died nobody can wait for the end.
    assert taken.value.next_step is not None
    assert "If it has ended already" in taken.value.next_step
    assert "silent for 3600 seconds (FEATURE_STORE_LEASE_GRACE)" in taken.value.next_step
    assert re.search(r"last seen at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", taken.value.next_step)
    with pytest.raises(LeaseTaken) as running:
        take(session, TUESDAY, lambda _: False, LONG)
    assert running.value.next_step == "Wait for that run to end, or stop it."
    session.execute("UPDATE feature_store_audit.lease SET seen_at = now() - interval '61 min'")
    assert take(session, TUESDAY, nobody_knows, LONG).holder == TUESDAY


def test_a_clock_that_was_ahead_keeps_nobody_from_the_lease(session: Session) -> None:
    """Else every run would wait until real time had caught up with what that clock wrote."""
    take(session, MONDAY)
    session.execute("UPDATE feature_store_audit.lease SET seen_at = now() + interval '61 min'")
    assert take(session, TUESDAY, nobody_knows, LONG).holder == TUESDAY


def test_a_lease_under_which_somebody_still_works_cannot_be_taken(
    session: Session, other: Session
) -> None:
    lease = take(session, MONDAY)
    with session.transaction():
        hold_lease(session, lease)
        with pytest.raises(LeaseTaken, match="working on the store at this moment"):
            take(other, TUESDAY, over)
    assert take(other, TUESDAY, over).holder == TUESDAY


def test_a_worker_that_died_frees_the_lease_with_its_connection(
    session: Session, other: Session
) -> None:
    lease = take(session, MONDAY)
    session.execute("BEGIN")
    hold_lease(session, lease)
    other.execute("SELECT pg_terminate_backend(%s, 5000)", (session.info.backend_pid,))

    assert take(other, TUESDAY, over).holder == TUESDAY


def test_siblings_confirm_the_lease_while_one_of_them_works(
    session: Session, other: Session
) -> None:
    lease = take(session, MONDAY)
    with session.transaction():
        hold_lease(session, lease)
        other.execute("SET lock_timeout = '1s'")
        assert take(other, MONDAY) == lease


def test_an_old_token_is_fenced_off(session: Session, other: Session) -> None:
    old = take(session, MONDAY)
    take(other, TUESDAY, over)

    with pytest.raises(LeaseTaken, match="has lost the lease"), session.transaction():
        hold_lease(session, old)


def test_the_same_run_under_a_newer_token_fences_off_its_own_old_worker(session: Session) -> None:
    old = take(session, MONDAY)
    take(session, TUESDAY, over)
    again = take(session, MONDAY, over)

    assert again.token > old.token
    with pytest.raises(LeaseTaken), session.transaction():
        hold_lease(session, old)


def test_a_task_that_is_cleared_days_later_takes_the_lease_anew(session: Session) -> None:
    take(session, MONDAY)
    release_lease(session, MONDAY)
    take(session, TUESDAY)
    release_lease(session, TUESDAY)

    assert take(session, MONDAY).holder == MONDAY


def test_only_the_holder_can_give_the_lease_back(session: Session) -> None:
    lease = take(session, MONDAY)

    assert not release_lease(session, TUESDAY)
    assert take(session, MONDAY) == lease
    assert release_lease(session, MONDAY)


def test_of_two_that_ask_at_once_one_gets_it(session: Session, other: Session) -> None:
    with session.transaction():
        session.execute("SELECT 1 FROM feature_store_audit.lease FOR UPDATE")
        with pytest.raises(LeaseTaken):
            take(other, TUESDAY)
