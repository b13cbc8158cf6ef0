"""Writing the days of a baseline: their fingerprints, and by these the rows behind them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from feature_store.audit.lease import Lease, RunKey
from feature_store.connection import Connection
from feature_store.validation.history.fingerprints import Fingerprint


def first_days(
    connection: Connection, layer: str, days: Mapping[date, Fingerprint], run: RunKey
) -> None:
    """Write the fingerprints of a baseline that has none."""
    connection.execute(
        """
        INSERT INTO feature_store_audit.history_day
            (layer, day, row_count, fingerprint, dag_id, run_id)
        SELECT %(layer)s, d.day, d.row_count, d.fingerprint, %(dag_id)s, %(run_id)s
        FROM unnest(%(days)s::date[], %(rows)s::bigint[], %(digests)s::bytea[])
            AS d (day, row_count, fingerprint)
        """,
        {"layer": layer, **_columns(days), "dag_id": run.dag_id, "run_id": run.run_id},
    )


def move_days(
    connection: Connection, lease: Lease, layer: str, days: Mapping[date, Fingerprint]
) -> None:
    """Make days, with the changes that were found on them, the baseline.

    A day without rows is deleted. The database refuses a day with an open finding.
    """
    connection.execute(
        "SELECT feature_store_audit.move_baseline("
        "%(token)s, %(layer)s, %(days)s::date[], %(rows)s::bigint[], %(digests)s::bytea[])",
        {"token": lease.token, "layer": layer, **_columns(days)},
    )


def _columns(days: Mapping[date, Fingerprint]) -> dict[str, Any]:
    return {
        "days": list(days),
        "rows": [fingerprint.rows for fingerprint in days.values()],
        "digests": [fingerprint.digest for fingerprint in days.values()],
    }
