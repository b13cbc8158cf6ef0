"""Retention: what is kept of past runs, for how long, and what is kept for ever.

A run's audit rows go when it is older than `Settings.keep_days`, its report's file after
`Settings.keep_report_days`. Whatever their age these stay: the latest refresh of each relation (by
which changes are detected), the certified refreshes and the runs that certified them, refreshes
that a run which is kept used again, the history's baseline, open findings, accepted ones with name
and reason, and the judgement of the newest day, from which the settling window is counted.

Of what the features are made of only the latest run's is ever kept.

A night deletes about what a night writes; after the limit was lowered, a bounded part each night.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import Connection, sql

from feature_store.settings import Settings

_MOST_RUNS = 100
_MOST_REFRESHES = 2_000
_MOST_FINDINGS = 10_000
_OF_RUNS = ("expectation", "proof", "feature_nulls", "reuse", "run")
_REPORT = re.compile(r"report-.*-[0-9a-f]{10}\.html|\.[0-9a-f]{16}\.tmp")
_DAY = 86_400


@dataclass(frozen=True)
class Forgotten:
    """What retention deleted.

    Attributes:
        runs: whose audit rows are gone.
        refreshes: records of superseded refreshes.
        findings: of history, that were closed without a person.
        reports: files.
    """

    runs: int
    refreshes: int
    findings: int
    reports: int

    def __str__(self) -> str:
        if not any((self.runs, self.refreshes, self.findings, self.reports)):
            return "nothing was old enough to be deleted"
        return (
            f"deleted the audit rows of {self.runs} runs and {self.refreshes} refreshes, "
            f"{self.findings} findings, {self.reports} report files"
        )


def forget(connection: Connection[Any], settings: Settings) -> Forgotten:
    """Delete what is past its time.

    Raises:
        psycopg.Error: the audit rows could not be deleted; none of them were.
        OSError: a report could not be deleted.
    """
    runs = refreshes = findings = 0
    if settings.keep_days:
        with connection.transaction():
            runs = _forget_runs(connection, settings.keep_days)
            refreshes = connection.execute(
                _REFRESHES, {"days": settings.keep_days, "most": _MOST_REFRESHES}
            ).rowcount
            findings = connection.execute(
                _FINDINGS, {"days": settings.keep_days, "most": _MOST_FINDINGS}
            ).rowcount
    reports = 0
    if settings.keep_report_days:
        reports = _forget_reports(settings.report_dir, settings.keep_report_days)
    return Forgotten(runs, refreshes, findings, reports)


def _forget_runs(connection: Connection[Any], days: int) -> int:
    runs = connection.execute(_RUNS, {"days": days, "most": _MOST_RUNS}).fetchall()
    named = {"dags": [dag for dag, _ in runs], "runs": [run for _, run in runs]}
    for table in _OF_RUNS:
        connection.execute(
            sql.SQL(
                "DELETE FROM {} AS t USING unnest(%(dags)s::text[], %(runs)s::text[]) "
                "AS r (dag_id, run_id) WHERE t.dag_id = r.dag_id AND t.run_id = r.run_id"
            ).format(sql.Identifier("feature_store_audit", table)),
            named,
        )
    connection.execute(_JUDGEMENTS, named)
    return len(runs)


def _forget_reports(directory: Path, days: int) -> int:
    if not directory.is_dir():
        return 0
    oldest = time.time() - days * _DAY
    old = [
        path
        for path in directory.iterdir()
        if _REPORT.fullmatch(path.name) and path.lstat().st_mtime < oldest
    ]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)


_RUNS = """
SELECT r.dag_id, r.run_id
FROM feature_store_audit.run AS r
WHERE
    r.prepared_at < now() - make_interval(days => %(days)s)
    AND NOT EXISTS (
        SELECT FROM feature_store_audit.certified AS c
        WHERE c.dag_id = r.dag_id AND c.run_id = r.run_id
    )
    AND NOT EXISTS (
        SELECT FROM feature_store_audit.lease AS l
        WHERE l.dag_id = r.dag_id AND l.run_id = r.run_id
    )
ORDER BY r.prepared_at
LIMIT %(most)s
"""

_JUDGEMENTS = """
DELETE FROM feature_store_audit.history_judgement AS j
USING unnest(%(dags)s::text[], %(runs)s::text[]) AS r (dag_id, run_id)
WHERE
    j.dag_id = r.dag_id
    AND j.run_id = r.run_id
    AND j.as_of_day < (
        SELECT max(n.as_of_day) FROM feature_store_audit.history_judgement AS n
        WHERE n.as_of_day <= current_date
    )
"""

# What a refresh saw and what listed its spam goes with it.
_REFRESHES = """
DELETE FROM feature_store_audit.refresh AS d
WHERE d.refresh_id IN (
    SELECT r.refresh_id
    FROM feature_store_audit.refresh AS r
    WHERE
        r.finished_at < now() - make_interval(days => %(days)s)
        AND NOT EXISTS (
            SELECT FROM feature_store_audit.latest_refresh AS l WHERE l.refresh_id = r.refresh_id
        )
        AND NOT EXISTS (
            SELECT FROM feature_store_audit.certified AS c WHERE c.refresh_id = r.refresh_id
        )
        AND NOT EXISTS (
            SELECT FROM feature_store_audit.reuse AS u WHERE u.refresh_id = r.refresh_id
        )
    ORDER BY r.refresh_id
    LIMIT %(most)s
)
"""

_FINDINGS = """
DELETE FROM feature_store_audit.history_finding AS d
WHERE d.finding_id IN (
    SELECT f.finding_id
    FROM feature_store_audit.history_finding AS f
    WHERE
        f.outcome IN ('undone', 'redefined', 'reported')
        AND f.closed_at < now() - make_interval(days => %(days)s)
    ORDER BY f.finding_id
    LIMIT %(most)s
)
"""
