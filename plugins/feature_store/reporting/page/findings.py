"""Findings of history for the page: without example rows, which can be many."""

from __future__ import annotations

from datetime import date
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row

from feature_store.reporting.page.models import FindingLine

_FINDINGS = """
SELECT finding_id, kind, layer, relation, day, rows_came AS came, rows_went AS went,
    rows_changed AS changed, changed_columns AS columns, details, found_at, dag_id, run_id, outcome,
    closed_by, reason
FROM feature_store_audit.history_finding
WHERE {} ORDER BY day NULLS FIRST, layer COLLATE "C", finding_id
"""


def open_findings(connection: Connection[Any]) -> list[FindingLine]:
    """The open findings."""
    return _find(connection, "outcome IS NULL")


def findings_since(connection: Connection[Any], since: date) -> list[FindingLine]:
    """What was found on that day or later, open or closed."""
    return _find(connection, "found_at >= %s", since)


def findings_of_run(connection: Connection[Any], dag_id: str, run_id: str) -> list[FindingLine]:
    """What a run found first."""
    return _find(connection, "run_id = %s AND dag_id = %s", run_id, dag_id)


def _find(connection: Connection[Any], condition: str, *values: Any) -> list[FindingLine]:
    with connection.cursor(row_factory=class_row(FindingLine)) as cursor:
        return cursor.execute(_FINDINGS.format(condition).encode(), values).fetchall()
