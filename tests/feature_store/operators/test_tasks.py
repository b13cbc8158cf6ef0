"""What becomes of a task whose SQL is stopped, and of one that runs by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowTaskTimeout,
)
from airflow.sdk.execution_time.timeout import timeout

from feature_store.audit.lease import RunKey, take_lease, under_lease
from feature_store.connection import Connection
from feature_store.errors import CannotConnect
from feature_store.operators import suite_steps
from feature_store.operators.store_operator import StoreOperator
from feature_store.operators.tasks import PrepareOperator, RefreshOperator, SuiteOperator
from feature_store.reporting.run.task_causes import CAUSE
from sandbox.server import folder_for_servers, start_server, stop_server


class Sleeper(StoreOperator):
    """A task that keeps the server busy."""

    def work(self, connection: Any, settings: Any, context: Any) -> None:
        connection.execute("SELECT pg_sleep(60)")


class SleeperUnderLease(Sleeper):
    """It does so where a refresh, a check of history and a certification work."""

    def work(self, connection: Any, settings: Any, context: Any) -> None:
        lease = take_lease(connection, RunKey("a", "run"), lambda _: True, timedelta(0))
        under_lease(connection, lease, lambda: connection.execute("SELECT pg_sleep(60)"))


@pytest.fixture
def context() -> Any:
    left: dict[str, Any] = {}
    run = SimpleNamespace(
        dag_id="feature_store_refresh",
        run_id="a run",
        run_type=SimpleNamespace(value="scheduled"),
        logical_date=datetime(2026, 6, 30, tzinfo=UTC),
        run_after=datetime(2026, 6, 30, tzinfo=UTC),
    )
    ti = SimpleNamespace(
        xcom_push=lambda key, value: left.update({key: value}),
        left=left,
        get_dagrun_state=lambda *_: "running",
        try_number=1,
    )
    return {"ti": ti, "dag_run": run, "params": {}}


@pytest.fixture
def sleeper(store_database: str, airflow_conn: Any) -> Sleeper:
    airflow_conn(store_database)
    return Sleeper(task_id="sleeper")


@contextmanager
def while_it_sleeps(conninfo: str, act: Callable[[Connection, int], object]) -> Any:
    """Do something to the sleeping session, of which the process id is given."""

    def wait_and_act() -> None:
        with psycopg.connect(conninfo, autocommit=True) as other:
            for _ in range(500):
                row = other.execute(
                    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
                    "AND query LIKE 'SELECT pg_sleep%' AND state = 'active'"
                ).fetchone()
                if row:
                    act(other, row[0])
                    return
                time.sleep(0.02)

    thread = threading.Thread(target=wait_and_act)
    thread.start()
    yield
    thread.join()


def test_a_task_that_is_told_to_stop_may_be_tried_again(
    sleeper: Sleeper, context: Any, store_database: str
) -> None:
    """As when its machine shuts down. A task that a person stops has a state in Airflow already."""
    with (
        while_it_sleeps(store_database, lambda *_: sleeper.on_kill()),
        pytest.raises(psycopg.errors.QueryCanceled),
    ):
        sleeper.execute(context)


def test_a_setting_that_cannot_be_used_is_not_tried_again_and_is_told_to_the_mail(
    context: Any, monkeypatch: Any
) -> None:
    monkeypatch.setenv("FEATURE_STORE_TASK_TIMEOUT", "an hour")
    with pytest.raises(AirflowFailException, match="FEATURE_STORE_TASK_TIMEOUT"):
        Sleeper(task_id="sleeper").execute(context)
    assert "FEATURE_STORE_TASK_TIMEOUT" in context["ti"].left[CAUSE]["text"]


@pytest.mark.parametrize(("lost", "polls"), [(0, 1), (3, 4), (99, 10)])
def test_a_task_that_waits_looks_less_often_the_more_tries_it_has_lost(
    lost: int, polls: int, context: Any, store_database: str, airflow_conn: Any, monkeypatch: Any
) -> None:
    """A scheduler that lags by more than the poll takes the task for lost, which costs a try."""
    with psycopg.connect(store_database, autocommit=True) as other:
        take_lease(other, RunKey("another", "run"), lambda _: True, timedelta(0))
    monkeypatch.setenv("FEATURE_STORE_LEASE_POLL", "20")
    context["ti"].try_number = 1 + lost
    airflow_conn(store_database)
    task = PrepareOperator(task_id="prepare")
    with pytest.raises(AirflowRescheduleException) as caught:
        task.execute(context)
    pause = (caught.value.reschedule_date - datetime.now(UTC)).total_seconds()
    assert pause == pytest.approx(20 * polls, abs=10)
    assert task.retries == 10


def test_a_statement_that_somebody_cancels_on_the_server_is_not_tried_again(
    sleeper: Sleeper, context: Any, store_database: str
) -> None:
    def cancel(other: Connection, pid: int) -> None:
        other.execute("SELECT pg_cancel_backend(%s)", (pid,))

    with while_it_sleeps(store_database, cancel), pytest.raises(AirflowFailException):
        sleeper.execute(context)


@pytest.mark.parametrize(
    "task",
    [
        RefreshOperator(task_id="alone", relation="ml.tom_features_v1_mv"),
        SuiteOperator(task_id="alone", suite="as_of_counts"),
    ],
    ids=["a refresh", "a suite"],
)
def test_a_task_that_runs_by_itself_looks_for_code_of_others_before_it_reads(
    task: StoreOperator, store_database: str, airflow_conn: Any
) -> None:
    """A task may be cleared days after `prepare` looked."""
    with psycopg.connect(store_database, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION public.yes(n int) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN true"
        )
        connection.execute(
            'CREATE INDEX odd ON "iPhone".iphone_listings (price) WHERE public.yes(price)'
        )
    airflow_conn(store_database)
    day = datetime(2026, 6, 30, tzinfo=UTC)
    run = SimpleNamespace(
        dag_id="dag",
        run_id="run",
        run_type=SimpleNamespace(value="manual"),
        logical_date=day,
        run_after=day,
    )
    ti = SimpleNamespace(xcom_push=lambda **_: None, get_dagrun_state=lambda *_: "running")
    context = {"ti": ti, "dag_run": run, "params": {}}
    with pytest.raises(AirflowFailException, match="its index odd uses"):
        task.execute(context)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [Sleeper, SleeperUnderLease])
def test_a_task_that_takes_too_long_is_stopped_with_its_statements_and_says_so(
    kind: type[Sleeper],
    context: Any,
    store_database: str,
    airflow_conn: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Airflow tries it again: the network may have been what hung."""
    airflow_conn(store_database)
    sleeper = kind(task_id="sleeper")
    monkeypatch.setenv("FEATURE_STORE_TASK_TIMEOUT", "1")
    with pytest.raises(AirflowTaskTimeout) as caught, timeout(1):  # as Airflow's own task runner
        sleeper.execute(context)
    words = "sleeper took longer than FEATURE_STORE_TASK_TIMEOUT, 1 seconds."
    assert str(caught.value) == words
    assert context["ti"].left["cause"]["text"] == words
    with psycopg.connect(store_database, autocommit=True) as other:
        sleeps = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        for _ in range(100):
            if other.execute(sleeps).fetchone() == (0,):
                return
            time.sleep(0.05)
    pytest.fail("the server still works for a task that is over")


