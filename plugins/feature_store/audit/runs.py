"""The record of each run: what it answers for, and its verdict."""

from __future__ import annotations

from datetime import date
from typing import Any

from psycopg import Connection

from feature_store.audit.lease import Holder


def open_run(
    connection: Connection[Any], holder: Holder, run_type: str, as_of_day: date, zone: str
) -> None:
    """Record that a run has its turn. A run that is cleared and run again starts anew."""
    connection.execute(
        "INSERT INTO feature_store_audit.run_log (dag_id, run_id, run_type, as_of_day, zone) "
        "VALUES (%s, %s, %s, %s, %s)",
        (holder.dag_id, holder.run_id, run_type, as_of_day, zone),
    )


def has_record(connection: Connection[Any], holder: Holder) -> bool:
    """Whether a run has a record."""
    row = connection.execute(
        "SELECT FROM feature_store_audit.run WHERE dag_id = %s AND run_id = %s",
        (holder.dag_id, holder.run_id),
    ).fetchone()
    return row is not None


def open_run_once(
    connection: Connection[Any], holder: Holder, run_type: str, as_of_day: date, zone: str
) -> None:
    """As `open_run`, unless the run has a record: several of its tasks may want to open it."""
    with connection.transaction():
        # They take turns. This waits for nobody who refreshes under the lease, and changes nothing.
        connection.execute("SELECT FROM feature_store_audit.lease FOR NO KEY UPDATE")
        if not has_record(connection, holder):
            open_run(connection, holder, run_type, as_of_day, zone)


def fail_run(connection: Connection[Any], holder: Holder, problem: str) -> None:
    """Record that a run failed, and why. That one passed is recorded by what certifies."""
    connection.execute(
        "INSERT INTO feature_store_audit.verdict_log (dag_id, run_id, problem) VALUES (%s, %s, %s)",
        (holder.dag_id, holder.run_id, problem),
    )
