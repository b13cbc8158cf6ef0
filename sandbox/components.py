"""Airflow's components as processes, as production runs them, and what a person does to them.

For what a single process cannot show: overlapping runs, killed tasks, and the cost of a run besides
its SQL.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import urllib.error
import urllib.parse
from collections.abc import Collection, Mapping
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from feature_store.settings import read_settings
from sandbox.airflow_api import AirflowApi, wait_until
from sandbox.home import airflow_settings
from sandbox.port import LOCALHOST, free_port
from sandbox.server import airflow_connection

_STARTS_WITHIN = 300


class Components(AirflowApi):
    """A real Airflow with its own metadata database, for this machine only.

    Attributes:
        components: what `start` starts.
        address: of its pages and its REST API.
        environment: of every component, the settings that we ship included.
    """

    components: tuple[str, ...] = ("api-server", "scheduler", "dag-processor", "triggerer")

    def __init__(
        self,
        home: Path,
        settings: Mapping[str, str],
        port: int = 0,
        kept_open: Collection[int] = (),
    ) -> None:
        """Prepare it.

        Args:
            home: a folder for its logs and those of its tasks.
            settings: environment variables beside, or instead of, those that we ship; its
                databases among them (`on_postgres`).
            port: of its pages; 0 takes a free one.
            kept_open: file descriptors that every component keeps, such as a lock's.
        """
        port = port or free_port()
        self.address = f"http://localhost:{port}"
        include_dir = read_settings({**os.environ, **settings}).include_dir
        super().__init__(self.address, self.logs, include_dir=include_dir)
        self._home = home
        self._kept_open = tuple(kept_open)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {
            **os.environ,
            **airflow_settings(home),
            "AIRFLOW__API__HOST": LOCALHOST,
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__BASE_URL": self.address,
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.address}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            **settings,
        }

    def start(self) -> None:
        """Start everything and wait until Airflow knows the DAG.

        Raises:
            TimeoutError: it does not within five minutes.
        """
        self.command("db", "migrate")
        for component in self.components:
            self.start_component(component)

        def knows_the_dag() -> bool:
            try:
                return self.dag_id in [d["dag_id"] for d in self.call("GET", "dags")["dags"]]
            except (urllib.error.URLError, ConnectionError):
                return False

        wait_until(knows_the_dag, _STARTS_WITHIN, self.logs)

    def start_component(self, component: str) -> None:
        """Start one component."""
        with (self._home / f"{component}.out").open("a") as out:
            self._processes[component] = subprocess.Popen(
                airflow_command(component),
                env=self.environment,
                stdout=out,
                stderr=out,
                start_new_session=True,
                pass_fds=self._kept_open,
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

    def command(self, *arguments: str, answer: str = "") -> str:
        """Run a command of Airflow's command line and return what it prints.

        Args:
            arguments: what is typed after ``airflow``.
            answer: what is typed when it asks.

        Raises:
            RuntimeError: it failed.
        """
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            env=self.environment,
            input=answer,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"airflow {' '.join(arguments)}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def logs(self) -> str:
        """The ends of the components' logs, for a person who has to find out."""
        return "\n".join(
            f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-25:])
            for path in sorted(self._home.glob("*.out"))
        )


def on_postgres(conninfo: str, metadata: str) -> dict[str, str]:
    """The settings that name its databases.

    Args:
        conninfo: the database with the store.
        metadata: an empty database for Airflow itself.
    """
    parts = conninfo_to_dict(metadata)
    host = urllib.parse.quote(str(parts["host"]), safe="")
    url = f"postgresql+psycopg://{parts['user']}@/{parts['dbname']}?host={host}"
    return {
        "AIRFLOW_CONN_FEATURE_STORE": airflow_connection(conninfo),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url,
    }


def airflow_command(component: str) -> list[str]:
    """What starts a component that listens on this machine only.

    Airflow's servers for logs listen on every address and have no setting for that. Nobody needs
    them where all components see one folder.
    """
    quiet = ["--skip-serve-logs"] if component in ("scheduler", "triggerer") else []
    return [sys.executable, "-m", "airflow", component, *quiet]