def test_a_suite_holds_no_transaction_open_while_great_expectations_works(
    context: Any, store_database: str, airflow_conn: Callable[..., None], monkeypatch: Any
) -> None:
    """Importing it alone takes long enough for a database to end an idle transaction."""
    states = []
    run_suite = suite_steps.run_suite

    def look_and_run(*given: Any) -> Any:
        with psycopg.connect(store_database) as other:
            states.extend(
                other.execute(
                    "SELECT state FROM pg_stat_activity WHERE datname = current_database() "
                    "AND application_name = 'feature_store uniqueness'"
                ).fetchall()
            )
        return run_suite(*given)

    monkeypatch.setattr(suite_steps, "run_suite", look_and_run)
    airflow_conn(store_database)
    with pytest.raises(AirflowFailException):  # nothing was refreshed yet, so nothing is checked
        SuiteOperator(task_id="uniqueness", suite="uniqueness").execute(context)
    assert states == [("idle",)]


def test_a_suite_whose_turn_went_to_another_run_meanwhile_records_nothing(
    context: Any, store_database: str, airflow_conn: Callable[..., None], monkeypatch: Any
) -> None:
    def lose_the_turn(*_: Any) -> list[Any]:
        with psycopg.connect(store_database, autocommit=True) as other:
            take_lease(other, RunKey("another", "run"), lambda _: True, timedelta(0))
        return []

    monkeypatch.setattr(suite_steps, "run_suite", lose_the_turn)
    monkeypatch.setattr(suite_steps, "record", lambda *_: pytest.fail("it recorded its findings"))
    airflow_conn(store_database)
    with pytest.raises(AirflowRescheduleException):
        SuiteOperator(task_id="uniqueness", suite="uniqueness").execute(context)


def test_a_standby_is_told_of_and_tried_again(airflow_conn: Any, context: Any) -> None:
    """A failover leaves one behind, and takes a while."""
    with folder_for_servers("standby-") as place:
        start_server(place)
        stop_server(place)
        (place / "standby.signal").touch()
        try:
            airflow_conn(start_server(place).conninfo)
            with pytest.raises(CannotConnect, match="is a standby, which only reads") as caught:
                PrepareOperator(task_id="prepare").execute(context)
        finally:
            stop_server(place)
    assert "target_session_attrs=read-write" in str(caught.value)
