"""Sessions share out jobs; one that fails, or a task that is stopped, stops them all."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import psycopg
import pytest

from feature_store.connection import Connection
from feature_store.database import side_by_side as side_by_side_module
from feature_store.database.side_by_side import side_by_side

_TOO_LONG = 30


@pytest.fixture
def sessions(empty_database: str) -> Iterator[list[Connection]]:
    with (
        psycopg.connect(empty_database, autocommit=True) as one,
        psycopg.connect(empty_database, autocommit=True) as another,
    ):
        yield [one, another]


class Late(Exception):
    """A task that is stopped while its threads work."""


@contextmanager
def interrupted_after(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise Late

    main = threading.get_ident()
    before = signal.signal(signal.SIGUSR1, stop)
    timer = threading.Timer(seconds, signal.pthread_kill, (main, signal.SIGUSR1))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        signal.signal(signal.SIGUSR1, before)


def sleep(session: Connection) -> None:
    session.execute("SELECT pg_catalog.pg_sleep(%s)", (_TOO_LONG * 2,))


def test_two_sessions_work_at_the_same_time(sessions):
    met = threading.Barrier(2)
    side_by_side([lambda _: met.wait(_TOO_LONG)] * 2, sessions)
    assert not met.broken


def test_every_job_is_done_once(sessions):
    done: list[int] = []
    pids = {session.info.backend_pid for session in sessions}

    def job(session: Connection, number: int) -> None:
        row = session.execute("SELECT pg_catalog.pg_backend_pid()").fetchone()
        assert row is not None
        assert row[0] in pids
        done.append(number)

    side_by_side([partial(job, number=n) for n in range(50)], sessions)
    assert sorted(done) == list(range(50))


def test_without_jobs_nothing_happens(sessions):
    side_by_side([], sessions)


@pytest.mark.timeout(_TOO_LONG)
def test_a_job_that_fails_stops_the_others_and_begins_no_more(sessions):
    begun: list[Connection] = []

    def fail(session: Connection) -> None:
        session.execute("SELECT 1 / 0")

    with pytest.raises(psycopg.errors.DivisionByZero):
        side_by_side([sleep, fail, begun.append], sessions)
    assert not begun
    for session in sessions:
        assert session.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.timeout(_TOO_LONG)
def test_a_task_that_is_stopped_waits_for_no_statement(sessions):
    with interrupted_after(0.5), pytest.raises(Late):
        side_by_side([sleep, sleep, sleep], sessions)
    for session in sessions:
        assert session.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.timeout(_TOO_LONG)
def test_a_statement_that_begins_after_the_stop_is_stopped_too(sessions):
    """Between two statements there is nothing to cancel."""

    def pause_then_sleep(session: Connection) -> None:
        threading.Event().wait(1)
        sleep(session)

    with interrupted_after(0.2), pytest.raises(Late):
        side_by_side([pause_then_sleep] * 2, sessions)


@pytest.mark.timeout(_TOO_LONG)
def test_from_a_server_that_is_frozen_it_is_cut_off(sessions, monkeypatch):
    """Its kernel still answers, so that no timeout of TCP ends the wait."""
    monkeypatch.setattr(side_by_side_module, "_ENDS_WITHIN", 1)
    frozen = [session.info.backend_pid for session in sessions]

    def freeze() -> None:
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)

    timer = threading.Timer(0.5, freeze)
    timer.start()
    try:
        with pytest.raises(Late), interrupted_after(1):
            side_by_side([sleep, sleep], sessions)
        assert all(session.broken for session in sessions)
    finally:
        timer.join()
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
