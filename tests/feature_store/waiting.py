"""Waiting until a session waits."""

from __future__ import annotations

import time

import pytest

from feature_store.connection import Connection


def wait_for_lock(session: Connection) -> None:
    """Until some session of this database waits for a lock."""
    for _ in range(200):
        waiting = session.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
            "AND datname = current_database()"
        ).fetchone()
        if waiting and waiting[0]:
            return
        time.sleep(0.02)
    pytest.fail("nobody ever came to wait for a lock")
