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
from sandbox.server import Server, airflow_connection

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


def _run(logical_date: datetime | None, **conf: Any) -> Outcome:
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


@pytest.fixture
def run_dag(airflow_database: None, airflow_conn: Callable[..., None]) -> Callable[..., Outcome]:
    def run(conninfo: str, logical_date: datetime | None = None, **conf: Any) -> Outcome:
        airflow_conn(as_role(conninfo, REFRESHER))
        return _run(logical_date, **conf)

    return run


@dataclass(frozen=True)
class FirstRun(Outcome):
    """The first run over a store, and that store, which many tests look at and none changes.

    Attributes:
        name: of its database.
        conninfo: of its database.
        alarms: how many mails it sent.
    """

    name: str
    conninfo: str
    alarms: int


@pytest.fixture(scope="session")
def first_run(
    server: Server,
    filled_template: str,
    airflow_database: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[FirstRun]:
    """A good run as of 2026-06-30."""
    name = f"first_run_{os.getpid()}"
    conninfo = server.create_database(name, filled_template)
    connection = airflow_connection(as_role(conninfo, REFRESHER))
    with pytest.MonkeyPatch.context() as patch, Mailbox(tmp_path_factory.mktemp("mails")) as mails:
        for variable, value in mail_settings(mails).items():
            patch.setenv(variable, value)
        patch.setenv("AIRFLOW_CONN_FEATURE_STORE", connection)
        ended = _run(None, as_of_day="2026-06-30")
    assert ended.state == "success", ended.tasks
    yield FirstRun(**vars(ended), name=name, conninfo=conninfo, alarms=len(mails.alarms()))
    server.drop_database(name)


@pytest.fixture
def mailbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    """A mail server to which failed runs send their mail."""
    with Mailbox(tmp_path / "mails") as running:
        for variable, value in mail_settings(running).items():
            monkeypatch.setenv(variable, value)
        yield running


@pytest.fixture
def database(server: Server, filled_template: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A stamped store over a small sample; its connection string.

    It was not yet refreshed. A test with the mark ``refreshed`` gets it as `first_run` left it.
    """
    template = filled_template
    if request.node.get_closest_marker("refreshed"):
        template = request.getfixturevalue("first_run").name
    name = f"dag_{os.getpid()}_{abs(hash(request.node.nodeid))}"
    yield server.create_database(name, template)
    server.drop_database(name)


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with psycopg.connect(database, autocommit=True) as session:
        yield session
