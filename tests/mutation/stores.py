"""True stores to judge mutants on: odd rows of every profile, and a sample of ordinary life."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from feature_store.database.session import pin
from feature_store.declarations.store_definition import read_store
from feature_store.schema.apply import apply
from feature_store.settings import Settings
from sandbox.load import load_sample
from sandbox.sample.options import SampleOptions
from sandbox.server import folder_for_servers, start_server, stop_server
from tests.conftest import ROOT, LiveStore
from tests.mutation.edges import edges
from tests.oracle.harness import load_sources
from tests.oracle.odd_cases import PROFILES, generate
from tests.oracle.rows import Sources

_SAMPLE = SampleOptions(listings=1500, days=120)


def _sources() -> dict[str, Sources | None]:
    """What each store is made of; None stands for the sample."""
    odd = {profile.name: generate(profile, 1) for profile in PROFILES}
    return {**odd, "edges": edges(1), "sample": None}


@contextmanager
def true_stores() -> Iterator[dict[str, LiveStore]]:
    """Start a server and fill its stores; they and it are gone afterwards."""
    settings = Settings()
    with folder_for_servers("mutation-") as home:
        server = start_server(Path(home) / "postgres")
        stores = {}
        try:
            conninfo = server.create_database("store")
            with psycopg.connect(conninfo, autocommit=True) as connection:
                connection.execute((ROOT / "sandbox" / "sources.sql").read_bytes())
                pin(connection, settings, "mutation")
                apply(connection, read_store(settings.include_dir), settings)
            for number, (name, sources) in enumerate(_sources().items()):
                conninfo = server.create_database(f"store_{number}", "store")
                files = read_store(settings.include_dir)
                store = stores[name] = LiveStore(conninfo, files, settings)
                if sources:
                    load_sources(store, sources)
                else:
                    load_sample(store.connection, _SAMPLE)
                    store.refresh()
            yield stores
        finally:
            for store in stores.values():
                store.close()
            stop_server(Path(home) / "postgres")
