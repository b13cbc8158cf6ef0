"""A real Airflow: API server, scheduler and DAG processor as processes, on a database of its own.

Only this shows what happens when runs overlap, when tasks are killed and when machines die.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from sandbox.home import airflow_settings
from sandbox.mailbox import Mailbox, mail_settings
from sandbox.server import Server, airflow_connection

DAG_ID = "feature_store_refresh"
_COMPONENTS = ("api-server", "scheduler", "dag-processor")


class RealAirflow:
    """The components, and what a person does to them through the REST API."""

    def __init__(self, home: Path, conninfo: str, own_database: str, mailbox: Mailbox) -> None:
        self._home = home
        self._port = _free_port()
        self._processes: list[subprocess.Popen[bytes]] = []
        self.environment = {
            **os.environ,
            **airflow_settings(home),
            **mail_settings(mailbox),
            "AIRFLOW_CONN_FEATURE_STORE": airflow_connection(conninfo),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": _sqlalchemy_url(own_database),
            "AIRFLOW__API__PORT": str(self._port),
            "AIRFLOW__API__BASE_URL": f"http://localhost:{self._port}",
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of the tests and of nobody else",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://localhost:{self._port}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
            "FEATURE_STORE_LEASE_POLL": "2",
            "FEATURE_STORE_LOCK_TIMEOUT": "120",
        }

    def start(self) -> None:
        self.command("db", "migrate")
        for component in _COMPONENTS:
            self._start(component)
        self._wait_until_healthy()

    def command(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def kill_scheduler(self) -> None:
        """What a power cut does to the scheduler's machine: it and its tasks are gone at once."""
        scheduler = self._processes.pop(_COMPONENTS.index("scheduler"))
        machine = psutil.Process(scheduler.pid)
        for process in [machine, *machine.children(recursive=True)]:
            process.kill()
        scheduler.wait()

    def start_scheduler(self) -> None:
        self._start("scheduler", at=_COMPONENTS.index("scheduler"))

    def stop(self) -> None:
        for process in self._processes:
            os.killpg(process.pid, signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def trigger(self, run_id: str, logical_date: str | None = None, **conf: Any) -> None:
        run = {"dag_run_id": run_id, "logical_date": logical_date, "conf": conf}
        self._call("POST", f"dags/{DAG_ID}/dagRuns", run)

    def runs(self) -> dict[str, str]:
        found = self._call("GET", f"dags/{DAG_ID}/dagRuns?limit=100")["dag_runs"]
        return {run["dag_run_id"]: run["state"] for run in found}

    def tasks(self, run_id: str) -> dict[str, str]:
        path = f"dags/{DAG_ID}/dagRuns/{run_id}/taskInstances?limit=100"
        found = self._call("GET", path)["task_instances"]
        return {task["task_id"]: task["state"] for task in found}

    def mark_failed(self, run_id: str, task: str) -> None:
        path = f"dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/{task}"
        self._call("PATCH", path, {"new_state": "failed"})

    def clear(self, run_id: str, task: str, *, downstream: bool) -> None:
        self._call(
            "POST",
            f"dags/{DAG_ID}/clearTaskInstances",
            {
                "dry_run": False,
                "dag_run_id": run_id,
                "task_ids": [task],
                "include_downstream": downstream,
                "only_failed": False,
                "reset_dag_runs": True,
            },
        )

    def wait_for_run(self, run_id: str, seconds: int = 240) -> str:
        ended = wait_until(
            lambda: self.runs().get(run_id) in ("success", "failed"), seconds, self.logs
        )
        assert ended
        return self.runs()[run_id]

    def logs(self) -> str:
        """The ends of the components' logs, for a test that fails."""
        return "\n".join(
            f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-25:])
            for path in sorted(self._home.glob("*.out"))
        )

    def _start(self, component: str, at: int | None = None) -> None:
        with (self._home / f"{component}.out").open("a") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "airflow", component],
                env=self.environment,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self._processes.insert(len(self._processes) if at is None else at, process)

    def _wait_until_healthy(self) -> None:
        def healthy() -> bool:
            try:
                return DAG_ID in [d["dag_id"] for d in self._call("GET", "dags")["dags"]]
            except (urllib.error.URLError, ConnectionError):
                return False

        wait_until(healthy, 90, self.logs)

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        base = f"http://localhost:{self._port}"
        with urllib.request.urlopen(f"{base}/auth/token") as answer:
            token = json.load(answer)["access_token"]
        request = urllib.request.Request(
            f"{base}/api/v2/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            told = error.read().decode()
            raise AssertionError(f"{method} {path}: {error.code} {told}") from error


def wait_until(happened: Callable[[], bool], seconds: int, explain: Callable[[], str]) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if happened():
            return True
        time.sleep(0.3)  # between two looks at another process
    pytest.fail(f"It did not happen within {seconds} s.\n{explain()}")


def _sqlalchemy_url(conninfo: str) -> str:
    parts = conninfo_to_dict(conninfo)
    host = urllib.parse.quote(str(parts["host"]), safe="")
    return f"postgresql+psycopg://{parts['user']}@/{parts['dbname']}?host={host}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def real_database(server: Server, filled_template: str) -> Iterator[str]:
    name = f"scheduler_{os.getpid()}"
    yield server.create_database(name, filled_template)
    server.drop_database(name)


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailbox]:
    with Mailbox(tmp_path_factory.mktemp("mails")) as running:
        yield running


@pytest.fixture(scope="module")
def real_airflow(server: Server, real_database: str, mailbox: Mailbox) -> Iterator[RealAirflow]:
    home = Path(tempfile.mkdtemp(prefix="feature-store-scheduler-"))
    own_database = f"airflow_{os.getpid()}"
    airflow = RealAirflow(home, real_database, server.create_database(own_database), mailbox)
    try:
        airflow.start()
        yield airflow
    finally:
        airflow.stop()
        server.drop_database(own_database)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def session(real_database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(real_database, autocommit=True) as connection:
        yield connection
