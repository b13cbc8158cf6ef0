"""A store that a run has certified, for the pages' examples and commands. Nobody alters it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from feature_store.declarations.store_definition import Store
from feature_store.settings import Settings
from sandbox.server import Server
from tests.feature_store.refresh.certified import certify_store


@pytest.fixture(scope="session")
def certified(
    server: Server, filled_template: str, settings: Settings, store_files: Store
) -> Iterator[str]:
    """The connection string of the database `scrapes`, as the pages call it."""
    conninfo = server.create_database("scrapes", filled_template)
    certify_store(conninfo, settings, store_files)
    yield conninfo
    server.drop_database("scrapes")
