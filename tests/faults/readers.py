"""Somebody who reads all layers all the time, and remembers what was there."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from types import TracebackType

import psycopg

from feature_store.connection import Connection
from feature_store.declarations.store_definition import read_store
from feature_store.settings import Settings

_PAUSE = 0.5
Whole = tuple[int, int]
"""All rows of a layer at one moment: how many, and a sum of their hashes."""


class Readers:
    """A thread that reads all the time; a context manager.

    Attributes:
        reads: how often a layer was read.
        longest: how long the slowest read took, in seconds.
    """

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._layers = [str(r.name) for r in read_store(Settings().include_dir).refreshed]
        self._seen: dict[str, set[Whole]] = defaultdict(set)
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self.reads, self.longest = 0, 0.0
        with psycopg.connect(conninfo, autocommit=True) as connection:
            self._before = {layer: _whole(connection, layer) for layer in self._layers}

    def __enter__(self) -> Readers:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._enough.set()
        self._thread.join(30)

    def halves(self) -> list[str]:
        """Layers of which a read found neither the rows of before nor the rows of now."""
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            now = {layer: _whole(connection, layer) for layer in self._layers}
        return [
            f"{layer} was read as {sorted(odd)}; before: {self._before[layer]}, now: {now[layer]}"
            for layer, seen in self._seen.items()
            if (odd := seen - {self._before[layer], now[layer]})
        ]

    def _read(self) -> None:
        while not self._enough.is_set():
            try:
                with psycopg.connect(self._conninfo, autocommit=True) as connection:
                    self._read_on(connection)
            except psycopg.Error:
                self._enough.wait(_PAUSE)  # the server is down just now

    def _read_on(self, connection: Connection) -> None:
        while not self._enough.is_set():
            for layer in self._layers:
                began = time.monotonic()
                if whole := _whole(connection, layer):
                    self._seen[layer].add(whole)
                    self.reads += 1
                self.longest = max(self.longest, time.monotonic() - began)
            self._enough.wait(_PAUSE)


def _whole(connection: Connection, layer: str) -> Whole | None:
    """All rows of a layer in one value; None if it has not been filled yet."""
    try:
        row = connection.execute(
            "SELECT pg_catalog.count(*), "
            "coalesce(pg_catalog.sum(pg_catalog.hashtextextended(r::text, 0)), 0)::text "
            f"FROM {layer} AS r".encode()
        ).fetchone()
    except psycopg.errors.ObjectNotInPrerequisiteState:
        return None
    assert row is not None  # an aggregate
    return int(str(row[0])), int(str(row[1]))
