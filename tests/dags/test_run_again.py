"""What a mail and the page say to type after a run failed has that effect on Airflow's record."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from feature_store.errors import BadParameter, RowsLost, StoreError
from feature_store.reporting.page.tasks import RunTasks, read_tasks
from feature_store.reporting.run.account import Account, Cause, FailedTask, account_of_tasks
from feature_store.reporting.run.next_steps import next_steps
from feature_store.reporting.run.run_again import PastRun
from feature_store.settings import Settings

from .conftest import DAG_ID

_RUN = "two_layers_failed"
_GATE = "assert_contract"
_GIVEN = {"as_of_day": "2026-06-05", "accept_shrink": True}


@pytest.fixture
def run(airflow_database: None) -> Iterator[Any]:
    """A run in which two layers failed side by side, as a restart of the database leaves it."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.utils.session import create_session
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    DagBundlesManager().sync_bundles_to_db()
    sync_bag_to_db(DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]), "dags-folder", None)
    moment = datetime(2026, 6, 5, 3, tzinfo=UTC)
    with create_session() as session:
        dag = SerializedDagModel.get_dag(DAG_ID, session=session)
        made = dag.create_dagrun(
            run_id=_RUN,
            logical_date=moment,
            data_interval=(moment, moment),
            run_after=moment,
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.TEST,
            state="failed",
            conf=_GIVEN,
            session=session,
        )
        roots = sorted(
            task.task_id
            for task in dag.tasks
            if task.task_id.startswith("base.") and task.upstream_task_ids == {"prepare"}
        )[:2]
        behind = {t for root in roots for t in dag.get_task(root).get_flat_relative_ids()}
        for task in made.task_instances:
            failed = task.task_id in (*roots, _GATE)
            waited = "upstream_failed" if task.task_id in behind else "success"
            task.state = "failed" if failed else waited
    yield made
    with create_session() as session:
        session.delete(session.get(type(made), made.id))


def _in_airflow() -> RunTasks:
    return read_tasks(DAG_ID, _RUN, may_see=True)


def _type_the_last_step(account: Account, run_type: str) -> None:
    _type_step(-1, account, run_type)


def _type_step(nth: int, account: Account, run_type: str) -> None:
    found = _in_airflow()
    tasks = [task.task_id for task in found.tasks]
    past = PastRun(DAG_ID, found.logical_date, tasks, run_type, found.given)
    command = next_steps(past, account, [], Settings().include_dir)[nth].command
    typed = [sys.executable, "-m", *shlex.split(command)]
    done = subprocess.run(typed, input="y\n", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_all_that_failed_and_all_that_waited_for_it_is_run_again_and_nothing_else(run: Any) -> None:
    before = {task.task_id: task.state for task in _in_airflow().tasks}
    assert {"failed", "upstream_failed", "success"} == set(before.values())
    _type_the_last_step(account_of_tasks(before, _GATE), "manual")
    after = {task.task_id: task.state for task in _in_airflow().tasks}
    assert after == {t: state if state == "success" else None for t, state in before.items()}
    assert (after["prepare"], after[_GATE]) == ("success", None)


def test_a_run_of_a_backfill_is_run_again_as_a_whole_with_what_it_was_given(run: Any) -> None:
    _type_the_last_step(Account("It cannot be certified.", kind="NotReady"), "backfill")
    assert {task.state for task in _in_airflow().tasks} == {None}
    assert _in_airflow().given == _GIVEN


@pytest.fixture
def of_backfill(run: Any) -> Iterator[None]:
    """The run, as one that a backfill made for a night of the schedule."""
    from airflow.models import DagRun
    from airflow.models.backfill import Backfill, BackfillDagRun
    from airflow.utils.session import create_session
    from airflow.utils.types import DagRunType
    from sqlalchemy import delete, update

    of_the_night = datetime(2026, 6, 5, 1, 20, tzinfo=UTC)
    values = {"logical_date": of_the_night, "run_type": DagRunType.BACKFILL_JOB}
    with create_session() as session:
        session.execute(update(DagRun).where(DagRun.id == run.id).values(**values))
    yield
    with create_session() as session:
        session.execute(update(DagRun).where(DagRun.id == run.id).values(backfill_id=None))
        session.execute(delete(BackfillDagRun))
        session.execute(delete(Backfill))


@pytest.mark.parametrize(
    ("cause", "nth", "conf"),
    [
        (RowsLost("x"), 0, _GIVEN),
        (BadParameter("x"), -1, {"accept_shrink": True}),
    ],
)
def test_a_backfill_that_is_created_again_takes_the_failed_run_and_gives_it_what_it_needs(
    run: Any, of_backfill: None, cause: StoreError, nth: int, conf: dict[str, Any]
) -> None:
    """Airflow says that it worked also where it leaves the run out, as it does by itself."""
    account = Account(failed=(FailedTask("prepare", Cause.of(cause)),))
    _type_step(nth, account, "backfill")
    assert {task.state for task in _in_airflow().tasks} == {None}
    assert _in_airflow().given == conf


def test_a_run_whose_tasks_nobody_may_see_is_not_known_to_have_been_given_anything(
    run: Any,
) -> None:
    assert read_tasks(DAG_ID, _RUN, may_see=False).given is None
    assert read_tasks(DAG_ID, "another", may_see=True).given is None
