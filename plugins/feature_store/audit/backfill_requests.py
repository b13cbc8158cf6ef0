"""From when on a refresh may serve a backfill: told by the store's transactions, never by a clock.

A backfill is created in Airflow, whose clock is not the store's. So each of its runs leaves a note
in the store when it first reaches it, before it takes the lease. Late data that was loaded before
the backfill was created is there by then. A refresh whose snapshot saw the note may serve the run.
"""

from __future__ import annotations

from feature_store.audit.lease import RunKey
from feature_store.connection import Connection, one_value


def ask(connection: Connection, run: RunKey, attempt: str) -> str:
    """Note that a backfill's run is there, unless this attempt of it has done so already.

    Args:
        connection: a session in autocommit mode.
        run: the backfill's.
        attempt: tells its attempts apart: one that was cleared asks anew.

    Returns:
        The number of the transaction that noted it first.
    """
    connection.execute(
        "INSERT INTO feature_store_audit.asking_log (dag_id, run_id, go) VALUES (%s, %s, %s) "
        "ON CONFLICT DO NOTHING",
        (run.dag_id, run.run_id, attempt),
    )
    found: str = one_value(
        connection,
        "SELECT transaction::text FROM feature_store_audit.asking_log "
        "WHERE dag_id = %s AND run_id = %s AND go = %s",
        (run.dag_id, run.run_id, attempt),
    )
    return found
