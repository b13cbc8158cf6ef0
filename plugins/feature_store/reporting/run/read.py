"""Reading what is known of a run, from the audit tables and the contracts' tables alone."""

from __future__ import annotations

from typing import Any

from psycopg import sql
from psycopg.rows import class_row, dict_row, tuple_row

from feature_store.connection import Connection, one_value
from feature_store.errors import BadInput, NotReady
from feature_store.reporting.run.account import Account
from feature_store.reporting.run.facts import (
    ContractFacts,
    Finding,
    ProofFacts,
    RunFacts,
    RunRecord,
    SeenFacts,
)
from feature_store.reporting.run.refreshes import read_refreshes
from feature_store.reporting.run.samples import sample_rows, unfold
from feature_store.reporting.run.skew import moved_features
from feature_store.schema.object_states import require_store
from feature_store.schema.store_record import recorded
from feature_store.validation.certification import certified_in_words
from feature_store.validation.history.findings import open_leaks, pending_reviews


def latest_run(connection: Connection) -> tuple[str, str]:
    """The DAG and the run that held the lease last.

    Raises:
        NotReady: there is none yet.
    """
    run = last_run(connection)
    if run is None:
        raise NotReady(
            "No run has been recorded in this database yet.",
            next_step="Run the DAG once. A run that cannot reach the database leaves no record.",
        )
    return run


def last_run(connection: Connection) -> tuple[str, str] | None:
    """The DAG and the run that held the lease last, if there was one."""
    return next(iter(_latest_runs(connection, 1)), None)


def read_record(
    connection: Connection, dag_id: str, run_id: str, *, certified: str | None = None
) -> RunRecord:
    """Read what is known of a run. Reads only.

    Args:
        connection: a session that reads the record.
        dag_id: of the run's DAG.
        run_id: of the run.
        certified: what `certified_in_words` says, where that is known or of no interest.

    Raises:
        BadInput: no such run is recorded; the message names the latest that are.
        NotReady: the store has not been created.
    """
    run = _run(connection, dag_id, run_id)
    store = recorded(connection)
    return RunRecord(
        run=run,
        findings=read_findings(connection, dag_id, run_id),
        proofs=_proofs(connection, run),
        outdated=_outdated(connection, run),
        refreshes=read_refreshes(connection, dag_id, run_id),
        seen=_seen(connection, run),
        skew=moved_features(connection, dag_id, run_id),
        contracts=_contracts(connection, store.registry if store else None),
        key=store.key if store else "",
        certified=certified_in_words(connection) if certified is None else certified,
        leaks=open_leaks(connection),
        reviews=pending_reviews(connection),
        title=store.title if store else RunRecord.title,
    )


def read_findings(connection: Connection, dag_id: str, run_id: str) -> tuple[Finding, ...]:
    """What counts of what a run's suites found, what is wrong first."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_FINDINGS, {"dag": dag_id, "run": run_id}).fetchall()
    return tuple(map(_finding, rows))


def _finding(row: dict[str, Any]) -> Finding:
    counted, sample = unfold(row.pop("sample"))
    if counted and row["compared"] is None:
        first = next(iter(counted.values()))
        row["breaching"] = first if isinstance(first, int) and first > 0 else None
        row["observed"] = ", ".join(f"{name}: {_counted(n)}" for name, n in counted.items())
    return Finding(**row, sample=sample_rows(sample))


def _counted(value: object) -> str:
    """A store's own query may also give a text, or NULL."""
    return f"{value:,}" if isinstance(value, int | float) else str(value)


