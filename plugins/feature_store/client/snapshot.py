"""One transaction that sees one moment of the store, reads only, and ends within its time."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from threading import Event, Timer
from typing import Any

import psycopg
from psycopg import IsolationLevel, sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import tuple_row

from feature_store.client.errors import TimedOut, told_to_people
from feature_store.connection import Connection
from feature_store.errors import BadInput, CannotConnect, StoreError

_CONNECT_SECONDS = 10
_MOST_SECONDS = 24 * 3600

# Set for this transaction only, because a pooler may give the session to others afterwards.
_PINNED = {
    "search_path": "pg_catalog",
    "client_encoding": "UTF8",
    "row_security": "off",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    # Else the contract's check does not know types such as "text".
    "quote_all_identifiers": "off",
    # Waiting for a lock counts towards the timeout.
    "lock_timeout": "0",
    # Plan for all rows, not for the first ones.
    "cursor_tuple_fraction": "1",
}


@contextmanager
def one_snapshot(
    conninfo: str, timeout: float, views: Callable[[Connection], Sequence[sql.Identifier]]
) -> Iterator[Connection]:
    """Open a transaction, and end it.

    Args:
        conninfo: as libpq reads it; what it leaves out comes from ``PG…`` and the password file.
        timeout: the most seconds for all of it, once it is connected.
        views: names the plain views that are going to be read. They are locked before the
            snapshot: one that was taken before a table below them was reloaded sees it empty.

    Raises:
        BadInput: the string or the time cannot be used.
        CannotConnect: the server cannot be reached or refuses the login.
        TimedOut: it took longer, whatever the reason: a lock, a large set, a silent server.
        StoreError: see `told_to_people`.
    """
    if not 1 <= timeout <= _MOST_SECONDS:
        raise BadInput(f"timeout is {timeout}; expected 1 to {_MOST_SECONDS} seconds.")
    with (
        closing(_connect(conninfo, timeout)) as connection,
        _ended_after(connection, timeout),
        told_to_people(connection.info.user),
    ):
        connection.read_only = True
        connection.prepare_threshold = None
        _pin(connection, timeout)
        locked = views(connection)
        connection.rollback()
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        _pin(connection, timeout)
        if locked:
            names = sql.SQL(", ").join(locked)
            connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(names))
        yield connection


def _pin(connection: Connection, timeout: float) -> None:
    settings = _PINNED | {"statement_timeout": f"{timeout * 1000:.0f}ms"}
    for name, value in settings.items():
        set_for_now(connection, name, value)


def set_for_now(connection: Connection, name: str, value: str) -> None:
    """Set something until the transaction ends. Unlike ``set_config``, this takes no snapshot."""
    connection.execute(
        sql.SQL("SET LOCAL {} = {}").format(sql.Identifier(name), sql.Literal(value))
    )


def _connect(conninfo: str, timeout: float) -> Connection:
    try:
        given = conninfo_to_dict(conninfo)
    except (psycopg.Error, UnicodeEncodeError):
        # libpq quotes what it did not understand, which may be part of a password.
        raise BadInput(
            "The connection string cannot be read.",
            next_step='Give one such as "host=db dbname=scrapes user=ann", or a URL.',
        ) from None
    options: dict[str, Any] = {
        "connect_timeout": max(2, int(min(timeout, _CONNECT_SECONDS))),
        "fallback_application_name": "feature_store client",
    }
    try:
        return psycopg.connect(**(options | given), row_factory=tuple_row)
    except psycopg.Error as error:
        raise CannotConnect(
            f"Cannot connect to the database: {str(error).strip()}",
            next_step="Check the server and the connection string.",
        ) from error


@contextmanager
def _ended_after(connection: Connection, timeout: float) -> Iterator[None]:
    """Close the connection when the time is over, even if the server does not answer at all."""
    over = Event()
    with closing(socket.socket(fileno=os.dup(connection.fileno()))) as line:

        def end() -> None:
            over.set()
            with suppress(OSError):  # already closed
                line.shutdown(socket.SHUT_RDWR)

        timer = Timer(timeout, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        except StoreError as error:
            if not over.is_set():
                raise
            raise TimedOut(
                f"Reading took longer than {timeout:g} seconds.",
                next_step="Try again when no run is going on, read fewer columns or days, or give "
                "a longer timeout.",
            ) from error
        finally:
            timer.cancel()
            timer.join()
