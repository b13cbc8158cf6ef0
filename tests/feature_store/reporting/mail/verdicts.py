"""The verdict's task of a failed run: in this process, or in one of its own that can be killed."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parents[4]
DAG, FAILED = "feature_store_refresh", "the run that fails"


class Instance:
    """A task instance of Airflow's: its tries, the tasks of its run, XComs, states of runs."""

    dag_id, log_url = DAG, "http://localhost:8080/log"

    def __init__(self, run_id: str, task_id: str, try_number: int, max_tries: int) -> None:
        self.run_id, self.task_id = run_id, task_id
        self.try_number, self.max_tries = try_number, max_tries
        self.xcoms: dict[Any, Any] = {}
        self.runs: dict[str, str] = {FAILED: "failed"}

    def get_task_states(self, dag_id: str, run_ids: list[str]) -> Any:
        return {run: {"base.x": "failed", "prepare": "success"} for run in run_ids}

    def get_dagrun_state(self, dag_id: str, run_id: str) -> str:
        return "running" if run_id == self.run_id else self.runs.get(run_id, "success")

    def xcom_pull(self, task_ids: str, key: str, run_id: str = "", **_: Any) -> Any:
        return self.xcoms.get((run_id or self.run_id, task_ids, key))

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[self.run_id, self.task_id, key] = value


def context_of(
    task: Any, run_id: str = FAILED, try_number: int = 4, max_tries: int = 3
) -> dict[str, Any]:
    run = SimpleNamespace(
        dag_id=DAG,
        run_id=run_id,
        logical_date=None,
        run_after=datetime(2026, 6, 30, 1, 20, tzinfo=UTC),
        run_type=SimpleNamespace(value="manual"),
        conf={},
    )
    ti = Instance(run_id, task.task_id, try_number, max_tries)
    return {"ti": ti, "dag_run": run, "params": {}, "task": task, "outlet_events": {}}


def give_verdict(try_number: int = 4, max_tries: int = 3) -> dict[str, Any]:
    """Let the verdict's task of the failed run do one try; returns its context."""
    from airflow.sdk.exceptions import AirflowFailException

    from feature_store.operators.verdict import AssertContractOperator

    task = AssertContractOperator(task_id="assert_contract")
    context = context_of(task, FAILED, try_number, max_tries)
    try:
        task.execute(context)  # type: ignore[arg-type]
    except AirflowFailException:
        return context
    raise AssertionError("it did not fail")


def start_verdict(try_number: int = 4) -> subprocess.Popen[bytes]:
    """Let it do one try in a process of its own, which may be killed."""
    code = (
        "from tests.feature_store.reporting.mail.verdicts import give_verdict; "
        f"give_verdict({try_number})"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"PYTHONPATH": f"plugins:{ROOT}"}
    )


def prepare_next(run_id: str = "the next run", **xcoms: str) -> dict[str, Any]:
    """Let prepare of a later run work until it is done or fails; returns its context."""
    from airflow.sdk.exceptions import AirflowFailException

    from feature_store.operators.tasks import PrepareOperator

    task = PrepareOperator(task_id="prepare")
    context = context_of(task, run_id, 1, 3)
    for key, value in xcoms.items():
        context["ti"].xcoms[FAILED, "assert_contract", key] = value
    with suppress(AirflowFailException):
        task.execute(context)  # type: ignore[arg-type]
    return context
