"""Who has the lease of the store now, without a verdict yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from feature_store.connection import Connection

_LEASE = """
SELECT l.dag_id, l.run_id, l.taken_at, l.seen_at
FROM feature_store_audit.lease AS l
LEFT JOIN feature_store_audit.run AS r ON l.dag_id = r.dag_id AND l.run_id = r.run_id
WHERE l.run_id IS NOT NULL AND r.verdict IS NULL
"""


@dataclass(frozen=True)
class LeaseNow:
    """Who has the lease, and when it was taken and last confirmed."""

    dag_id: str
    run_id: str
    taken_at: datetime
    seen_at: datetime


def read_lease(connection: Connection) -> LeaseNow | None:
    """Read it; None if nobody has it, or its run has a verdict."""
    with connection.cursor(row_factory=class_row(LeaseNow)) as cursor:
        return cursor.execute(_LEASE).fetchone()
