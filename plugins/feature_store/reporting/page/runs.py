"""Runs of the DAG: the list, one run in full, and its report."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime
from typing import Any
from urllib.parse import urlencode

from psycopg.rows import dict_row

from feature_store.connection import Connection
from feature_store.errors import BadInput
from feature_store.reporting.page.findings import findings_of_run
from feature_store.reporting.page.problems import NotFound
from feature_store.reporting.page.run_models import (
    ExpectationLine,
    RefreshLine,
    RunDetail,
    Runs,
    StepLine,
)
from feature_store.reporting.page.tasks import RunTasks
from feature_store.reporting.run.facts import RunRecord, result_of
from feature_store.reporting.run.headline import what_broke
from feature_store.reporting.run.next_steps import next_steps
from feature_store.reporting.run.read import read_record
from feature_store.reporting.run.run_again import PastRun
from feature_store.reporting.store.models import RunLine
from feature_store.reporting.store.store_files import Files
from feature_store.schema.object_states import require_store
from feature_store.settings import Settings

_RUNS = """
SELECT r.dag_id, r.run_id, r.run_type, r.as_of_day, r.prepared_at, r.verdict, r.verdict_at,
    r.problem, e.results
FROM (
    SELECT * FROM feature_store_audit.run
    WHERE prepared_at >= coalesce(%(since)s::timestamptz, '-infinity')
        AND prepared_at < coalesce(%(before)s::timestamptz, 'infinity')
    ORDER BY event_id DESC
    LIMIT %(most)s
) AS r
CROSS JOIN LATERAL (
    SELECT coalesce(jsonb_agg(jsonb_build_array(n.outcome, n.severity, n.times)), '[]') AS results
    FROM (
        SELECT x.outcome, x.severity, count(*) AS times
        FROM feature_store_audit.finding AS x
        WHERE x.dag_id = r.dag_id AND x.run_id = r.run_id AND x.counts
        GROUP BY x.outcome, x.severity
    ) AS n
) AS e
ORDER BY r.event_id DESC
"""


def latest_runs(
    connection: Connection,
    most: int | None,
    *,
    before: datetime | None = None,
    since: date | None = None,
) -> list[RunLine]:
    """Runs in a span of time, latest first; all of them if ``most`` is None."""
    with connection.cursor(row_factory=dict_row) as cursor:
        asked = {"since": since, "before": before, "most": most}
        rows = cursor.execute(_RUNS, asked).fetchall()
    return [RunLine(**_counts(row.pop("results")), **row) for row in rows]


def _counts(results: list[tuple[str, str, int]]) -> dict[str, Any]:
    times: Counter[str] = Counter()
    for outcome, severity, n in results:
        times[result_of(outcome, severity)] += n
    return {
        "met": times["met"],
        "warnings": times["warning"],
        "broken": times["broken"],
        "errors": times["error"],
    }


def read_runs(
    connection: Connection, settings: Settings, before: datetime | None, limit: int
) -> Runs:
    """A page of the list.

    Raises:
        NotReady: the store has not been created.
    """
    require_store(connection)
    found = latest_runs(connection, limit + 1, before=before)
    return Runs(zone=settings.zone, runs=found[:limit], more=len(found) > limit)


def read_run(
    connection: Connection,
    settings: Settings,
    files: Files,
    dag_id: str,
    run_id: str,
    in_airflow: RunTasks,
) -> RunDetail:
    """One run, from the store's record.

    Args:
        connection: a session on the store.
        settings: of the store.
        files: of the store.
        dag_id: of the run's DAG.
        run_id: of the run.
        in_airflow: what only Airflow knows of it.

    Raises:
        NotFound: it is not recorded.
    """
    facts = read_facts(connection, dag_id, run_id)
    return RunDetail(
        zone=settings.zone,
        run=run_line(facts),
        steps=_steps(facts, settings, in_airflow),
        expectations=[
            ExpectationLine(
                suite=e.suite,
                expectation=e.expectation,
                relation=e.relation,
                severity=e.severity,
                result=e.outcome,
                expected=e.expected,
                observed=e.found,
                sample=list(e.sample),
            )
            for e in facts.findings
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
        tasks=list(in_airflow.tasks),
        tasks_words=in_airflow.words,
        report="api/report?" + urlencode({"dag_id": dag_id, "run_id": run_id}),
    )


def _steps(facts: RunRecord, settings: Settings, in_airflow: RunTasks) -> list[StepLine]:
    """What to do, as the mail says it; a run that Airflow does not know is not cleared, but new."""
    run = facts.run
    if run.verdict != "failed":
        return []
    tasks = [task.task_id for task in in_airflow.tasks]
    past = PastRun(
        run.dag_id,
        in_airflow.logical_date,
        tasks,
        run.run_type,
        in_airflow.given,
        run.as_of_day,
    )
    steps = next_steps(past, run.account, facts.findings, settings.include_dir)
    return [StepLine(words=step.words, command=step.command) for step in steps]


def read_facts(connection: Connection, dag_id: str, run_id: str) -> RunRecord:
    """Everything that the report of a run shows.

    Raises:
        NotFound: it is not recorded.
    """
    try:
        return read_record(connection, dag_id, run_id)
    except BadInput as error:
        raise NotFound(error.problem, error.next_step) from error


def run_line(facts: RunRecord) -> RunLine:
    """A fully known run, as a line of the list."""
    run = facts.run
    return RunLine(
        dag_id=run.dag_id,
        run_id=run.run_id,
        run_type=run.run_type,
        as_of_day=run.as_of_day,
        prepared_at=run.prepared_at,
        verdict=run.verdict,
        verdict_at=run.verdict_at,
        problem=run.problem,
        cause=what_broke(run.account, facts.findings) if run.verdict == "failed" else "",
        met=facts.met,
        warnings=len(facts.warnings),
        broken=len(facts.broken),
        errors=len(facts.errors),
    )
