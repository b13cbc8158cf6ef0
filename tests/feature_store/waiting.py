"""Waiting until a session waits."""

from __future__ import annotations

import time
from typing import Any

import pytest
from psycopg import Connection


def wait_for_lock(session: Connection[Any]) -> None:
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
