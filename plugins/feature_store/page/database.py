"""A session that only reads, one for each request."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

from psycopg import Connection, IsolationLevel

from feature_store.errors import CannotConnect
from feature_store.session import connect
from feature_store.settings import Settings

STATEMENT_SECONDS = 10
_CONNECT_SECONDS = 5
_LOCK_SECONDS = 2

# The server answers all of Airflow with one set of threads. Requests that wait for a database that
# does not answer must leave some to others.
_SESSIONS = threading.BoundedSemaphore(8)
_PATIENCE = 2


@contextmanager
def read_only(settings: Settings) -> Iterator[Connection[Any]]:
    """Open a session in one transaction that sees one state of the store, and can only read.

    Args:
        settings: names the Airflow connection.

    Raises:
        BadInput: Airflow does not know the connection.
        CannotConnect: the server cannot be reached or refuses the login, or too many others ask.
    """
    if not _SESSIONS.acquire(timeout=_PATIENCE):
        raise CannotConnect("Too many requests wait for the feature store's database.")
    try:
        short = replace(settings, statement_timeout=STATEMENT_SECONDS, lock_timeout=_LOCK_SECONDS)
        with closing(connect(short, "page", connect_timeout=_CONNECT_SECONDS)) as connection:
            connection.execute("SET default_transaction_read_only = on")
            connection.read_only = True
            connection.isolation_level = IsolationLevel.REPEATABLE_READ
            with connection.transaction():
                yield connection
    finally:
        _SESSIONS.release()
