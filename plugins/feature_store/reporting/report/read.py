"""Reading what a run's report tells, from the audit tables and the contracts' tables alone."""

from __future__ import annotations

from typing import Any

from psycopg import Connection, sql
from psycopg.rows import class_row, tuple_row

from feature_store.errors import BadInput, NotReady
from feature_store.reporting.report.facts import (
    ContractFacts,
    ExpectationFacts,
    ProofFacts,
    RefreshFacts,
    ReportFacts,
    RunFacts,
    SeenFacts,
)
from feature_store.reporting.report.skew import moved_features
from feature_store.schema.governance import REGISTRY
from feature_store.schema.object_states import require_store
from feature_store.validation.certification import certified_in_words
from feature_store.validation.history.findings import open_leaks, pending_reviews

HISTORY = 30


def latest_run(connection: Connection[Any]) -> tuple[str, str]:
    """The DAG and the run that had its turn last.

    Raises:
        NotReady: there is none yet.
    """
    runs = _latest_runs(connection, 1)
    if not runs:
        raise NotReady(
            "No run has been recorded in this database yet.",
            next_step="Run the DAG once; a run that could not reach the database leaves no record.",
        )
    return runs[0]


def read_report_facts(connection: Connection[Any], dag_id: str, run_id: str) -> ReportFacts:
    """Read what the report of a run tells. Reads only.

    Raises:
        BadInput: no such run is recorded; the message names the latest that are.
        NotReady: the store has not been created.
    """
    run = _run(connection, dag_id, run_id)
    refreshes = _refreshes(connection, run)
    since = _since(connection, run)
    expectations = _expectations(connection, run, since)
    proofs = _proofs(connection, run, since)
    return ReportFacts(
        run=run,
        expectations=tuple(expectations),
        proofs=tuple(proofs),
        outdated=_outdated(connection, run, since),
        refreshes=refreshes,
        seen=_seen(connection, run),
        skew=moved_features(connection, dag_id, run_id),
        contracts=_contracts(connection),
        certified=certified_in_words(connection),
        leaks=tuple(map(str, open_leaks(connection))),
        reviews=tuple(map(str, pending_reviews(connection))),
    )


def _run(connection: Connection[Any], dag_id: str, run_id: str) -> RunFacts:
    latest = _latest_runs(connection, 5)
    with connection.cursor(row_factory=class_row(RunFacts)) as cursor:
        run = cursor.execute(
            "SELECT r.dag_id, r.run_id, r.run_type, r.as_of_day, r.zone, r.prepared_at, "
            "r.server_version, r.verdict, r.verdict_at, r.problem, "
            "r.event_id, r.verdict_event, EXISTS (SELECT FROM "
            "feature_store_audit.lease AS l WHERE l.dag_id = r.dag_id AND l.run_id = r.run_id) "
            "AS holds_lease FROM feature_store_audit.run AS r WHERE dag_id = %s AND run_id = %s",
            (dag_id, run_id),
        ).fetchone()
    if run is None:
        known = ", ".join(f"{known_run!r} of {dag}" for dag, known_run in latest)
        raise BadInput(
            f"No run {run_id!r} of {dag_id} is recorded, or its record is past retention.",
            next_step=f"Use one of the latest: {known}." if known else "Run the DAG once.",
        )
    return run


def _latest_runs(connection: Connection[Any], most: int) -> list[tuple[str, str]]:
    require_store(connection)
    with connection.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(
            "SELECT dag_id, run_id FROM feature_store_audit.run ORDER BY event_id DESC LIMIT %s",
            (most,),
        ).fetchall()


def _since(connection: Connection[Any], run: RunFacts) -> int:
    """The number of the run's last refresh: what was found before says nothing of its rows."""
    row = connection.execute(
        "SELECT coalesce(max(refresh_id), 0) FROM feature_store_audit.refresh "
        "WHERE dag_id = %s AND run_id = %s",
        (run.dag_id, run.run_id),
    ).fetchone()
    assert row is not None  # an aggregate
    return max(run.event_id, int(row[0]))


def _outdated(connection: Connection[Any], run: RunFacts, since: int) -> int:
    """How much was found before that number."""
    row = connection.execute(
        "SELECT count(*) FROM (SELECT dag_id, run_id, suite_event FROM "
        "feature_store_audit.expectation UNION ALL "
        "SELECT dag_id, run_id, suite_event FROM feature_store_audit.proof) AS found "
        "WHERE dag_id = %s AND run_id = %s AND suite_event < %s",
        (run.dag_id, run.run_id, since),
    ).fetchone()
    assert row is not None  # an aggregate
    return int(row[0])


