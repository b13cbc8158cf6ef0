"""The page's session: it can only read, never waits long, and never takes the server's threads."""

from __future__ import annotations

import threading
from dataclasses import replace

import psycopg
import pytest

from feature_store.errors import CannotConnect
from feature_store.page import database
from feature_store.page.database import read_only
from feature_store.settings import Settings
from sandbox.roles import PAGE, as_role


@pytest.fixture
def asking(nightly, airflow_conn):
    """Of a superuser's session: what keeps it from writing is not a missing privilege."""
    airflow_conn(nightly.conninfo)
    return Settings()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM feature_store_audit.run_log",
        "UPDATE feature_store_audit.lease SET token = token",
        "CREATE TABLE public.mine (x integer)",
        "REFRESH MATERIALIZED VIEW ml.tom_features_v1_mv",
        "SELECT nextval('feature_store_audit.refresh_refresh_id_seq')",
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


def test_when_too_many_wait_the_next_is_sent_away(asking, monkeypatch):
    monkeypatch.setattr(database, "_SESSIONS", threading.BoundedSemaphore(1))
    monkeypatch.setattr(database, "_PATIENCE", 0.1)
    with (
        read_only(asking),
        pytest.raises(CannotConnect, match="Too many"),
        read_only(asking),
    ):
        pass
    with read_only(asking) as connection:  # and the place is free again
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_its_place_is_free_again_after_an_error(airflow_conn, nightly, monkeypatch):
    monkeypatch.setattr(database, "_SESSIONS", threading.BoundedSemaphore(1))
    airflow_conn(as_role(nightly.conninfo, "no_such_role"))
    for _ in range(2):
        with pytest.raises(CannotConnect, match="no_such_role"), read_only(Settings()):
            pass