# Of a specification its expectation has one row, and the proof has those that differ.
_FINDINGS = """
SELECT
    f.suite, f.expectation, f.relation, f.severity, f.outcome, f.expected, f.observed, f.seconds,
    CASE WHEN s.is_specification THEN coalesce(p.broken, 0) ELSE f.breaching END AS breaching,
    CASE WHEN s.is_specification THEN coalesce(p.compared, 0) END AS compared,
    CASE WHEN s.is_specification THEN coalesce(p.sample, '[]') ELSE f.sample END AS sample
FROM feature_store_audit.finding AS f
CROSS JOIN LATERAL (
    SELECT f.expectation = f.relation AS is_specification
) AS s
LEFT JOIN feature_store_audit.proof AS p
    ON s.is_specification AND f.dag_id = p.dag_id AND f.run_id = p.run_id
    AND f.expectation = p.proof
WHERE f.dag_id = %(dag)s AND f.run_id = %(run)s AND f.counts
ORDER BY
    f.outcome = 'met', f.severity = 'warning',
    -- What broke first comes first; the others may only follow from it. Sources lead, then
    -- relations in the order of their first refreshes, in which they read each other, then views.
    CASE WHEN f.outcome <> 'met' THEN coalesce(
        (SELECT min(r.refresh_id) FROM feature_store_audit.refresh AS r
            WHERE r.relation = f.relation),
        (SELECT 9223372036854775807 FROM feature_store_audit.definition AS d
            WHERE d.object = f.relation)
    ) END NULLS FIRST,
    -- Of one relation, what names its fault leads over the proof that its rows differ.
    f.outcome <> 'met' AND s.is_specification, f.suite, f.relation, f.expectation
"""


def _run(connection: Connection, dag_id: str, run_id: str) -> RunFacts:
    latest = _latest_runs(connection, 5)
    with connection.cursor(row_factory=dict_row) as cursor:
        run = cursor.execute(
            "SELECT r.dag_id, r.run_id, r.run_type, r.as_of_day, r.zone, r.prepared_at, "
            "r.server_version, r.verdict, r.verdict_at, r.problem, r.event_id, r.verdict_event, "
            "r.account, EXISTS (SELECT FROM "
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
    return RunFacts(**{**run, "account": Account.read(run["account"], run["problem"])})


def _latest_runs(connection: Connection, most: int) -> list[tuple[str, str]]:
    require_store(connection)
    with connection.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(
            "SELECT dag_id, run_id FROM feature_store_audit.run ORDER BY event_id DESC LIMIT %s",
            (most,),
        ).fetchall()


def _outdated(connection: Connection, run: RunFacts) -> int:
    found: int = one_value(
        connection,
        "SELECT count(*) FROM feature_store_audit.finding AS f "
        "WHERE f.dag_id = %s AND f.run_id = %s AND NOT f.counts",
        (run.dag_id, run.run_id),
    )
    return found


def _proofs(connection: Connection, run: RunFacts) -> tuple[ProofFacts, ...]:
    # A proof counts if what its suite made of it counts.
    with connection.cursor(row_factory=class_row(ProofFacts)) as cursor:
        return tuple(
            cursor.execute(
                "SELECT p.proof, p.compared, p.broken, p.seconds "
                "FROM feature_store_audit.proof AS p "
                "INNER JOIN feature_store_audit.finding AS f ON p.dag_id = f.dag_id "
                "AND p.run_id = f.run_id AND p.suite_event = f.suite_event "
                "AND p.proof = f.expectation "
                "WHERE p.dag_id = %s AND p.run_id = %s AND f.counts ORDER BY p.proof",
                (run.dag_id, run.run_id),
            )
        )


def _seen(connection: Connection, run: RunFacts) -> tuple[SeenFacts, ...]:
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


def _contracts(connection: Connection, registry: str | None) -> tuple[ContractFacts, ...]:
    if registry is None:
        return ()
    table = sql.Identifier(registry, "feature_set")
    if not one_value(
        connection, "SELECT to_regclass(%s) IS NOT NULL", (table.as_string(connection),)
    ):
        return ()
    with connection.cursor(row_factory=class_row(ContractFacts)) as cursor:
        query = sql.SQL(
            "SELECT s.name, coalesce(b.relation_name, 'no relation') AS relation, s.n_features, "
            "s.features_hash FROM {} AS s LEFT JOIN {} AS b ON s.set_id = b.set_id ORDER BY s.name"
        ).format(table, sql.Identifier(registry, "feature_set_binding"))
        return tuple(cursor.execute(query))
