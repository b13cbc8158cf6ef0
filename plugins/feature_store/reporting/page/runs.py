"""Runs of the DAG: their list, one of them whole, and what its report tells."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from urllib.parse import urlencode

from psycopg import Connection
from psycopg.rows import class_row

from feature_store.errors import BadInput
from feature_store.reporting.page.findings import findings_of_run
from feature_store.reporting.page.models import (
    ExpectationLine,
    RefreshLine,
    RunDetail,
    RunLine,
    Runs,
)
from feature_store.reporting.page.problems import NotFound
from feature_store.reporting.page.store_files import Files
from feature_store.reporting.report.facts import ReportFacts
from feature_store.reporting.report.read import read_report_facts
from feature_store.schema.object_states import require_store
from feature_store.settings import Settings

SAMPLE = 20

# As its report counts: what an earlier try of a run found, or what was found before the run
# refreshed something once more, says nothing of its rows.
_RUNS = """
SELECT r.dag_id, r.run_id, r.run_type, r.as_of_day, r.prepared_at, r.verdict, r.verdict_at,
    r.problem, e.met, e.warnings, e.broken, e.errors
FROM (
    SELECT * FROM feature_store_audit.run
    WHERE prepared_at >= coalesce(%(since)s::timestamptz, '-infinity')
        AND prepared_at < coalesce(%(before)s::timestamptz, 'infinity')
    ORDER BY event_id DESC
    LIMIT %(most)s
) AS r
CROSS JOIN LATERAL (
    SELECT greatest(r.event_id, max(f.refresh_id)) AS since
    FROM feature_store_audit.refresh AS f
    WHERE f.dag_id = r.dag_id AND f.run_id = r.run_id
) AS s
CROSS JOIN LATERAL (
    SELECT
        count(*) FILTER (WHERE x.outcome = 'met') AS met,
        count(*) FILTER (WHERE x.outcome = 'broken' AND x.severity = 'warning') AS warnings,
        count(*) FILTER (WHERE x.outcome = 'broken' AND x.severity = 'critical') AS broken,
        count(*) FILTER (WHERE x.outcome = 'error') AS errors
    FROM feature_store_audit.expectation AS x
    WHERE x.dag_id = r.dag_id AND x.run_id = r.run_id AND x.suite_event >= s.since
) AS e
ORDER BY r.event_id DESC
"""


def latest_runs(
    connection: Connection[Any],
    most: int | None,
    *,
    before: datetime | None = None,
    since: date | None = None,
) -> list[RunLine]:
    """Runs in a span of time, latest first; all of them if ``most`` is None."""
    with connection.cursor(row_factory=class_row(RunLine)) as cursor:
        return cursor.execute(_RUNS, {"since": since, "before": before, "most": most}).fetchall()


def read_runs(
    connection: Connection[Any], settings: Settings, before: datetime | None, limit: int
) -> Runs:
    """A page of the list.

    Raises:
        NotReady: the store has not been created.
    """
    require_store(connection)
    found = latest_runs(connection, limit + 1, before=before)
    return Runs(zone=settings.zone, runs=found[:limit], more=len(found) > limit)


def read_run(
    connection: Connection[Any], settings: Settings, files: Files, dag_id: str, run_id: str
) -> RunDetail:
    """One run, without its tasks, which only Airflow knows.

    Raises:
        NotFound: it is not recorded.
    """
    facts = read_facts(connection, dag_id, run_id)
    return RunDetail(
        zone=settings.zone,
        run=_line(facts),
        expectations=[
            ExpectationLine(
                suite=e.suite,
                expectation=e.expectation,
                relation=e.relation,
                severity=e.severity,
                outcome=e.outcome,
                expected=e.expected,
                observed=e.observed,
                sample=_rows(_telling(facts, e.expectation, e.sample)),
            )
            for e in facts.expectations
        ],
        refreshes=[
            RefreshLine(
                relation=last.relation,
                label=files.label(last.relation),
                mode=last.mode,
                rows=last.row_count,
                seconds=last.seconds,
                finished_at=last.finished_at,
                reused=last.reuse,
            )
            for *_, last in facts.refreshes
            if last.of_run
        ],
        findings=findings_of_run(connection, dag_id, run_id),
        tasks=[],
        tasks_words="",
        report="api/report?" + urlencode({"dag_id": dag_id, "run_id": run_id}),
    )


def read_facts(connection: Connection[Any], dag_id: str, run_id: str) -> ReportFacts:
    """All that the report of a run tells.

    Raises:
        NotFound: it is not recorded.
    """
    try:
        return read_report_facts(connection, dag_id, run_id)
    except BadInput as error:
        raise NotFound(error.problem, error.next_step or "") from error


def _line(facts: ReportFacts) -> RunLine:
    run = facts.run
    told = [(e.outcome, e.severity) for e in facts.expectations]
    return RunLine(
        dag_id=run.dag_id,
        run_id=run.run_id,
        run_type=run.run_type,
        as_of_day=run.as_of_day,
        prepared_at=run.prepared_at,
        verdict=run.verdict,
        verdict_at=run.verdict_at,
        problem=run.problem,
        met=sum(outcome == "met" for outcome, _ in told),
        warnings=told.count(("broken", "warning")),
        broken=told.count(("broken", "critical")),
        errors=sum(outcome == "error" for outcome, _ in told),
    )


def _telling(facts: ReportFacts, expectation: str, sample: list[Any]) -> list[Any]:
    """The rows that breach an expectation; of one of a proof, those that the proof found."""
    proven = next((p.sample for p in facts.proofs if p.proof == expectation), [])
    return proven or sample


def _rows(sample: list[Any]) -> list[dict[str, Any]]:
    return [row if isinstance(row, dict) else {"row": row} for row in sample[:SAMPLE]]
