"""The whole stack, started once, with a new store that holds a sample."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from sandbox.airflow_api import AirflowApi
from sandbox.load import load_sample
from sandbox.mailbox import Mailbox
from sandbox.sample.options import SampleOptions
from sandbox.server import folder_for_servers

from .rendering import changed, new_env, render, values
from .stack import Stack

ODD = 'p@ss"w\\o$r:d/#% é'
"""A password with what trips shells, JSON, addresses and .env files."""

ADDRESS = "https://airflow.example"


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = new_env(tmp_path_factory.mktemp("env"))
    return changed(made, STORE_PASSWORD=ODD, STORE_OWNER_PASSWORD=f"{ODD}!", AIRFLOW_URL=ADDRESS)


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailbox]:
    with Mailbox(tmp_path_factory.mktemp("mails")) as running:
        yield running


@pytest.fixture(scope="module")
def stack(env: Path, mailbox: Mailbox) -> Iterator[Stack]:
    """The stack as .env.example has it: LocalExecutor, and a new database that gets a sample."""
    with folder_for_servers("feature-store-compose-") as folder:
        running = Stack(render(env), folder, mailbox)
        try:
            running.up("store-roles")
            with psycopg.connect(store_conninfo(running, env)) as connection:
                # The sample ends yesterday: older sources would be what is told first.
                yesterday = datetime.now(UTC).date() - timedelta(days=1)
                load_sample(connection, SampleOptions(listings=300, days=20, last_day=yesterday))
            running.up(*running.services)
            yield running
        finally:
            running.stop()


@pytest.fixture(scope="module")
def api(stack: Stack, env: Path) -> AirflowApi:
    return stack.api(("admin", values(env)["AIRFLOW_ADMIN_PASSWORD"]))


def store_conninfo(stack: Stack, env: Path) -> str:
    """The store, as its superuser, from this machine."""
    return make_conninfo(
        host="127.0.0.1",
        port=stack.localhost.port("store", 5432),
        user="postgres",
        password=values(env)["STORE_ADMIN_PASSWORD"],
        dbname="scrapes",
    )
