"""The record of each run: what it answers for, and its verdict."""

from __future__ import annotations

from datetime import date
from typing import Any

from psycopg import Connection

from feature_store.lease import Holder


def open_run(
    connection: Connection[Any], holder: Holder, run_type: str, as_of_day: date, zone: str
) -> None:
    """Record that a run has its turn. A run that is cleared and run again starts anew."""
    connection.execute(
        """
        INSERT INTO feature_store_audit.run (
            dag_id, run_id, run_type, as_of_day, zone, prepared_at, server_version
        )
        VALUES (%s, %s, %s, %s, %s, now(), current_setting('server_version'))
        ON CONFLICT (dag_id, run_id) DO UPDATE SET
            run_type = excluded.run_type,
            as_of_day = excluded.as_of_day,
            zone = excluded.zone,
            prepared_at = excluded.prepared_at,
            server_version = excluded.server_version,
            verdict = NULL,
            verdict_at = NULL,
            problem = NULL
        """,
        (holder.dag_id, holder.run_id, run_type, as_of_day, zone),
    )


def close_run(
    connection: Connection[Any], holder: Holder, verdict: str, problem: str | None = None
) -> None:
    """Record a run's verdict, and of one that failed the problem, if the run ever had its turn."""
    connection.execute(
        "UPDATE feature_store_audit.run SET verdict = %s, verdict_at = now(), problem = %s "
        "WHERE dag_id = %s AND run_id = %s",
        (verdict, problem, holder.dag_id, holder.run_id),
    )
