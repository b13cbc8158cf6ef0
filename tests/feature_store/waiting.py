"""Waiting until a session waits."""

from __future__ import annotations

import time

import pytest

from feature_store.connection import Connection


def wait_for_lock(session: Connection, sessions: int = 1) -> None:
    """Until some sessions of this database wait for a lock."""
    for _ in range(200):
        waiting = session.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
            "AND datname = current_database()"
        ).fetchone()
        if waiting and waiting[0] >= sessions:
            return
        time.sleep(0.02)
    pytest.fail("nobody ever came to wait for a lock")
