"""Findings of history as the page shows them; rows of examples, which can be many, as words."""

from __future__ import annotations

from datetime import date
from typing import Any

from psycopg.rows import class_row

from feature_store.connection import Connection, one_value
from feature_store.reporting.store.models import FindingLine, ReviewDay
from feature_store.validation.history.acceptance import acceptance
from feature_store.validation.history.by_day import words_by_day
from feature_store.validation.history.findings import find

_MOST_DAYS = 25
_FIRST_REVIEWS = """
outcome IS NULL AND kind = 'review' AND day IN (
    SELECT DISTINCT f.day FROM feature_store_audit.history_finding AS f
    WHERE f.outcome IS NULL AND f.kind = 'review' ORDER BY f.day LIMIT %s
)
"""

_MOST_EXCEPTIONS = 200
_SINCE = """
found_at >= %s AND (kind <> 'exception' OR finding_id IN (
    SELECT f.finding_id FROM feature_store_audit.history_finding AS f
    WHERE f.kind = 'exception' AND f.found_at >= %s ORDER BY f.finding_id DESC LIMIT %s
))
"""

_FINDINGS = """
SELECT finding_id, kind, layer, relation, day, rows_came AS came, rows_went AS went,
    rows_changed AS changed, changed_columns AS columns, details, found_at, dag_id, run_id,
    outcome AS resolution, closed_by, reason
FROM feature_store_audit.history_finding
WHERE {} ORDER BY day NULLS FIRST, layer COLLATE "C", finding_id
"""


def open_findings(connection: Connection) -> list[FindingLine]:
    """The open findings."""
    return _find(connection, "outcome IS NULL")


def findings_since(connection: Connection, since: date) -> tuple[list[FindingLine], int]:
    """What was found on that day or later, open or closed.

    Of the declared exceptions only the latest, and how many more there are: where values are
    scored anew, each night may find one for each of hundreds of days, and nobody needs to answer.
    """
    found = _find(connection, _SINCE, since, since, _MOST_EXCEPTIONS)
    all_of_them: int = one_value(
        connection,
        "SELECT count(*) FROM feature_store_audit.history_finding "
        "WHERE kind = 'exception' AND found_at >= %s",
        (since,),
    )
    return found, all_of_them - sum(finding.kind == "exception" for finding in found)


def findings_of_run(connection: Connection, dag_id: str, run_id: str) -> list[FindingLine]:
    """What a run found first."""
    return _find(connection, "run_id = %s AND dag_id = %s", run_id, dag_id)


def review_days(connection: Connection, key: str) -> list[ReviewDay]:
    """What waits for a person, day by day, as the review's mail tells it.

    Args:
        connection: a session that may read what history found.
        key: the column by which the store knows its entities; empty: none.
    """
    days = words_by_day(find(connection, _FIRST_REVIEWS, _MOST_DAYS), key)
    return [ReviewDay(day=day, words=words, accept=acceptance(day)) for day, words in days.items()]


def _find(connection: Connection, condition: str, *values: Any) -> list[FindingLine]:
    with connection.cursor(row_factory=class_row(FindingLine)) as cursor:
        return cursor.execute(_FINDINGS.format(condition).encode(), values).fetchall()
