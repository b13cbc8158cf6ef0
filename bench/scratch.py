"""A store to measure: a scratch database with a generated sample and everything applied."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection

from bench.server import BenchServer, free_bytes
from feature_store.database.session import pin
from feature_store.declarations.store_definition import Store
from feature_store.errors import NotReady
from feature_store.schema.apply import apply
from feature_store.settings import Settings
from sandbox.load import load_sample
from sandbox.sample.options import SampleOptions

# Measured at 10,000 listings: 4 kB each for sources and our relations, 3.5 kB for the reference's.
# More while it works: a refresh writes new rows beside the old ones, sorts spill, the floor copies.
BYTES_PER_LISTING = 12_000
REFERENCE_BYTES_PER_LISTING = 6_000
# The write-ahead log, which grows to max_wal_size and somewhat beyond; the server; F2, whose grid
# hardly depends on the listings.
FIXED_BYTES = 6 * 1024**3


class SessionKind(StrEnum):
    """How a session is set up."""

    PLAIN = "plain"  # like any client's: only the store's time zone is set
    OURS = "ours"  # like the package's: with all its pinned settings


@dataclass(frozen=True)
class Scratch:
    """A scratch database with the store in it.

    Attributes:
        conninfo: its connection string.
        store: what the SQL files say.
        settings: the package's.
    """

    conninfo: str
    store: Store
    settings: Settings

    @contextmanager
    def session(self, kind: SessionKind = SessionKind.OURS) -> Iterator[Connection[Any]]:
        """Open a session in autocommit mode."""
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            if kind is SessionKind.OURS:
                self.pin(connection)
            else:
                connection.execute(
                    "SELECT set_config('TimeZone', %s, false)", (self.settings.zone,)
                )
            yield connection

    def pin(self, connection: Connection[Any]) -> None:
        """Make a session one of ours."""
        pin(connection, self.settings, "bench")

    def newest_day(self, connection: Connection[Any]) -> date:
        """The day of the newest listing."""
        row = connection.execute('SELECT max(edited_date)::date FROM "iPhone".iphone_listings')
        found = row.fetchone()
        assert found is not None  # an aggregate
        day: date = found[0]
        return day


def need_bytes(listings: int, *, reference: bool) -> int:
    """How much disk measuring a size takes at its peak."""
    each = BYTES_PER_LISTING + (REFERENCE_BYTES_PER_LISTING if reference else 0)
    return FIXED_BYTES + listings * each


def check_disk(needed: int, home: Path | None = None) -> None:
    """Refuse what does not fit, before any work.

    Raises:
        NotReady: the disk has less free than is needed.
    """
    free = free_bytes(home) if home else free_bytes()
    if free < needed:
        raise NotReady(
            f"The disk is too small: about {needed / 1e9:.0f} GB are needed at the largest size, "
            f"{free / 1e9:.0f} GB are free.",
            readers="nothing was done.",
            next_step="Free some, or measure a smaller size.",
        )


@contextmanager
def scratch_store(
    server: BenchServer, sample: SampleOptions, store: Store, settings: Settings
) -> Iterator[Scratch]:
    """Create a scratch database, load the sample and apply the store; drop it at the end."""
    with server.scratch_database(str(sample.listings)) as conninfo:
        scratch = Scratch(conninfo, store, settings)
        started = time.monotonic()
        with scratch.session() as connection:
            rows = load_sample(connection, sample)
            connection.execute("VACUUM (ANALYZE)")
            apply(connection, store, settings)
        seconds = time.monotonic() - started
        print(f"  loaded {sum(rows.values()):,} source rows in {seconds:.0f} s", flush=True)
        yield scratch
