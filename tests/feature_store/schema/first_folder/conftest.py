"""The example's store as somebody may have built it by hand: its views, without our headers."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator

import pytest

from feature_store.cli.commands import main
from feature_store.settings import Settings
from sandbox.server import Server
from tests.feature_store.conftest import Database
from tests.feature_store.schema.bikes_by_hand import build_bikes

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def _bikes_by_hand(server: Server, settings: Settings) -> str:
    name = f"bikes_by_hand_{os.getpid()}"
    database = Database(server.create_database(name), settings)
    build_bikes(database)
    database.close()
    return name


@pytest.fixture
def bikes(server: Server, settings: Settings, _bikes_by_hand: str) -> Iterator[Database]:
    """The database of that store; the session is a superuser's."""
    name = f"bikes_by_hand_{os.getpid()}_{next(_numbers)}"
    database = Database(server.create_database(name, _bikes_by_hand), settings)
    yield database
    database.close()
    server.drop_database(name)


@pytest.fixture
def typed(
    airflow_conn: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Type a command at a database: its exit code, what it printed, and its errors."""

    def type_it(database: Database, *arguments: object) -> tuple[int, str, str]:
        airflow_conn(database.conninfo)
        capsys.readouterr()
        return (main([str(a) for a in arguments]), *capsys.readouterr())

    return type_it
