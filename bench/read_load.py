"""Readers that keep reading, by key and by range, each in its own connection."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import psycopg
from psycopg import Connection, sql
from psycopg.errors import Diagnostic

from bench.scratch import Scratch
from feature_store.declarations.store_definition import Relation

READER = "bench reader"
_KEYS = 500
_PAUSE = 0.005
_RANGE_ROWS = 100
# A server reports longer waits for a lock to the log and, if asked, to the client.
_SHORTEST_REPORTED_WAIT = "1ms"
_WAIT = re.compile(r"still waiting for (.+) after ")


@dataclass
class Reads:
    """What the readers saw.

    Attributes:
        seconds: of every query, by kind: ``key`` or ``range``.
        waits: the server's own reports of waiting readers: which lock, and on what. Only the
            server's log says who holds the lock.
        reported: whether the server could be asked for such reports.
    """

    seconds: dict[str, list[float]] = field(default_factory=lambda: {"key": [], "range": []})
    waits: list[str] = field(default_factory=list)
    reported: bool = True


@dataclass(frozen=True)
class _Query:
    by_key: sql.Composed
    by_range: sql.Composed
    keys: list[tuple[Any, ...]]


class ReadLoad:
    """Readers that work within each ``with`` block."""

    def __init__(
        self, scratch: Scratch, relations: Sequence[Relation], readers: int, layer: str
    ) -> None:
        """Prepare.

        Args:
            scratch: a filled store.
            relations: what they read, each relation as often as the others.
            readers: how many read side by side.
            layer: ``read`` or ``base``; part of the readers' application_name.
        """
        self.reads = Reads()
        self._scratch = scratch
        self._name = f"{READER} {layer}"
        self._readers = readers
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._errors: list[Exception] = []
        with scratch.session() as connection:
            self._queries = [_query(connection, relation) for relation in relations]

    def __enter__(self) -> ReadLoad:
        self._over.clear()
        self._threads = [
            threading.Thread(target=self._work, args=(number,), daemon=True)
            for number in range(self._readers)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        if self._errors and error is None:
            raise self._errors[0]

    def _work(self, number: int) -> None:
        try:
            with psycopg.connect(self._scratch.conninfo, autocommit=True) as connection:
                connection.execute(
                    "SELECT set_config('application_name', %s, false)", (self._name,)
                )
                self._ask_for_reports(connection)
                self._read_on(connection, random.Random(number))  # noqa: S311  # which row is read
        except Exception as error:  # raised again by whoever waits for this thread
            self._errors.append(error)

    def _ask_for_reports(self, connection: Connection[Any]) -> None:
        connection.add_notice_handler(self._note)
        try:
            connection.execute("SET client_min_messages = 'log'")
            connection.execute("SET lc_messages = 'C'")
            connection.execute(f"SET deadlock_timeout = '{_SHORTEST_REPORTED_WAIT}'")
            connection.execute("SET log_lock_waits = on")
        except psycopg.errors.InsufficientPrivilege:
            self.reads.reported = False

    def _note(self, message: Diagnostic) -> None:
        if report := _WAIT.search(message.message_primary or ""):
            self.reads.waits.append(report[1])

    def _read_on(self, connection: Connection[Any], draw: random.Random) -> None:
        while not self._over.is_set():
            query = draw.choice(self._queries)
            key = draw.choice(query.keys)
            for kind, text, values in (
                ("key", query.by_key, key),
                ("range", query.by_range, key[:1]),
            ):
                started = time.perf_counter()
                connection.execute(text, values).fetchall()
                self.reads.seconds[kind].append(time.perf_counter() - started)
            self._over.wait(_PAUSE)


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """How many there are, and how long they took, in milliseconds."""
    ordered = sorted(seconds)
    at = {
        f"p{share}": ordered[min(len(ordered) - 1, len(ordered) * share // 100)] * 1000
        for share in (50, 95, 99)
    }
    rounded = {name: round(value, 3) for name, value in at.items()}
    return {"reads": len(ordered), **rounded, "max": round(ordered[-1] * 1000, 3)}


def _query(connection: Connection[Any], relation: Relation) -> _Query:
    columns = next(iter(relation.file.unique_indexes.values()), None) or _indexed(relation)
    names = [sql.Identifier(column) for column in columns]
    listed = sql.SQL(", ").join(names)
    name = relation.name.identifier
    known = sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(n) for n in names)
    keys = connection.execute(
        sql.SQL("SELECT {} FROM {} WHERE {} ORDER BY random() LIMIT {}").format(
            listed, name, known, sql.Literal(_KEYS)
        )
    ).fetchall()
    same = sql.SQL(" AND ").join(sql.SQL("{} = %s").format(n) for n in names)
    return _Query(
        by_key=sql.SQL("SELECT * FROM {} WHERE {}").format(name, same),
        by_range=sql.SQL("SELECT * FROM {} WHERE {} >= %s ORDER BY {} LIMIT {}").format(
            name, names[0], listed, sql.Literal(_RANGE_ROWS)
        ),
        keys=keys,
    )


def _indexed(relation: Relation) -> tuple[str, ...]:
    """The columns of a relation's first index, for one that has no key."""
    text = next(iter(relation.file.indexes.values())).text
    return tuple(column.strip() for column in text[text.index("(") + 1 : -1].split(","))
