"""What a run of a backfill has of its own, a run's parameters, and its lease."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.utils.types import DagRunType

from feature_store.audit.lease import RunKey, take_lease
from feature_store.errors import BadParameter, LeaseTaken, RunOver
from feature_store.operators.airflow_run import (
    as_of_day_of,
    asked_by,
    check_parameters,
    take_run_lease,
)
from feature_store.reporting.mail.airflow_facts import day_of
from feature_store.settings import Settings

_STARTED = datetime(2026, 6, 30, 9, tzinfo=UTC)


def _context(run_type: DagRunType):
    run = SimpleNamespace(
        run_type=run_type, start_date=_STARTED, run_after=_STARTED, logical_date=_STARTED
    )
    return {"dag_run": run}


@pytest.mark.parametrize(
    "run_type", [kind for kind in DagRunType if kind is not DagRunType.BACKFILL_JOB], ids=str
)
def test_any_run_but_a_backfills_uses_only_what_has_not_changed(run_type, store_db):
    assert asked_by(store_db.connection, _context(run_type)) is None
    assert store_db.rows("SELECT FROM feature_store_audit.asking_log") == []


def test_one_day_for_all_runs_of_a_backfill_is_refused():
    context = {**_context(DagRunType.BACKFILL_JOB), "params": {"as_of_day": "2026-06-12"}}
    with pytest.raises(BadParameter, match="runs for the days of its range"):
        as_of_day_of(context, Settings())
    assert day_of(context, Settings()) is None  # its mail names no day
    for given in ({"as_of_date": "2026-06-12"}, {"accept_shrink": 1}):
        with pytest.raises(BadParameter, match="Create the backfill again"):
            check_parameters({**context, "params": given}, Settings())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"as_of_date": "2026-06-12"}, "the unknown parameter as_of_date."),
        ({"refresh_unchanged": "no"}, "refresh_unchanged is 'no'; expected true or false."),
        ({"accept_shrink": 1}, "accept_shrink is 1; expected true or false."),
        ({"refresh_unchanged": None}, "refresh_unchanged is None; expected true or false."),
        ({"as_of_day": "2999-01-01"}, "as-of day is 2999-01-01; expected 1900-01-01 to 2026-06-30"),
        ({"as_of_day": 20260612}, "as_of_day is 20260612; expected a day as YYYY-MM-DD."),
    ],
)
def test_a_parameter_that_cannot_be_used_is_refused(given, words):
    context = _manual(given)
    with pytest.raises(BadParameter) as caught:
        check_parameters(context, Settings())
    assert words in caught.value.problem


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"as_of_day": None, "refresh_unchanged": False},
        {"accept_shrink": True},
        {"as_of_day": "2026-06-12"},
    ],
)
def test_the_parameters_as_the_form_gives_them_are_taken(given):
    check_parameters(_manual(given), Settings())


def _manual(params):
    run = SimpleNamespace(run_type=DagRunType.MANUAL, logical_date=None, run_after=_STARTED)
    return {"dag_run": run, "params": params}


def _of_airflow(state: str):
    """What a task knows of its run, where Airflow tells this state of any run."""
    return {
        "dag_run": SimpleNamespace(dag_id="feature_store_refresh", run_id="monday"),
        "ti": SimpleNamespace(get_dagrun_state=lambda dag_id, run_id: state),
    }


@pytest.mark.parametrize("state", ["success", "failed"])
def test_a_task_that_wakes_up_after_its_run_is_over_has_no_turn(store_db, state):
    """The task was paused before its turn, and another run may have certified since."""
    with pytest.raises(RunOver, match="run monday has ended"):
        take_run_lease(store_db.connection, Settings(), _of_airflow(state))
    assert store_db.rows("SELECT token, run_id FROM feature_store_audit.lease") == [(0, None)]


def test_a_task_of_a_run_that_goes_on_has_its_turn_again(store_db):
    first = take_run_lease(store_db.connection, Settings(), _of_airflow("running"))
    assert take_run_lease(store_db.connection, Settings(), _of_airflow("running")) == first
    again = take_run_lease(store_db.connection, Settings(), _of_airflow("success"))
    assert again == first, "it has it"


def test_a_run_of_the_name_that_the_dag_had_before_keeps_the_lease_for_a_while_only(store_db):
    """Airflow looks after no run of a DAG that is gone: it says "running" for ever."""
    take_lease(store_db.connection, RunKey("earlier_name", "sunday"), lambda _: True, timedelta(0))
    with pytest.raises(LeaseTaken):
        take_run_lease(store_db.connection, Settings(), _of_airflow("running"))
    grace = Settings().lease_grace + 1
    store_db.run(
        f"UPDATE feature_store_audit.lease SET seen_at = seen_at - interval '{grace} seconds'"
    )
    assert take_run_lease(store_db.connection, Settings(), _of_airflow("running"))
