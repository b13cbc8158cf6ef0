"""A run whose record is not there: the next task does what prepare should have, and opens it."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowFailException

from feature_store.audit.lease import RunKey
from feature_store.audit.runs import open_run_once, zone_of
from feature_store.connection import Connection
from feature_store.declarations.store_definition import Store
from feature_store.operators.tasks import RefreshOperator, SuiteOperator
from feature_store.schema.stamps.proof_stamp import stamp_proofs
from feature_store.settings import Settings

_RUN = RunKey("feature_store_refresh", "a run")


@pytest.fixture
def context() -> Any:
    run = SimpleNamespace(
        dag_id=_RUN.dag_id,
        run_id=_RUN.run_id,
        run_type=SimpleNamespace(value="scheduled"),
        logical_date=datetime(2026, 6, 30, 3, 20, tzinfo=UTC),
        run_after=datetime(2026, 6, 30, 3, 20, tzinfo=UTC),
    )
    left: dict[str, Any] = {}
    ti = SimpleNamespace(
        xcom_push=lambda key, value: left.update({key: value}),
        left=left,
        try_number=1,
        get_dagrun_state=lambda *_: "running",
    )
    return {"ti": ti, "dag_run": run, "params": {}}


@pytest.fixture
def store(store_database: str, airflow_conn: Any) -> Any:
    airflow_conn(store_database)
    with psycopg.connect(store_database, autocommit=True) as connection:
        yield connection


each_task = pytest.mark.parametrize(
    "task",
    [
        RefreshOperator(task_id="next", relation="ml.tom_features_v1_mv"),
        SuiteOperator(task_id="next", suite="uniqueness"),
    ],
    ids=["a refresh", "a suite"],
)


@each_task
def test_the_next_task_opens_the_record_that_prepare_did_not(
    task: Any, store: Connection, context: Any
) -> None:
    """As when a person marks prepare as success while it waits."""
    if isinstance(task, RefreshOperator):
        task.execute(context)
    else:
        with pytest.raises(AirflowFailException, match="could not be checked"):
            task.execute(context)  # no layer was refreshed
    runs = store.execute(
        "SELECT run_id, run_type, as_of_day::text FROM feature_store_audit.run_log"
    ).fetchall()
    assert runs == [(_RUN.run_id, "scheduled", "2026-06-30")]


def test_the_next_task_refuses_what_prepare_would_have_and_leaves_a_record(
    store: Connection, context: Any
) -> None:
    store.execute("DROP MATERIALIZED VIEW ml.tom_train_base_v1_mv")
    task = RefreshOperator(task_id="next", relation="ml.tom_features_v1_mv")
    with pytest.raises(AirflowFailException, match="The store cannot be refreshed"):
        task.execute(context)
    assert zone_of(store, _RUN)
    assert store.execute("SELECT FROM feature_store_audit.refresh").fetchall() == []


def test_of_tasks_that_open_it_side_by_side_one_does(
    store: Connection, store_database: str
) -> None:
    together = threading.Barrier(4)

    def open_it() -> None:
        with psycopg.connect(store_database, autocommit=True) as connection:
            together.wait()
            open_run_once(connection, _RUN, "scheduled", date(2026, 6, 30), "UTC")

    tasks = [threading.Thread(target=open_it) for _ in range(4)]
    for task in tasks:
        task.start()
    for task in tasks:
        task.join()
    (count,) = store.execute("SELECT count(*) FROM feature_store_audit.run_log").fetchall()
    assert count == (1,)


@each_task
def test_a_task_in_another_time_zone_than_its_run_does_nothing(
    task: Any, store: Connection, context: Any
) -> None:
    """One machine's settings were changed: its days would be others than the run's."""
    open_run_once(store, _RUN, "scheduled", date(2026, 6, 30), "Asia/Tokyo")
    with pytest.raises(AirflowFailException, match="answers for days in Asia/Tokyo, but here"):
        task.execute(context)
    _nothing_was_done(store)


@each_task
def test_a_task_whose_files_are_not_as_stamped_does_nothing(
    task: Any, store: Connection, context: Any, store_files: Store, settings: Settings
) -> None:
    """A machine has an older folder than the one that `prepare` looked at."""
    stamp_proofs(store, store_files, settings.include_dir)
    store.execute(
        "UPDATE feature_store_audit.proof_inventory_log "
        "SET proofs = jsonb_set(proofs, '{0,digest}', '\"another\"')"
    )
    open_run_once(store, _RUN, "scheduled", date(2026, 6, 30), settings.zone)
    with pytest.raises(AirflowFailException, match="not those that a person stamped"):
        task.execute(context)
    _nothing_was_done(store)


def _nothing_was_done(store: Connection) -> None:
    assert store.execute("SELECT FROM feature_store_audit.refresh").fetchall() == []
    assert store.execute("SELECT FROM feature_store_audit.expectation_log").fetchall() == []
