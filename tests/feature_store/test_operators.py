"""What becomes of a task whose SQL is stopped, and of one that runs by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowFailException

from feature_store.operators import RefreshOperator, StoreOperator, SuiteOperator


class Sleeper(StoreOperator):
    """A task that keeps the server busy."""

    def work(self, connection: Any, settings: Any, context: Any) -> None:
        connection.execute("SELECT pg_sleep(60)")


@pytest.fixture
def context() -> Any:
    return {"ti": SimpleNamespace(xcom_push=lambda **_: None)}


@pytest.fixture
def sleeper(store_database: str, airflow_conn: Any) -> Sleeper:
    airflow_conn(store_database)
    return Sleeper(task_id="sleeper")


@contextmanager
def while_it_sleeps(conninfo: str, act: Callable[[psycopg.Connection[Any], int], object]) -> Any:
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
    """Its machine goes down, say. Of a task that a person stops Airflow knows already."""
    with (
        while_it_sleeps(store_database, lambda *_: sleeper.on_kill()),
        pytest.raises(psycopg.errors.QueryCanceled),
    ):
        sleeper.execute(context)


def test_a_statement_that_somebody_cancels_on_the_server_is_not_tried_again(
    sleeper: Sleeper, context: Any, store_database: str
) -> None:
    def cancel(other: psycopg.Connection[Any], pid: int) -> None:
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
    """It may be cleared days after `prepare` looked."""
    with psycopg.connect(store_database, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION public.yes(n int) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN true"
        )
        connection.execute(
            'CREATE INDEX odd ON "iPhone".iphone_listings (price) WHERE public.yes(price)'
        )
    airflow_conn(store_database)
    run = SimpleNamespace(dag_id="dag", run_id="run", run_type=SimpleNamespace(value="manual"))
    context = {"ti": SimpleNamespace(xcom_push=lambda **_: None), "dag_run": run, "params": {}}
    with pytest.raises(AirflowFailException, match="its index odd uses"):
        task.execute(context)  # type: ignore[arg-type]
