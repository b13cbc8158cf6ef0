"""Since when a refresh may serve a backfill: by transactions of the store, never by a clock.

A backfill is asked for in Airflow, whose clock is not the store's. So each of its runs says that it
is there when it first reaches the store, before it has its turn: then late data that were loaded
before it was asked for are there, too. A refresh serves it whose snapshot saw that said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from feature_store.audit.lease import Holder
from feature_store.connection import Connection, one_value

if TYPE_CHECKING:
    from airflow.sdk import Context


def go_of(context: Context) -> str:
    """What tells one go of a run from another: it is cleared, or deleted and created anew."""
    run = context["dag_run"]
    return f"{run.clear_number}/{run.start_date}"


def ask(connection: Connection, holder: Holder, go: str) -> str:
    """Say that a backfill's run is there, unless this go of it has said so already.

    Args:
        connection: a session in autocommit mode.
        holder: the run.
        go: of the run, see `go_of`.

    Returns:
        The number of the transaction that said so first.
    """
    connection.execute(
        "INSERT INTO feature_store_audit.asking_log (dag_id, run_id, go) VALUES (%s, %s, %s) "
        "ON CONFLICT DO NOTHING",
        (holder.dag_id, holder.run_id, go),
    )
    found: str = one_value(
        connection,
        "SELECT transaction::text FROM feature_store_audit.asking_log "
        "WHERE dag_id = %s AND run_id = %s AND go = %s",
        (holder.dag_id, holder.run_id, go),
    )
    return found
