"""Airflow's components as processes, as production runs them, and what a person does to them.

For what one process cannot show: runs that overlap, tasks that are killed, and what a run costs
beside its SQL.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict

from sandbox.home import airflow_settings
from sandbox.server import airflow_connection

DAG_ID = "feature_store_refresh"
_STARTS_WITHIN = 120


class Components:
    """A real Airflow on a metadata database of its own, reached through its REST API.

    Attributes:
        components: what `start` starts.
        environment: of every component, the settings that we ship included.
    """

    components: tuple[str, ...] = ("api-server", "scheduler", "dag-processor", "triggerer")

    def __init__(
        self, home: Path, conninfo: str, metadata: str, extra: Mapping[str, str] | None = None
    ) -> None:
        """Prepare it.

        Args:
            home: a folder for its logs and those of its tasks.
            conninfo: the database with the store.
            metadata: an empty database for Airflow itself.
            extra: environment variables beside, or instead of, those that we ship.
        """
        self._home = home
        self._port = _free_port()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        address = f"http://localhost:{self._port}"
        self.environment = {
            **os.environ,
            **airflow_settings(home),
            "AIRFLOW_CONN_FEATURE_STORE": airflow_connection(conninfo),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": _sqlalchemy_url(metadata),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self._port),
            "AIRFLOW__API__BASE_URL": address,
            "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of this machine's trials and of nobody else",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            **(extra or {}),
        }

    def start(self) -> None:
        """Start everything and wait until Airflow knows the DAG.

        Raises:
            TimeoutError: it does not within two minutes.
        """
        self.command("db", "migrate")
        for component in self.components:
            self.start_component(component)

        def knows_the_dag() -> bool:
            try:
                return DAG_ID in [d["dag_id"] for d in self.call("GET", "dags")["dags"]]
            except (urllib.error.URLError, ConnectionError):
                return False

        wait_until(knows_the_dag, _STARTS_WITHIN, self.logs)

    def start_component(self, component: str) -> None:
        """Start one component."""
        with (self._home / f"{component}.out").open("a") as out:
            self._processes[component] = subprocess.Popen(
                [sys.executable, "-m", "airflow", component],
                env=self.environment,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def process(self, component: str) -> subprocess.Popen[bytes]:
        """A component's process."""
        return self._processes[component]

    def stop(self) -> None:
        """Stop everything."""
        for process in self._processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self._processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def command(self, *arguments: str) -> str:
        """Run a command of Airflow's command line and give back what it prints.

        Raises:
            RuntimeError: it failed.
        """
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"airflow {' '.join(arguments)}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def trigger(self, run_id: str, logical_date: str | None = None, **conf: Any) -> None:
        """Start a manual run of the DAG."""
        run = {"dag_run_id": run_id, "logical_date": logical_date, "conf": conf}
        self.call("POST", f"dags/{DAG_ID}/dagRuns", run)

    def runs(self) -> dict[str, str]:
        """The states of all runs."""
        found = self.call("GET", f"dags/{DAG_ID}/dagRuns?limit=100")["dag_runs"]
        return {run["dag_run_id"]: run["state"] for run in found}

    def wait_for_run(self, run_id: str, seconds: int = 240) -> str:
        """Wait for a run's end; its state.

        Raises:
            TimeoutError: it has not ended.
        """
        wait_until(lambda: self.runs().get(run_id) in ("success", "failed"), seconds, self.logs)
        return self.runs()[run_id]

    def logs(self) -> str:
        """The ends of the components' logs, for a person who has to find out."""
        return "\n".join(
            f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-25:])
            for path in sorted(self._home.glob("*.out"))
        )

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call the REST API and give back its answer.

        Raises:
            RuntimeError: it refused, and said why.
        """
        base = f"http://localhost:{self._port}"
        with urllib.request.urlopen(f"{base}/auth/token") as answer:  # noqa: S310  # our own
            token = json.load(answer)["access_token"]
        request = urllib.request.Request(  # noqa: S310
            f"{base}/api/v2/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            told = error.read().decode()
            raise RuntimeError(f"{method} {path}: {error.code} {told}") from error


def wait_until(happened: Callable[[], bool], seconds: int, explain: Callable[[], str]) -> None:
    """Look again and again until something has happened.

    Raises:
        TimeoutError: it has not within that time; with the explanation.
    """
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError(f"It did not happen within {seconds} s.\n{explain()}")
        time.sleep(0.3)  # between two looks at another process


def _sqlalchemy_url(conninfo: str) -> str:
    parts = conninfo_to_dict(conninfo)
    host = urllib.parse.quote(str(parts["host"]), safe="")
    return f"postgresql+psycopg://{parts['user']}@/{parts['dbname']}?host={host}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
