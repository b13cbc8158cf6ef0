"""The cost of a DAG run besides its SQL: a timeline of every task on a real scheduler.

``python -m bench.orchestration --listings 30000`` starts Airflow's components with the settings
that we ship, on PostgreSQL metadata. A first run fills the store; the second is measured and does
what a night does: everything refreshed, read layers concurrently. The whole run is compared with
the SQL on its critical path: the heaviest way through the DAG, by the seconds that the audit
tables hold.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from feature_store.database.session import pin
from feature_store.declarations.store_definition import read_store
from feature_store.schema.first_start import bootstrap
from feature_store.settings import Settings
from sandbox.airflow_api import DAG_ID, wait_until
from sandbox.components import Components, on_postgres
from sandbox.home import HOME, SERVERS, make_home
from sandbox.load import load_sample
from sandbox.sample.options import SampleOptions
from sandbox.server import Server, start_server, stop_server

ALLOWED = 25.0
"""Seconds that a run may take besides the SQL on its critical path."""

_PLACE = HOME / "orchestration"
_POSTGRES = SERVERS / "orchestration" / "postgres"
_NIGHT = "night"
_WAIT = 3600
_LOGGED = re.compile(r"feature_store (?P<task>\S+)\|LOG: +duration: (?P<ms>[0-9.]+) ms")

# The task of each refresh, proof and expectation is found by its relation or its suite.
_SQL_SECONDS = """
SELECT split_part(r.relation, '.', 2) AS task, sum(r.seconds + coalesce(p.seconds, 0))
FROM feature_store_audit.refresh AS r
LEFT JOIN feature_store_audit.proof_log AS p ON r.refresh_id = p.refresh_id
WHERE r.run_id = %(run)s GROUP BY r.relation
UNION ALL
SELECT 'as_of_counts', coalesce(sum(p.seconds), 0)
FROM feature_store_audit.proof_log AS p
INNER JOIN feature_store_audit.latest_suite AS s ON p.suite_event = s.event_id
WHERE s.run_id = %(run)s
UNION ALL
SELECT suite, sum(seconds)
FROM feature_store_audit.expectation WHERE run_id = %(run)s GROUP BY suite
"""


@dataclass(frozen=True)
class TaskTime:
    """How long a task was under way, in seconds since its run began.

    Attributes:
        task: its id.
        ready: when everything it waits for was done.
        queued: when the scheduler gave it to the executor.
        started: when it was reported to run.
        ended: when it was reported done.
        sql: the seconds of its SQL that the audit tables hold.
        server: the seconds of all its statements, by the server's log.
    """

    task: str
    ready: float
    queued: float
    started: float
    ended: float
    sql: float
    server: float

    @property
    def beside(self) -> float:
        """The time from ready to done, without its SQL."""
        return self.ended - self.ready - self.sql


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; exit code 1 if the run took more than allowed, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="bench.orchestration", description=__doc__)
    parser.add_argument("--listings", type=int, default=30_000)
    parser.add_argument("--days", type=int, default=SampleOptions.days)
    options = parser.parse_args(arguments)
    try:
        sample = SampleOptions(options.listings, options.days)
    except ValueError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    print(f"The machine's load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.")
    with _store(sample) as (conninfo, metadata):
        airflow = Components(_fresh(_PLACE / "airflow"), on_postgres(conninfo, metadata))
        try:
            airflow.start()
            overhead = _measure(airflow, conninfo)
        finally:
            airflow.stop()
    return 0 if overhead <= ALLOWED else 1


def _measure(airflow: Components, conninfo: str) -> float:
    # Unpaused, the DAG starts its latest missed run by itself: that one fills the store.
    wait_until(lambda: bool(airflow.runs()), 60, airflow.logs)
    (first,) = airflow.runs()
    _succeeds(airflow, first)
    log = _POSTGRES / "log"
    before = log.stat().st_size
    airflow.trigger(_NIGHT, refresh_unchanged=True)
    _succeeds(airflow, _NIGHT)
    with log.open(errors="replace") as file:
        file.seek(before)
        server = statement_seconds(file)
    return _report(airflow, _sql_seconds(conninfo), server)


def _succeeds(airflow: Components, run_id: str) -> None:
    state = airflow.wait_for_run(run_id, _WAIT)
    if state != "success":
        raise RuntimeError(f"The run {run_id} ended as {state}.\n{airflow.logs()}")


def _report(airflow: Components, sql: Mapping[str, float], server: Mapping[str, float]) -> float:
    """Print the timeline and the total; return the seconds besides the critical path's SQL."""
    run = airflow.call("GET", f"dags/{DAG_ID}/dagRuns/{_NIGHT}")
    tasks = airflow.call("GET", f"dags/{DAG_ID}/tasks")["tasks"]
    below = {task["task_id"]: task["downstream_task_ids"] for task in tasks}
    path = f"dags/{DAG_ID}/dagRuns/{_NIGHT}/taskInstances?limit=100"
    found = airflow.call("GET", path)["task_instances"]
    began = _moment(run["queued_at"])
    times = _times(found, below, began, sql, server)
    critical = critical_path({t.task: t.sql for t in times}, below)
    heads = ("ready", "queued", "start", "end", "SQL", "beside", "server")
    print(f"{'task':44} " + " ".join(f"{head:>7}" for head in heads))
    for t in sorted(times, key=lambda t: t.ended):
        numbers = (t.ready, t.queued, t.started, t.ended, t.sql, t.beside, t.server)
        mark = "*" if t.task in critical else " "
        print(f"{mark}{t.task:43} " + " ".join(f"{n:7.2f}" for n in numbers))
    total = (_moment(run["end_date"]) - began).total_seconds()
    audited = sum(t.sql for t in times if t.task in critical)
    logged = sum(t.server for t in times if t.task in critical)
    print(
        f"* on the critical path. Whole run {total:.1f} s. SQL on the critical path: "
        f"{audited:.1f} s by the audit tables, {logged:.1f} s by the server's log. "
        f"Beside it {total - audited:.1f} s ({total - logged:.1f} s); allowed {ALLOWED:.0f} s."
    )
    return total - audited


