"""A real Airflow on a metadata database of its own, with the settings that we ship.

Only this shows what happens when runs overlap, when tasks are killed, and when machines die.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from feature_store.connection import Connection
from sandbox.components import Components, on_postgres
from sandbox.mailbox import Mailbox, mail_settings
from sandbox.roles import REFRESHER, as_role
from sandbox.server import Server
from tests.mail_servers import SlowMailbox

# Shorter than the settings that we ship: no test waits as long as production may.
_IMPATIENT = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    # A task is killed that works on for longer than this after it has said how it ended.
    "AIRFLOW__CORE__TASK_SUCCESS_OVERTIME": "3",
    "FEATURE_STORE_LEASE_POLL": "10",
    "FEATURE_STORE_LOCK_TIMEOUT": "120",
}


class RealAirflow(Components):
    """The components, with what may happen to them and what an operator does through the API."""

    components = ("api-server", "scheduler", "dag-processor")  # no task of ours is deferred

    def kill_scheduler(self) -> None:
        """Do what a power cut does to the scheduler's machine: it and its tasks are gone."""
        scheduler = self.process("scheduler")
        machine = psutil.Process(scheduler.pid)
        for process in [machine, *machine.children(recursive=True)]:
            process.kill()
        scheduler.wait()

    def terminate_tasks(self) -> None:
        """Do what a machine does first when it shuts down: ask every process of a task to end."""
        scheduler = psutil.Process(self.process("scheduler").pid)
        workers = scheduler.children()
        for task in [p for w in workers for p in w.children(recursive=True)]:
            task.terminate()

    def tasks(self, run_id: str) -> dict[str, str]:
        path = f"dags/{self.dag_id}/dagRuns/{run_id}/taskInstances?limit=100"
        found = self.call("GET", path)["task_instances"]
        return {task["task_id"]: task["state"] for task in found}

    def running_tasks(self) -> int:
        path = f"dags/{self.dag_id}/dagRuns/~/taskInstances?state=running&limit=1"
        found: int = self.call("GET", path)["total_entries"]
        return found

    def mark_failed(self, run_id: str, task: str) -> None:
        path = f"dags/{self.dag_id}/dagRuns/{run_id}/taskInstances/{task}"
        self.call("PATCH", path, {"new_state": "failed"})


@pytest.fixture(scope="module")
def real_database(server: Server, filled_template: str) -> Iterator[str]:
    name = f"scheduler_{os.getpid()}"
    yield server.create_database(name, filled_template)
    server.drop_database(name)


@pytest.fixture(scope="module")
def store_settings() -> dict[str, str]:
    """More settings, for tests that run another store."""
    return {}


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailbox]:
    """It takes longer in all than the time that Airflow gives a task after its end."""
    with SlowMailbox(tmp_path_factory.mktemp("mails"), pause=1) as running:
        yield running


@pytest.fixture(scope="module")
def real_airflow(
    server: Server, real_database: str, mailbox: Mailbox, store_settings: dict[str, str]
) -> Iterator[RealAirflow]:
    home = Path(tempfile.mkdtemp(prefix="feature-store-scheduler-"))
    own_database = f"airflow_{os.getpid()}"
    airflow = RealAirflow(
        home,
        {
            **on_postgres(as_role(real_database, REFRESHER), server.create_database(own_database)),
            **mail_settings(mailbox),
            **_IMPATIENT,
            **store_settings,
        },
    )
    try:
        airflow.start()
        yield airflow
    finally:
        airflow.stop()
        server.drop_database(own_database)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def session(real_database: str) -> Iterator[Connection]:
    with psycopg.connect(real_database, autocommit=True) as connection:
        yield connection
