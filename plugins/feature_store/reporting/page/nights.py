"""The store over time."""

from __future__ import annotations

from datetime import date

from psycopg.rows import dict_row

from feature_store.connection import Connection
from feature_store.reporting.page.findings import findings_since
from feature_store.reporting.page.runs import latest_runs
from feature_store.reporting.page.schedule import days_ago
from feature_store.reporting.store.models import Nights, RelationNights
from feature_store.reporting.store.store_files import Files
from feature_store.schema.object_states import require_store
from feature_store.settings import Settings

_REFRESHES = """
SELECT
    relation AS name,
    array_agg(finished_at ORDER BY refresh_id) AS finished_at,
    array_agg(row_count ORDER BY refresh_id) AS rows,
    array_agg(bytes ORDER BY refresh_id) AS bytes,
    array_agg(seconds ORDER BY refresh_id) AS seconds
FROM feature_store_audit.refresh
WHERE finished_at >= %s
GROUP BY relation
"""


def read_nights(connection: Connection, settings: Settings, files: Files, days: int) -> Nights:
    """Read that many days of runs, refreshes and findings.

    Raises:
        NotReady: the store has not been created.
    """
    require_store(connection)
    since = days_ago(settings, days)
    runs = latest_runs(connection, None, since=since)[::-1]
    findings, more = findings_since(connection, since)
    return Nights(
        zone=settings.zone,
        since=since,
        # A backfill's runs come last, and answer for older days.
        until=max([since, *(run.as_of_day for run in runs)]),
        runs=runs,
        relations=_relations(connection, files, since),
        findings=findings,
        more_exceptions=more,
    )


def _relations(connection: Connection, files: Files, since: date) -> list[RelationNights]:
    with connection.cursor(row_factory=dict_row) as cursor:
        found = {row["name"]: row for row in cursor.execute(_REFRESHES, (since,))}
    return [
        RelationNights(label=relation.label, refresh=relation.refresh.value, **found[name])
        for name, relation in files.relations.items()
        if name in found
    ]
