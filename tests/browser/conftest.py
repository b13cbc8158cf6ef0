"""The page inside a real Airflow, looked at with the Chromium of this machine.

One Airflow for all tests. Its store begins empty; the tests bring it through its states: a real
night after two years of others, a failed one, a database that is down.

BROWSER_PICTURES names a folder for pictures of each state.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from feature_store.database.session import pin
from feature_store.declarations.store_definition import Store
from feature_store.settings import Settings
from sandbox.airflow_api import wait_until
from sandbox.components import Components, on_postgres
from sandbox.load import load_sample
from sandbox.mailbox import Mailbox
from sandbox.roles import REFRESHER, as_role
from sandbox.sample.options import SampleOptions
from sandbox.server import Server
from tests.conftest import create_store

from .sight import Sight

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
expect.set_options(timeout=30_000)  # milliseconds; the machine may have other work


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests of the page where there is no browser."""
    here = Path(__file__).parent
    for item in items:
        if CHROMIUM is None and here in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="Chromium is not installed"))


class PageAirflow(Components):
    """An Airflow with everything that a run needs, and an address to look at."""

    components = ("api-server", "scheduler", "dag-processor")

    def runs_soon(self) -> dict[str, str]:
        """All its runs and their states, once there is a run."""
        wait_until(lambda: bool(self.runs()), 60, self.logs)
        return self.runs()

    def unpause(self) -> None:
        self.call("PATCH", "dags/feature_store_refresh", {"is_paused": False})


@pytest.fixture(scope="session")
def page_database(server: Server, settings: Settings, store_files: Store) -> Iterator[str]:
    """A store as its owner has just created it, over sources of the last half year."""
    name = f"browser_{os.getpid()}"
    conninfo = server.create_database(name, "sources_only")
    with psycopg.connect(conninfo, autocommit=True) as connection:
        pin(connection, settings, "tests")
        yesterday = datetime.now(UTC).date() - timedelta(days=1)
        load_sample(connection, SampleOptions(listings=3000, days=180, last_day=yesterday))
    create_store(conninfo, store_files, settings)
    yield conninfo
    server.drop_database(name)


@pytest.fixture(scope="session")
def server_conninfo(server: Server) -> str:
    """The server, as its superuser."""
    return server.conninfo


@pytest.fixture(scope="session")
def mailbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailbox]:
    """Where the mails of this Airflow go."""
    with Mailbox(tmp_path_factory.mktemp("mails")) as running:
        yield running


@pytest.fixture(scope="session")
def airflow(server: Server, page_database: str, mailbox: Mailbox) -> Iterator[PageAirflow]:
    home = Path(tempfile.mkdtemp(prefix="feature-store-browser-"))
    own_database = f"browser_airflow_{os.getpid()}"
    running = PageAirflow(
        home,
        {
            **on_postgres(as_role(page_database, REFRESHER), server.create_database(own_database)),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
            "FEATURE_STORE_LEASE_POLL": "10",
            "FEATURE_STORE_MAIL_TO": "ann@example.org",
            "FEATURE_STORE_MAIL_FROM": "store@example.org",
            "AIRFLOW_CONN_SMTP_DEFAULT": mailbox.airflow_connection,
        },
    )
    try:
        running.start()
        yield running
    finally:
        running.stop()
        server.drop_database(own_database)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def sight(browser: Browser, airflow: PageAirflow) -> Iterator[Sight]:
    """A new browser window of a logged-in user; the test fails if anything went wrong in it."""
    with Sight(browser, airflow.address) as window:
        yield window
        window.assert_unharmed()
