"""Records what a try of a suite found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from psycopg import Connection

from feature_store.audit.lease import Lease, hold_lease
from feature_store.validation.suites import Finding


def begin_suite(connection: Connection[Any], lease: Lease, suite: str) -> int:
    """Record that the run checks a suite now; findings of earlier tries no longer count.

    Args:
        connection: a session in autocommit mode.
        lease: of the run.
        suite: its name.

    Returns:
        The try's number, under which its findings are kept.

    Raises:
        LeaseTaken: the lease has changed hands.
    """
    with connection.transaction():
        hold_lease(connection, lease)
        row = connection.execute(
            "INSERT INTO feature_store_audit.suite_log (dag_id, run_id, suite) "
            "VALUES (%s, %s, %s) RETURNING event_id",
            (lease.holder.dag_id, lease.holder.run_id, suite),
        ).fetchone()
    assert row is not None  # INSERT … RETURNING of one row
    return int(row[0])


def record(connection: Connection[Any], event: int, findings: Sequence[Finding]) -> None:
    """Record the findings of a try of a suite.

    Args:
        connection: a session.
        event: the try's number, as `begin_suite` gave it.
        findings: all of them, at once.
    """
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO feature_store_audit.expectation_log (suite_event, expectation, "
            "relation, severity, outcome, expected, observed, sample, seconds, breaching) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (
                    event,
                    finding.expectation.name,
                    finding.expectation.relation,
                    finding.expectation.severity,
                    finding.outcome,
                    finding.expectation.expected,
                    finding.observed,
                    json.dumps(finding.sample, default=str),
                    finding.seconds,
                    finding.breaching,
                )
                for finding in findings
            ],
        )
