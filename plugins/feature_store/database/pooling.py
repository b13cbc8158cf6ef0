"""Recognises a pooler that gives each transaction another session (transaction pooling).

Behind such a pooler, the settings that a session pins would be lost with the next statement, and
would change the results of whatever application gets that session. So this is checked before
anything is pinned.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg
from psycopg import Connection

from feature_store.errors import BadInput

# Between two checks another application may get the session and hide the pooler.
_LOOKS = 10


def refuse_shared_sessions(
    connection: Connection[Any], another: Callable[[], Connection[Any]]
) -> None:
    """Check that a connection has its own session of the server.

    Args:
        connection: in autocommit mode.
        another: opens another one in the same way; used only if there is something in between.

    Raises:
        BadInput: it does not.
    """
    own = _session(connection)
    if own == connection.info.backend_pid:
        return  # the server greeted us itself
    with closing(another()) as other:
        other.autocommit = True
        if any(_is_shared(connection, own, other) for _ in range(_LOOKS)):
            raise BadInput(
                "The Airflow connection leads to a pooler that gives each transaction another "
                "session (PgBouncer calls it transaction pooling). A run sets what decides "
                "results (such as the time zone) once per session. Here these settings would be "
                "lost, and would reach other applications.",
                readers="nothing was changed.",
                next_step="Connect to the server itself, or to a pool with pool_mode = session.",
            )


def _is_shared(connection: Connection[Any], own: int, other: Connection[Any]) -> bool:
    try:
        with other.transaction():
            # An idle session is given to whoever asks next. With the other one in its hands, the
            # pooler has to give us a new one.
            return _session(other) == own or _session(connection) != own
    except psycopg.errors.ProtocolViolation:
        return True  # not even a transaction keeps its session: statement pooling


def _session(connection: Connection[Any]) -> int:
    # Not prepared: another session would not know it.
    row = connection.execute("SELECT pg_catalog.pg_backend_pid()", prepare=False).fetchone()
    assert row is not None  # a SELECT without FROM
    return int(row[0])
