"""The refreshes of each relation, and which of them a run did itself or found still good.

A run that is cleared from its first task is prepared anew. What it did before that is not its own.
"""

from __future__ import annotations

from psycopg.rows import class_row

from feature_store.connection import Connection
from feature_store.reporting.run.facts import RefreshFacts

HISTORY = 30

_REFRESHES = """
WITH asked AS (
    SELECT event_id, CASE WHEN NOT %(now)s THEN verdict_event END AS until
    FROM feature_store_audit.run WHERE dag_id = %(dag)s AND run_id = %(run)s
),
known AS (
    SELECT r.*, coalesce(u.reason, '') AS reuse,
        r.dag_id = %(dag)s AND r.run_id = %(run)s AND coalesce(r.refresh_id > a.event_id, FALSE)
            AS refreshed,
        coalesce(r.refresh_id < a.until, TRUE) AS is_before_verdict
    FROM feature_store_audit.refresh AS r
    LEFT JOIN asked AS a ON TRUE
    LEFT JOIN feature_store_audit.reuse AS u
        ON r.refresh_id = u.refresh_id AND u.dag_id = %(dag)s AND u.run_id = %(run)s
        AND u.event_id > a.event_id
),
numbered AS (
    SELECT *, row_number() OVER (PARTITION BY relation ORDER BY refresh_id DESC) AS age,
        max(refresh_id) OVER (PARTITION BY relation) AS latest,
        bool_or(refreshed OR reuse <> '') OVER (PARTITION BY relation) AS is_of_run
    FROM known
    WHERE refreshed OR reuse <> '' OR is_before_verdict
)
SELECT n.relation, n.mode, n.row_count, n.bytes, n.seconds, n.finished_at, n.refreshed, n.reuse
FROM numbered AS n
WHERE n.age <= %(most)s AND (
    (n.is_of_run AND NOT %(now)s)
    -- What was dropped by name is no longer a relation of the store.
    OR EXISTS (SELECT FROM feature_store_audit.definition AS d WHERE d.object = n.relation)
)
ORDER BY n.latest, n.refresh_id
"""


def read_refreshes(
    connection: Connection, dag_id: str, run_id: str
) -> tuple[tuple[RefreshFacts, ...], ...]:
    """Each relation's latest refreshes until the run's verdict, oldest first.

    So the report of an older run shows the history that it stood in, not what came later.
    """
    histories: dict[str, list[RefreshFacts]] = {}
    for refresh in _read(connection, dag_id, run_id, HISTORY, now=False):
        histories.setdefault(refresh.relation, []).append(refresh)
    return tuple(tuple(history) for history in histories.values())


def read_readable(connection: Connection, dag_id: str, run_id: str) -> tuple[RefreshFacts, ...]:
    """The refresh whose rows readers have now, of each relation of the store."""
    return tuple(_read(connection, dag_id, run_id, 1, now=True))


def _read(
    connection: Connection, dag_id: str, run_id: str, most: int, *, now: bool
) -> list[RefreshFacts]:
    with connection.cursor(row_factory=class_row(RefreshFacts)) as cursor:
        asked = {"dag": dag_id, "run": run_id, "most": most, "now": now}
        return cursor.execute(_REFRESHES, asked).fetchall()