def _expectations(connection: Connection[Any], run: RunFacts, since: int) -> list[ExpectationFacts]:
    with connection.cursor(row_factory=class_row(ExpectationFacts)) as cursor:
        return cursor.execute(
            "SELECT suite, expectation, relation, severity, outcome, expected, observed, sample, "
            "seconds, checked_at FROM feature_store_audit.expectation AS e "
            "WHERE dag_id = %(dag)s AND run_id = %(run)s AND suite_event >= %(since)s "
            "ORDER BY outcome = 'met', severity = 'warning', "
            # What broke first leads, the others may only have passed it on: relations were first
            # refreshed in the order in which they read each other.
            "CASE WHEN outcome <> 'met' THEN (SELECT min(r.refresh_id) FROM "
            "feature_store_audit.refresh AS r WHERE r.relation = e.relation) END NULLS FIRST, "
            "suite, relation, expectation",
            {"dag": run.dag_id, "run": run.run_id, "since": since},
        ).fetchall()


def _proofs(connection: Connection[Any], run: RunFacts, since: int) -> list[ProofFacts]:
    with connection.cursor(row_factory=class_row(ProofFacts)) as cursor:
        return cursor.execute(
            "SELECT proof, compared, broken, sample, seconds, proven_at "
            "FROM feature_store_audit.proof "
            "WHERE dag_id = %s AND run_id = %s AND suite_event >= %s ORDER BY proof",
            (run.dag_id, run.run_id, since),
        ).fetchall()


def _refreshes(connection: Connection[Any], run: RunFacts) -> tuple[tuple[RefreshFacts, ...], ...]:
    # A report of an older run shows the history that it stood in, not what came later. What this
    # run refreshed before it was cleared and prepared anew does not count as its own.
    with connection.cursor(row_factory=class_row(RefreshFacts)) as cursor:
        rows = cursor.execute(
            """
            WITH known AS (
                SELECT r.*, coalesce(u.reason, '') AS reuse,
                    u.relation IS NOT NULL OR (
                        r.dag_id = %(dag)s AND r.run_id = %(run)s AND r.refresh_id > %(from)s
                    ) AS of_run
                FROM feature_store_audit.refresh AS r
                LEFT JOIN feature_store_audit.reuse AS u
                    ON r.refresh_id = u.refresh_id AND u.dag_id = %(dag)s AND u.run_id = %(run)s
                    AND u.event_id > %(from)s
            ),
            numbered AS (
                SELECT *, row_number() OVER (PARTITION BY relation ORDER BY refresh_id DESC) AS age,
                    max(refresh_id) OVER (PARTITION BY relation) AS latest
                FROM known
                WHERE of_run OR refresh_id < coalesce(%(until)s, 9223372036854775807)
            )
            SELECT relation, mode, row_count, bytes, seconds, finished_at, of_run, reuse
            FROM numbered WHERE age <= %(most)s ORDER BY latest, refresh_id
            """,
            {
                "dag": run.dag_id,
                "run": run.run_id,
                "from": run.event_id,
                "until": run.verdict_event,
                "most": HISTORY,
            },
        ).fetchall()
    histories: dict[str, list[RefreshFacts]] = {}
    for row in rows:
        histories.setdefault(row.relation, []).append(row)
    return tuple(tuple(history) for history in histories.values())


def _seen(connection: Connection[Any], run: RunFacts) -> tuple[SeenFacts, ...]:
    with connection.cursor(row_factory=class_row(SeenFacts)) as cursor:
        return tuple(
            cursor.execute(
                "SELECT DISTINCT ON (r.relation, f.fact) r.relation, f.fact, f.n, f.sample "
                "FROM feature_store_audit.fact AS f "
                "INNER JOIN feature_store_audit.refresh AS r ON f.refresh_id = r.refresh_id "
                "WHERE r.dag_id = %s AND r.run_id = %s AND r.refresh_id > %s "
                # Of what is told by day nobody reads a sample; it is for history.
                "AND jsonb_typeof(f.sample) = 'array' "
                "ORDER BY r.relation, f.fact, r.refresh_id DESC",
                (run.dag_id, run.run_id, run.event_id),
            )
        )


def _contracts(connection: Connection[Any]) -> tuple[ContractFacts, ...]:
    table = sql.Identifier(REGISTRY, "feature_set")
    with connection.cursor(row_factory=tuple_row) as cursor:
        there = cursor.execute(
            "SELECT to_regclass(%s) IS NOT NULL", (table.as_string(connection),)
        ).fetchone()
    if not there or not there[0]:
        return ()
    with connection.cursor(row_factory=class_row(ContractFacts)) as cursor:
        query = sql.SQL(
            "SELECT s.name, coalesce(b.relation_name, 'no relation') AS relation, s.n_features, "
            "s.features_hash FROM {} AS s LEFT JOIN {} AS b ON s.set_id = b.set_id ORDER BY s.name"
        ).format(table, sql.Identifier(REGISTRY, "feature_set_binding"))
        return tuple(cursor.execute(query))
