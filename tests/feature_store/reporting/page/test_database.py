"""The page's session: it can only read, never waits long, and never takes the server's threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from feature_store.connection import Connection
from feature_store.errors import CannotConnect
from feature_store.reporting.page.database import Sessions, read_only
from feature_store.reporting.page.problems import Busy
from feature_store.reporting.store.store_files import Files
from feature_store.settings import Settings
from sandbox.roles import PAGE, as_role
from tests.feature_store.reporting.page.conftest import ANN, BEN


@pytest.fixture
def asking(nightly, airflow_conn):
    """Settings of a superuser: it is not a lack of privileges that keeps it from writing."""
    airflow_conn(nightly.conninfo)
    return Settings()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM feature_store_audit.run_log",
        "UPDATE feature_store_audit.lease SET token = token",
        "CREATE TABLE public.mine (x integer)",
        "REFRESH MATERIALIZED VIEW ml.tom_features_v1_mv",
        "SELECT nextval('feature_store_audit.event')",
    ],
)
def test_it_cannot_write_even_as_a_superuser(asking, statement):
    with (
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
        read_only(asking) as connection,
    ):
        connection.execute(statement.encode())


def test_it_sees_one_state_of_the_store(asking, nightly):
    count = "SELECT count(*) FROM feature_store_audit.run"
    with read_only(asking) as connection:
        before = connection.execute(count).fetchone()
        nightly.run(
            "INSERT INTO feature_store_audit.run (dag_id, run_id, run_type, as_of_day, zone, "
            "prepared_at, server_version) VALUES ('x', 'meanwhile', 'x', '2020-01-01', 'UTC', "
            "'2020-01-01', '18')"
        )
        try:
            assert connection.execute(count).fetchone() == before
        finally:
            nightly.run("DELETE FROM feature_store_audit.run_log WHERE run_id = 'meanwhile'")


def test_it_never_waits_long(asking):
    with read_only(replace(asking, statement_timeout=7200)) as connection:
        shown = [
            connection.execute(f"SHOW {name}".encode()).fetchone()[0]
            for name in ("statement_timeout", "lock_timeout", "application_name")
        ]
        asked = connection.info.get_parameters()["connect_timeout"]
    assert [*shown, asked] == ["10s", "2s", "feature_store page", "5"]


def test_what_the_connection_says_of_its_own_timeout_holds(nightly, airflow_conn):
    airflow_conn(as_role(nightly.conninfo, PAGE), connect_timeout="3")
    with read_only(Settings()) as connection:
        assert connection.info.get_parameters()["connect_timeout"] == "3"


@pytest.fixture
def blocked(asking, nightly) -> Iterator[Callable[[Connection, Settings, Files], Any]]:
    """A question to the store that gets no answer before the test ends or the database gives up."""
    lock = "SELECT pg_advisory_{}(20)"
    nightly.run(lock.format("lock"))
    yield lambda connection, *_: connection.execute(lock.format("lock_shared").encode())
    nightly.run(lock.format("unlock"))


def _one(connection: Connection, *_: object) -> Any:
    return connection.execute("SELECT 1").fetchone()


def test_when_too_many_wait_the_next_is_sent_away_and_takes_no_thread(blocked):
    async def ask() -> list[Any]:
        sessions = Sessions(1, patience=0.1)
        threads = threading.active_count()
        first = asyncio.create_task(sessions.ask(ANN, blocked))
        await asyncio.sleep(0.01)
        others = [asyncio.create_task(sessions.ask(ANN, _one)) for _ in range(50)]
        told = await asyncio.gather(*others, return_exceptions=True)
        assert threading.active_count() <= threads + 1
        with pytest.raises(psycopg.errors.LockNotAvailable):
            await first
        return [*told, await sessions.ask(ANN, _one)]  # the place is free again

    *sent_away, last = asyncio.run(ask())
    assert {type(error) for error in sent_away} == {Busy}
    assert last == (1,)


def test_of_one_user_only_so_many_wait(blocked):
    async def ask() -> list[Any]:
        sessions = Sessions(2, patience=20, waiting=1)
        asked = [asyncio.create_task(sessions.ask(ANN, blocked)) for _ in range(20)]
        return await asyncio.gather(*asked, return_exceptions=True)

    first, second, *sent_away = asyncio.run(ask())
    assert [type(e) for e in (first, second)] == [psycopg.errors.LockNotAvailable] * 2
    assert [type(e) for e in sent_away] == [Busy] * 18


def test_one_user_has_no_more_than_half_of_them(blocked):
    async def ask() -> Any:
        sessions = Sessions(4, patience=0.5)
        greedy = [asyncio.create_task(sessions.ask(ANN, blocked)) for _ in range(20)]
        await asyncio.sleep(0.1)
        told = await sessions.ask(BEN, _one)
        errors = await asyncio.gather(*greedy, return_exceptions=True)
        assert [type(error) for error in errors].count(psycopg.errors.LockNotAvailable) == 2
        return told

    assert asyncio.run(ask()) == (1,)


def test_who_had_to_wait_for_a_session_has_all_its_time(asking):
    def slow(connection: Connection, *_: object) -> Any:
        return connection.execute("SELECT 1 FROM pg_sleep(0.4)").fetchone()

    async def ask() -> list[Any]:
        sessions = Sessions(1, patience=0.9)
        return await asyncio.gather(*[sessions.ask(ANN, slow) for _ in range(2)])

    assert asyncio.run(ask()) == [(1,), (1,)]


def test_its_place_is_free_again_after_an_error(airflow_conn, nightly):
    airflow_conn(as_role(nightly.conninfo, "no_such_role"))

    async def ask() -> list[Any]:
        sessions = Sessions(1, patience=5)
        asked = [sessions.ask(ANN, _one) for _ in range(3)]
        return await asyncio.gather(*asked, return_exceptions=True)

    for error in asyncio.run(ask()):
        assert isinstance(error, CannotConnect)
        assert "no_such_role" in str(error)
