"""Running the real DAG in this process (``dag.test``) against a real database.

As in production it runs as the refresher, who owns nothing; the tests look as a superuser.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from feature_store.connection import Connection
from sandbox.mailbox import Mailbox, mail_settings
from sandbox.roles import REFRESHER, as_role
from sandbox.server import Server

DAG_ID = "feature_store_refresh"


@pytest.fixture(scope="session")
def airflow_database() -> None:
    """Airflow's own database, made once."""
    command = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(command, check=True, capture_output=True, env=os.environ)


def load_dag() -> Any:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    assert not bag.import_errors
    return bag.dags[DAG_ID]


@pytest.fixture(scope="session")
def dag(airflow_database: None) -> Any:
    return load_dag()


@dataclass(frozen=True)
class Outcome:
    """A run that ended: its state, its tasks' states, and what they returned."""

    run_id: str
    state: str
    tasks: dict[str, str]
    returned: dict[str, Any]


@pytest.fixture
def run_dag(airflow_database: None, airflow_conn: Callable[..., None]) -> Callable[..., Outcome]:
    def run(conninfo: str, logical_date: datetime | None = None, **conf: Any) -> Outcome:
        airflow_conn(as_role(conninfo, REFRESHER))
        dag = load_dag()  # anew: dag.test leaves a run's parameters in the DAG that it ran
        for task in dag.tasks:
            task.retry_delay = timedelta(0)
        given = {} if logical_date is None else {"logical_date": logical_date}
        ended = dag.test(run_conf=conf, **given)
        instances = ended.get_task_instances()
        return Outcome(
            run_id=ended.run_id,
            state=str(ended.state),
            tasks={i.task_id: str(i.state) for i in instances},
            returned={i.task_id: i.xcom_pull(task_ids=i.task_id) for i in instances},
        )

    return run


@pytest.fixture
def mailbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    """A mail server to which failed runs send their mail."""
    with Mailbox(tmp_path / "mails") as running:
        for variable, value in mail_settings(running).items():
            monkeypatch.setenv(variable, value)
        yield running


@pytest.fixture
def database(server: Server, filled_template: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A store over a small sample, stamped, not yet refreshed; its connection string."""
    name = f"dag_{os.getpid()}_{abs(hash(request.node.nodeid))}"
    yield server.create_database(name, filled_template)
    server.drop_database(name)


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with psycopg.connect(database, autocommit=True) as session:
        yield session
