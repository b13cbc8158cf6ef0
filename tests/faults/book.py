"""What the scheduler knows, for all its processes: states of runs and tasks, XComs; in a file."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time.comms import ErrorResponse

DAG_ID = "feature_store_refresh"


class Book:
    """Values by keys. A process that is killed while it writes leaves the value that was there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with closing(self._open()) as file:
            file.execute("CREATE TABLE IF NOT EXISTS book (key TEXT PRIMARY KEY, value TEXT)")

    def put(self, *key: str, value: Any) -> None:
        with closing(self._open()) as file:
            file.execute("REPLACE INTO book VALUES (?, ?)", (json.dumps(key), json.dumps(value)))

    def get(self, *key: str) -> Any:
        with closing(self._open()) as file:
            row = file.execute("SELECT value FROM book WHERE key = ?", (json.dumps(key),))
            found = row.fetchone()
        return json.loads(found[0]) if found else None

    def tasks(self, run: str) -> dict[str, str]:
        """The states of a run's tasks."""
        with closing(self._open()) as file:
            rows = file.execute("SELECT key, value FROM book").fetchall()
        keys = [(json.loads(key), json.loads(value)) for key, value in rows]
        return {key[2]: value for key, value in keys if key[:2] == ["task", run]}

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=30, isolation_level=None)


class TaskInstance:
    """A task instance, as its operator sees it."""

    dag_id, log_url = DAG_ID, "http://localhost:8080/log"

    def __init__(self, book: Book, run_id: str, task_id: str, number: int, retries: int) -> None:
        self._book = book
        self.run_id, self.task_id = run_id, task_id
        self.try_number, self.max_tries = number, retries

    def get_task_states(self, dag_id: str, run_ids: list[str]) -> dict[str, dict[str, str]]:
        return {run: self._book.tasks(run) for run in run_ids}

    def get_dagrun_state(self, dag_id: str, run_id: str) -> str:
        state: str | None = self._book.get("run", run_id)
        if state is None:
            raise AirflowRuntimeError(ErrorResponse(detail={"status_code": 404}))
        return state

    def xcom_pull(self, task_ids: str, key: str, run_id: str = "", **_: Any) -> Any:
        return self._book.get("xcom", run_id or self.run_id, task_ids, key)

    def xcom_push(self, key: str, value: Any) -> None:
        self._book.put("xcom", self.run_id, self.task_id, key, value=value)
