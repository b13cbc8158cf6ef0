"""What the task of a relation does: it refreshes it, or records why it need not be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from feature_store.connection import Connection
from feature_store.declarations.store_definition import read_store
from feature_store.operators.airflow_run import asked_by, take_run_lease
from feature_store.operators.run_opening import limits_of, require_record
from feature_store.refresh.lost_rows import guard_of
from feature_store.refresh.refresh import refresh
from feature_store.refresh.unchanged import record_reuse, reusable
from feature_store.schema.readiness import check_code
from feature_store.schema.stamps.proof_stamp import refuse_changed
from feature_store.settings import Settings

if TYPE_CHECKING:
    from airflow.sdk import Context


def refresh_relation(
    connection: Connection, settings: Settings, context: Context, name: str
) -> dict[str, Any]:
    """Refresh a relation under the lease, or record why it need not be.

    Args:
        connection: a pinned session in autocommit mode.
        settings: the store's.
        context: of the task.
        name: the relation's, ``schema.name``.

    Raises:
        LeaseTaken: another run has the lease.
        StoreError, psycopg.Error: as `refresh`.
    """
    store = read_store(settings.include_dir)
    relation = store.find(name)
    asked = asked_by(connection, context)
    lease = take_run_lease(connection, settings, context)
    require_record(connection, settings, context)
    refuse_changed(connection, store, settings.include_dir)
    check_code(connection, store, settings, relation.name)
    reuse = None
    if not context["params"].get("refresh_unchanged"):
        reuse = reusable(connection, store, relation, settings.zone, asked)
    if reuse:
        record_reuse(connection, lease, relation, reuse)
        return {"mode": "reused", "reason": reuse.reason}
    guard = guard_of(store, relation, limits_of(settings, context))
    done = refresh(connection, relation, lease, settings.zone, guard)
    return {"mode": done.mode, "rows": done.rows, "bytes": done.bytes, "seconds": done.seconds}