def _times(
    found: Sequence[Mapping[str, Any]],
    below: Mapping[str, Sequence[str]],
    began: datetime,
    sql: Mapping[str, float],
    server: Mapping[str, float],
) -> list[TaskTime]:
    since = {
        (task["task_id"], field): (_moment(task[field]) - began).total_seconds()
        for task in found
        for field in ("queued_when", "start_date", "end_date")
    }
    return [
        TaskTime(
            task,
            max((since[a, "end_date"] for a in below if task in below[a]), default=0.0),
            since[task, "queued_when"],
            since[task, "start_date"],
            since[task, "end_date"],
            sql.get(task.rpartition(".")[2], 0.0),
            server.get(task, 0.0),
        )
        for task in below
    ]


def statement_seconds(log: Iterable[str]) -> dict[str, float]:
    """The seconds of all statements of each task, by the lines of the server's log."""
    seconds: dict[str, float] = {}
    for line in log:
        if told := _LOGGED.match(line):
            seconds[told["task"]] = seconds.get(told["task"], 0.0) + float(told["ms"]) / 1000
    return seconds


def critical_path(weight: Mapping[str, float], below: Mapping[str, Sequence[str]]) -> set[str]:
    """The tasks of the heaviest way through a DAG.

    Args:
        weight: of each task.
        below: the tasks that directly follow each task.
    """
    heaviest: dict[str, list[str]] = {}

    def way_from(task: str) -> list[str]:
        if task not in heaviest:
            ways = [way_from(after) for after in below[task]]
            rest = max(ways, key=lambda way: sum(weight[t] for t in way), default=[])
            heaviest[task] = [task, *rest]
        return heaviest[task]

    return set(max(map(way_from, below), key=lambda way: sum(weight[t] for t in way)))


def _sql_seconds(conninfo: str) -> dict[str, float]:
    seconds: dict[str, float] = {}
    with psycopg.connect(conninfo) as connection:
        for task, spent in connection.execute(_SQL_SECONDS, {"run": _NIGHT}):
            seconds[task] = seconds.get(task, 0.0) + spent
    return seconds


@contextmanager
def _store(sample: SampleOptions) -> Iterator[tuple[str, str]]:
    """A store that was applied and never filled, and an empty database for Airflow."""
    make_home(_PLACE)
    server = start_server(_POSTGRES)
    try:
        with psycopg.connect(server.conninfo, autocommit=True) as connection:
            for logged in ("log_min_duration_statement = 0", "log_line_prefix = '%a|'"):
                connection.execute(f"ALTER SYSTEM SET {logged}".encode())
            connection.execute("SELECT pg_reload_conf()")
        sources = _sources(server, sample)
        for name in ("store", "metadata"):
            server.drop_database(name)
        conninfo = server.create_database("store", sources)
        settings = Settings()
        with psycopg.connect(conninfo, autocommit=True) as connection:
            pin(connection, settings, "bench")
            bootstrap(connection, read_store(settings.include_dir), settings)
        yield conninfo, server.create_database("metadata")
    finally:
        stop_server(_POSTGRES)


def _sources(server: Server, sample: SampleOptions) -> str:
    """The name of a database with the sample's source tables, loaded once."""
    name = f"sources_{sample.listings}_{sample.days}d"
    if not server.has_database(name):
        print(f"Loading {sample.listings:,} listings, once.", flush=True)
        server.drop_database("loading")
        with psycopg.connect(server.create_database("loading"), autocommit=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            load_sample(connection, sample)
        with psycopg.connect(server.conninfo, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE loading RENAME TO {name}".encode())
    return name


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


if __name__ == "__main__":
    sys.exit(main())
