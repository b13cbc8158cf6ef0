"""Telling a pooler that gives each transaction another session: PgBouncer's transaction pooling.

What a session of ours pins would be lost with its next statement, and would change the results of
whichever application is given that session then. So this is asked before anything is pinned.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import psycopg

from feature_store.connection import Connection
from feature_store.errors import BadInput

# Other applications may be given the session between two looks of ours, and hide it.
_LOOKS = 10


def refuse_shared_sessions(connection: Connection, another: Callable[[], Connection]) -> None:
    """Check that a connection has a session of the server to itself.

    Args:
        connection: in autocommit mode.
        another: opens one more, in the same way; only where something stands in between.

    Raises:
        BadInput: it has not.
    """
    own = _session(connection)
    if own == connection.info.backend_pid:
        return  # the server greeted us itself
    with closing(another()) as other:
        other.autocommit = True
        if any(_is_shared(connection, own, other) for _ in range(_LOOKS)):
            raise BadInput(
                "The Airflow connection leads to a pooler that gives each transaction another "
                "session (PgBouncer calls it transaction pooling). What decides results is pinned "
                "for a session: here it would be lost, and would reach other applications.",
                readers="nothing was changed.",
                next_step="Let the connection go to the server itself, or to a pool of "
                "pool_mode = session.",
            )


def _is_shared(connection: Connection, own: int, other: Connection) -> bool:
    try:
        with other.transaction():
            # An idle session is given to whoever asks next. With the other one in its hands, the
            # pooler has to give us a new one.
            return _session(other) == own or _session(connection) != own
    except psycopg.errors.ProtocolViolation:
        return True  # not even a transaction keeps its session: statement pooling


def _session(connection: Connection) -> int:
    # Not prepared: another session would not know it.
    (row,) = connection.execute("SELECT pg_catalog.pg_backend_pid()", prepare=False)
    return int(row[0])
