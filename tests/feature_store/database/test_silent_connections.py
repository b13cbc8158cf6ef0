"""A connection that falls silent holds nothing for long, and its task is tried again."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from feature_store.audit.lease import RunKey, take_lease
from feature_store.audit.runs import open_run
from feature_store.connection import Connection
from feature_store.database.session import connect, pin
from feature_store.declarations.store_definition import Store
from feature_store.errors import CannotConnect, passes_on_its_own
from feature_store.operators.tasks import RefreshOperator
from feature_store.schema.apply import apply
from feature_store.settings import Settings
from sandbox.server import (
    available_versions,
    folder_for_servers,
    start_server,
    stop_server,
)
from tests.conftest import ROOT
from tests.network import Network, need_networks
from tests.relations import A

pytestmark = pytest.mark.server

REFRESH_A = f"REFRESH MATERIALIZED VIEW {A}".encode()
SILENCE = 3
# The rest is for two kernels and a check of the server, on a busy machine.
BOUND = SILENCE + 12
RUN = RunKey("feature_store_refresh", "silent")


@dataclass
class Cable:
    """A store on a machine of its own, and the cable to it.

    Attributes:
        network: the machines, with the cable between them.
        conninfo: how the client's machine connects.
        here: a session beside the server, which needs no cable.
    """

    network: Network
    conninfo: str
    here: Connection


@pytest.fixture(scope="module", params=available_versions(), ids=lambda version: f"pg{version}")
def _cable(
    request: pytest.FixtureRequest, store_files: Store, settings: Settings
) -> Iterator[Cable]:
    need_networks()
    network = Network()
    with folder_for_servers("feature-store-silent-") as home:
        data = home / "data"
        start_server(data, request.param)
        stop_server(data)
        trusted = "host all all 10.0.0.0/8 trust\n"
        (data / "pg_hba.conf").write_text(f"local all all trust\n{trusted}")
        by_tcp = {"listen_addresses": network.server_address}
        server = network.server.run(lambda: start_server(data, request.param, by_tcp))
        with psycopg.connect(server.conninfo, autocommit=True) as here:
            here.execute((ROOT / "sandbox" / "sources.sql").read_bytes())
            pin(here, settings, "tests")
            apply(here, store_files, settings)
            here.execute(REFRESH_A)
            open_run(here, RUN, "manual", date(2026, 6, 30), "UTC")
            conninfo = make_conninfo(server.conninfo, host=network.server_address)
            yield Cable(network, conninfo, here)
        stop_server(data)
    network.close()


@pytest.fixture
def cable(_cable: Cable, airflow_conn: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cable]:
    """The cable, plugged, with everything set for a silence of some seconds."""
    airflow_conn(_cable.conninfo)
    monkeypatch.setenv("FEATURE_STORE_SILENCE_TIMEOUT", str(SILENCE))
    monkeypatch.setenv("FEATURE_STORE_CONNECT_TIMEOUT", "2")
    yield _cable
    _cable.network.plug()
    # End the sessions that have not been given up yet.
    _cable.here.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )


@pytest.fixture
def impatient() -> Settings:
    return Settings(silence_timeout=SILENCE, connect_timeout=2)


def a_context() -> Any:
    """What Airflow gives a task, where no other run asks for anything."""
    run_type = SimpleNamespace(value="scheduled")
    run = SimpleNamespace(dag_id=RUN.dag_id, run_id=RUN.run_id, run_type=run_type)

    def state_of(_dag_id: str, run_id: str) -> str:
        return "running" if run_id == RUN.run_id else "success"

    ti = SimpleNamespace(xcom_push=lambda **_: None, get_dagrun_state=state_of)
    return {"dag_run": run, "ti": ti, "params": {"refresh_unchanged": True}}


@pytest.fixture
def refresh_slowly(cable: Cable, tmp_path: Path, settings: Settings, monkeypatch: Any) -> Any:
    """A task that refreshes A, and then takes long to find its witness."""
    shutil.copytree(settings.include_dir, tmp_path / "include")
    witness = tmp_path / "include" / "sql" / "witness" / f"{A}.sql"
    witness.write_text("SELECT pg_catalog.pg_sleep(600)")
    monkeypatch.setenv("FEATURE_STORE_INCLUDE_DIR", str(tmp_path / "include"))
    return RefreshOperator(task_id="a", relation=A)


def on(machine: Any, work: Callable[[], Any]) -> Future[Any]:
    """Start something on a machine, without waiting for it."""
    waiting = ThreadPoolExecutor(max_workers=1)
    future = waiting.submit(lambda: machine.run(work))
    waiting.shutdown(wait=False)
    return future


def wait_for(here: Connection, query: str) -> None:
    for _ in range(500):
        if here.execute(query.encode()).fetchone():
            return
        time.sleep(0.02)
    pytest.fail(f"it never came: {query}")


SLEEPS = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"


def seconds_of(work: Callable[[], Any]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def read_a(here: Connection) -> None:
    here.execute(f"SET lock_timeout = '{BOUND}s'".encode())
    here.execute(f"SELECT count(*) FROM {A}".encode())


def test_a_cable_pulled_in_the_middle_of_a_blocking_refresh_keeps_nobody_waiting(
    cable: Cable, refresh_slowly: RefreshOperator
) -> None:
    task = on(cable.network.client, lambda: refresh_slowly.execute(a_context()))
    wait_for(cable.here, SLEEPS)
    cable.network.pull()
    assert seconds_of(lambda: read_a(cable.here)) < BOUND
    another = RunKey(RUN.dag_id, "another")
    lease = take_lease(cable.here, another, lambda _: True, timedelta(0))
    assert lease.holder == another
    error = task.exception(timeout=BOUND)
    assert isinstance(error, psycopg.OperationalError)
    assert passes_on_its_own(error)
    assert cable.here.execute("SELECT count(*) FROM feature_store_audit.refresh").fetchone() == (0,)


def test_a_cable_pulled_between_two_statements_keeps_nobody_waiting(
    cable: Cable, impatient: Settings
) -> None:
    connection = cable.network.client.run(lambda: connect(impatient, "tests"))
    connection.execute("BEGIN")
    connection.execute(REFRESH_A)
    cable.network.pull()
    assert seconds_of(lambda: read_a(cable.here)) < BOUND
    cable.network.plug()
    with pytest.raises(psycopg.OperationalError) as caught:
        connection.execute("SELECT 1")
    assert passes_on_its_own(caught.value)


def test_a_server_that_falls_silent_is_given_up_by_its_client(
    cable: Cable, impatient: Settings
) -> None:
    connection = cable.network.client.run(lambda: connect(impatient, "tests"))
    sleeping = on(cable.network.client, lambda: connection.execute("SELECT pg_sleep(60)"))
    wait_for(cable.here, SLEEPS)
    cable.network.pull()
    began = time.monotonic()
    error = sleeping.exception(timeout=BOUND)
    assert time.monotonic() - began < BOUND
    assert isinstance(error, psycopg.OperationalError)
    assert passes_on_its_own(error)


def test_a_task_that_is_stopped_while_its_server_is_silent_ends_all_the_same(
    cable: Cable, refresh_slowly: RefreshOperator
) -> None:
    task = on(cable.network.client, lambda: refresh_slowly.execute(a_context()))
    wait_for(cable.here, SLEEPS)
    cable.network.pull()
    cable.network.client.run(refresh_slowly.on_kill)  # which does not reach the server
    assert isinstance(task.exception(timeout=BOUND), psycopg.OperationalError)


def test_a_server_that_cannot_be_reached_is_given_up_after_the_connect_timeout(
    cable: Cable, impatient: Settings
) -> None:
    cable.network.pull()
    began = time.monotonic()
    error = on(cable.network.client, lambda: connect(impatient, "tests")).exception(timeout=60)
    assert isinstance(error, CannotConnect)
    assert time.monotonic() - began < BOUND


def test_a_server_that_accepts_and_never_speaks_is_given_up_after_the_connect_timeout(
    airflow_conn: Any, impatient: Settings
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        airflow_conn(f"host=127.0.0.1 port={mute.getsockname()[1]} user=x dbname=x")
        began = time.monotonic()
        with pytest.raises(CannotConnect) as caught:
            connect(impatient, "tests")
        assert time.monotonic() - began < BOUND
    assert passes_on_its_own(caught.value)


def test_a_client_that_is_paused_in_a_transaction_keeps_nobody_waiting_and_is_tried_again(
    store_database: str, airflow_conn: Any, settings: Settings
) -> None:
    airflow_conn(store_database)
    connection = connect(replace(settings, idle_transaction_timeout=1), "tests")
    connection.execute(REFRESH_A)
    connection.execute("BEGIN")
    connection.execute(REFRESH_A)
    with psycopg.connect(store_database) as other:
        assert seconds_of(lambda: read_a(other)) < BOUND
    with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout) as caught:
        connection.execute("SELECT 1")
    assert passes_on_its_own(caught.value)


def test_both_ends_are_told_unless_the_connection_says_otherwise(
    cable: Cable, airflow_conn: Any
) -> None:
    settings = Settings(silence_timeout=30, connect_timeout=9, idle_transaction_timeout=40)

    def seen() -> tuple[dict[str, str], dict[str, str]]:
        connection = connect(settings, "tests")
        with connection:
            ours = connection.info.get_parameters()
            rows = connection.execute(
                "SELECT name, current_setting(name) FROM pg_settings "
                "WHERE name LIKE 'tcp%' OR name LIKE 'idle_in%'"
            ).fetchall()
        return {k: v for k, v in ours.items() if "keepal" in k or "timeout" in k}, dict(rows)

    client, server = cable.network.client.run(seen)
    assert client == {
        "connect_timeout": "9",
        "keepalives": "1",
        "keepalives_idle": "10",
        "keepalives_interval": "10",
        "keepalives_count": "2",
        "tcp_user_timeout": "30000",
    }
    assert server == {
        "tcp_keepalives_idle": "10",
        "tcp_keepalives_interval": "10",
        "tcp_keepalives_count": "2",
        "tcp_user_timeout": "30000",
        "idle_in_transaction_session_timeout": "40s",
    }
    airflow_conn(cable.conninfo, keepalives_idle=7, tcp_user_timeout="0", connect_timeout=None)
    client, _ = cable.network.client.run(seen)
    assert client["keepalives_idle"] == "7"
    assert client["tcp_user_timeout"] == "0"
    assert client["connect_timeout"] == "9"
