"""One store per server version, made as in production, for all files of this folder.

The administrator runs the file that grants, the owner applies and stamps, and the file is run
again. Every test leaves the store as it was.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from feature_store.declarations.store_definition import Store
from feature_store.settings import Settings
from sandbox.load import load_sample
from sandbox.sample.options import SampleOptions
from sandbox.server import available_versions
from tests.conftest import Servers, create_store
from tests.feature_store.schema.roles.governed import Governed, nightly_run


@pytest.fixture(scope="session", params=available_versions(), ids=lambda version: f"pg{version}")
def governed(
    request: pytest.FixtureRequest, servers: Servers, store_files: Store, settings: Settings
) -> Iterator[Governed]:
    server = servers[request.param]
    conninfo = server.create_database("governed", "sources_only")
    store = Governed(conninfo, request.param, store_files, settings)
    # By PostgreSQL's default every role may create temporary tables; here none may.
    store.run("REVOKE ALL ON DATABASE governed FROM public")
    with store.session() as connection:
        load_sample(connection, SampleOptions(listings=300, days=20))
    create_store(conninfo, store_files, settings)
    yield store
    server.drop_database("governed")


@pytest.fixture(scope="session")
def certified(governed: Governed) -> Governed:
    """Two whole runs as the refresher: one fills the views, one runs beside their readers."""
    nightly_run(governed, "first")
    nightly_run(governed, "second")
    return governed
