"""The record of each run: what it answers for, and its verdict."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from psycopg.types.json import Jsonb

from feature_store.audit.lease import RunKey
from feature_store.connection import Connection, one_row, one_value


def open_run(
    connection: Connection, run: RunKey, run_type: str, as_of_day: date, zone: str
) -> None:
    """Record that a run has begun. A run that is cleared and run again gets a new record."""
    connection.execute(
        "INSERT INTO feature_store_audit.run_log (dag_id, run_id, run_type, as_of_day, zone) "
        "VALUES (%s, %s, %s, %s, %s)",
        (run.dag_id, run.run_id, run_type, as_of_day, zone),
    )


def zone_of(connection: Connection, run: RunKey) -> str | None:
    """The time zone in whose days a run answers; None if it has no record."""
    row = connection.execute(
        "SELECT zone FROM feature_store_audit.run WHERE dag_id = %s AND run_id = %s",
        (run.dag_id, run.run_id),
    ).fetchone()
    return row[0] if row else None


def open_run_once(
    connection: Connection, run: RunKey, run_type: str, as_of_day: date, zone: str
) -> None:
    """As `open_run`, unless the run has a record; several of its tasks may try this."""
    with connection.transaction():
        # One task at a time. This does not wait for a refresh under the lease, and changes nothing.
        connection.execute("SELECT FROM feature_store_audit.lease FOR NO KEY UPDATE")
        if zone_of(connection, run) is None:
            open_run(connection, run, run_type, as_of_day, zone)


def fail_run(
    connection: Connection, run: RunKey, problem: str, account: dict[str, Any], max_tries: int
) -> int:
    """Record that a run failed, and why; only once, even if Airflow tries the task again.

    Certification records that a run passed.

    Args:
        connection: a session on the record.
        run: which one.
        problem: why, in words.
        account: why, as data.
        max_tries: Airflow's, of the task; it changes when somebody clears it.

    Returns:
        The verdict's number.
    """
    ids = (run.dag_id, run.run_id)
    spoken = connection.execute(
        "SELECT v.event_id FROM feature_store_audit.verdict_log AS v "
        "WHERE v.dag_id = %s AND v.run_id = %s AND v.verdict = 'failed' AND v.go = %s "
        "AND v.event_id = (SELECT max(n.event_id) FROM ("
        "SELECT g.event_id FROM feature_store_audit.verdict_log AS g "
        "WHERE g.dag_id = v.dag_id AND g.run_id = v.run_id "
        "UNION ALL SELECT o.event_id FROM feature_store_audit.run_log AS o "
        "WHERE o.dag_id = v.dag_id AND o.run_id = v.run_id) AS n)",
        (*ids, max_tries),
    ).fetchone() or one_row(
        connection,
        "INSERT INTO feature_store_audit.verdict_log (dag_id, run_id, problem, account, go) "
        "VALUES (%s, %s, %s, %s, %s) RETURNING event_id",
        (*ids, problem, Jsonb(account), max_tries),
    )
    event: int = spoken[0]
    return event


def verdict_of(connection: Connection, run: RunKey) -> int | None:
    """The latest verdict of a run."""
    latest: int | None = one_value(
        connection,
        "SELECT max(v.event_id) FROM feature_store_audit.verdict_log AS v "
        "WHERE v.dag_id = %s AND v.run_id = %s",
        (run.dag_id, run.run_id),
    )
    return latest


def passed_since(connection: Connection, run: RunKey, verdict: int) -> bool:
    """Whether a run was certified after this verdict; another run may have closed its record."""
    passed: bool = one_value(
        connection,
        "SELECT EXISTS (SELECT FROM feature_store_audit.verdict_log AS v WHERE v.dag_id = %s "
        "AND v.run_id = %s AND v.verdict = 'passed' AND v.event_id > %s)",
        (run.dag_id, run.run_id, verdict),
    )
    return passed


def newest_day(connection: Connection, since: datetime | None = None) -> date | None:
    """The newest as-of day of the runs that passed, ever or since a moment.

    A run for an older day compares sources with that day, so it says nothing of them as they are
    now. A day that is yet to come is of a run whose clock was ahead.
    """
    day: date | None = one_value(
        connection,
        "SELECT max(as_of_day) FROM feature_store_audit.run WHERE verdict = 'passed' "
        "AND verdict_at >= coalesce(%s::timestamptz, '-infinity') "
        "AND as_of_day <= (now() + interval '1 day')::date",  # days of all zones have begun by then
        (since,),
    )
    return day


def is_about_now(connection: Connection, run: RunKey) -> bool:
    """Whether a run that passed answers for the store as it is now, not for an older day."""
    row = connection.execute(
        "SELECT run_type, as_of_day FROM feature_store_audit.run WHERE dag_id = %s AND run_id = %s",
        (run.dag_id, run.run_id),
    ).fetchone()
    newest = newest_day(connection)
    return row is not None and row[0] != "backfill" and (newest is None or row[1] >= newest)
