"""Progress of a running DAG, task by task, read from Airflow's own database."""

from __future__ import annotations

import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

_POLL_SECONDS = 0.2
_ENDED = ("success", "failed", "upstream_failed", "skipped")
_MARKS = {"success": "✓", "failed": "✗"}


def follow(process: subprocess.Popen[bytes], airflow_db: Path) -> None:
    """Print each task of the newest run as it ends, until the process has ended."""
    before = _newest_run(airflow_db)
    started = time.monotonic()
    shown: set[str] = set()
    ended = False
    while not ended:
        ended = process.poll() is not None
        run = _newest_run(airflow_db)
        for task, state in _ended_tasks(airflow_db, run) if run != before else []:
            if task not in shown:
                shown.add(task)
                mark = _MARKS.get(state, "·")
                print(f"  {time.monotonic() - started:6.1f} s  {mark} {task}", flush=True)
        if not ended:
            time.sleep(_POLL_SECONDS)


def _newest_run(airflow_db: Path) -> int:
    return int(_query(airflow_db, "SELECT coalesce(max(id), 0) FROM dag_run")[0][0])


def _ended_tasks(airflow_db: Path, run: int) -> list[tuple[str, str]]:
    rows = _query(
        airflow_db,
        "SELECT t.task_id, t.state FROM task_instance AS t "
        "JOIN dag_run AS r ON t.dag_id = r.dag_id AND t.run_id = r.run_id "
        "WHERE r.id = ? ORDER BY t.end_date",
        run,
    )
    return [(task, state) for task, state in rows if state in _ENDED]


def _query(airflow_db: Path, query: str, *values: object) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(f"file:{airflow_db}?mode=ro", uri=True, timeout=10)) as connection:
        return connection.execute(query, values).fetchall()
