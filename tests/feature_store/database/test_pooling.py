"""A pooler that gives each transaction another session is refused before anything is pinned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from feature_store.cli.commands import main
from feature_store.database.session import open_session
from feature_store.errors import BadInput
from feature_store.settings import Settings
from tests.pooler import Pooler

SHOW = "SELECT current_setting('TimeZone'), current_setting('application_name')"


def test_transaction_pooling_is_refused_with_the_way_out_and_nothing_reaches_others(
    store_database: str, airflow_conn: Callable[..., None], settings: Settings
) -> None:
    with Pooler(store_database, "transaction") as pooler:
        with psycopg.connect(pooler.conninfo, autocommit=True) as other:
            before = other.execute(SHOW).fetchone()
        airflow_conn(pooler.conninfo)
        with pytest.raises(BadInput) as caught, open_session(settings, "plan"):
            pass
        assert "PgBouncer calls it transaction pooling" in caught.value.problem
        assert "pool_mode = session" in (caught.value.next_step or "")
        for _ in range(pooler.sessions):
            with psycopg.connect(pooler.conninfo, autocommit=True) as other:
                assert other.execute(SHOW).fetchone() == before


def test_the_command_line_refuses_it_as_input(
    store_database: str, airflow_conn: Callable[..., None], capsys: Any
) -> None:
    with Pooler(store_database, "transaction") as pooler:
        airflow_conn(pooler.conninfo)
        assert main(["plan"]) == 2
    assert "transaction pooling" in capsys.readouterr().err


def test_other_applications_that_ask_at_the_same_time_do_not_hide_it(
    store_database: str, airflow_conn: Callable[..., None], settings: Settings
) -> None:
    with Pooler(store_database, "transaction") as pooler:
        others = [psycopg.connect(pooler.conninfo) for _ in range(3)]
        for other in others:
            other.execute("SELECT 1")  # each holds a session
        for other in others:
            other.rollback()
        airflow_conn(pooler.conninfo)
        with pytest.raises(BadInput, match="transaction pooling"), open_session(settings, "x"):
            pass
        for other in others:
            other.close()


def test_session_pooling_is_as_good_as_a_direct_connection(
    store_database: str, airflow_conn: Callable[..., None], settings: Settings
) -> None:
    with Pooler(store_database, "session") as pooler:
        airflow_conn(pooler.conninfo)
        with open_session(settings, "x") as first, open_session(settings, "y") as second:
            for connection, name in ((first, "x"), (second, "y"), (first, "x")):
                assert connection.execute(SHOW).fetchone() == ("UTC", f"feature_store {name}")


def test_a_direct_connection_costs_no_second_one(
    store_database: str,
    airflow_conn: Callable[..., None],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened = []
    connect = psycopg.Connection.connect
    monkeypatch.setattr(
        psycopg.Connection, "connect", lambda **given: opened.append(1) or connect(**given)
    )
    airflow_conn(store_database)
    with open_session(settings, "x"):
        assert len(opened) == 1
