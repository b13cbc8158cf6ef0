"""Watches locks from outside, several times a second: who waits, and what is held how long."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from psycopg import Connection

from bench.read_load import READER
from bench.scratch import Scratch
from feature_store.declarations.store_definition import Relation

INTERVAL = 0.01
"""Seconds between two looks."""


@dataclass
class Seen:
    """What was seen.

    Attributes:
        looks: how many looks there were.
        waits: by the waiting reader's application_name: looks at which it waited for a lock that
            somebody held.
        waits_for_ours: the same, if the refreshing session was among the blockers.
        held: by relation: seconds for which ACCESS EXCLUSIVE was held on it, to within two looks.
    """

    looks: int = 0
    waits: dict[str, int] = field(default_factory=dict)
    waits_for_ours: dict[str, int] = field(default_factory=dict)
    held: dict[str, float] = field(default_factory=dict)


class LockWatch:
    """A watcher that works within each ``with`` block."""

    def __init__(self, scratch: Scratch, relations: Sequence[Relation], ours: int) -> None:
        """Prepare to watch these relations, and who waits for the session of that process id."""
        self._ours = ours
        self.seen = Seen()
        self._scratch = scratch
        self._names = {r.name.quoted: str(r.name) for r in relations}
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    def __enter__(self) -> LockWatch:
        self._over.clear()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        if self._thread:
            self._thread.join()
        if self._error and error is None:
            raise self._error

    def _work(self) -> None:
        try:
            with self._scratch.session() as connection:
                self._watch(connection)
        except Exception as error:  # raised again by whoever waits for this thread
            self._error = error

    def _watch(self, connection: Connection[Any]) -> None:
        oids = dict(
            connection.execute(
                "SELECT n::regclass::oid, n FROM unnest(%s::text[]) AS n", (list(self._names),)
            ).fetchall()
        )
        since: dict[int, float] = {}
        while not self._over.is_set():
            now = time.perf_counter()
            self.seen.looks += 1
            for name, count, for_ours in self._waiting(connection):
                self.seen.waits[name] = self.seen.waits.get(name, 0) + count
                found = self.seen.waits_for_ours
                found[name] = found.get(name, 0) + for_ours
            held = self._held(connection, list(oids))
            for oid in held - since.keys():
                since[oid] = now
            for oid in since.keys() - held:
                self._release(self._names[oids[oid]], now - since.pop(oid))
            self._over.wait(INTERVAL)

    def _release(self, name: str, seconds: float) -> None:
        self.seen.held[name] = max(self.seen.held.get(name, 0.0), round(seconds, 3))

    def _waiting(self, connection: Connection[Any]) -> list[tuple[str, int, int]]:
        return connection.execute(
            "SELECT a.application_name, count(*), "
            "count(*) FILTER (WHERE %s = ANY(pg_blocking_pids(a.pid))) "
            "FROM pg_catalog.pg_stat_activity AS a "
            "WHERE a.wait_event_type = 'Lock' AND a.application_name LIKE %s "
            "AND cardinality(pg_blocking_pids(a.pid)) > 0 GROUP BY a.application_name",
            (self._ours, f"{READER}%"),
        ).fetchall()

    def _held(self, connection: Connection[Any], oids: list[int]) -> set[int]:
        rows = connection.execute(
            "SELECT DISTINCT relation FROM pg_catalog.pg_locks "
            "WHERE granted AND mode = 'AccessExclusiveLock' AND relation = ANY(%s)",
            (oids,),
        ).fetchall()
        return {oid for (oid,) in rows}
