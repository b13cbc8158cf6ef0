"""Whether a relation must be refreshed, or a refresh would change nothing.

There are two reasons to reuse an earlier refresh. *Unchanged*: every input has exactly the state
that the latest refresh read. *Backfill*: the latest refresh, and that of everything below it, began
after the backfill was asked for. One such refresh serves all runs of the backfill, because a
materialized view has only one state. In both cases the relation's rows must still be those of that
refresh.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from feature_store.audit.last_refresh_state import last_states_of
from feature_store.audit.latest_refreshes import LatestRefreshes, read_latest
from feature_store.audit.lease import Lease, hold_lease
from feature_store.connection import Connection, seeing_one_moment
from feature_store.database.read_locks import lock_reads, reads_of
from feature_store.declarations.store_definition import Relation, Store
from feature_store.refresh.inputs import InputKind, Inputs, read_inputs, read_outcome

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reuse:
    """An earlier refresh that need not be repeated.

    Attributes:
        refresh_id: of the refresh, in the audit schema.
        reason: in words, such as ``unchanged since run X``.
    """

    refresh_id: int
    reason: str


def reusable(
    connection: Connection,
    store: Store,
    relation: Relation,
    zone: str,
    asked: str | None = None,
) -> Reuse | None:
    """Find out whether a relation's latest refresh can be used again. Reads only.

    Args:
        connection: a pinned session in autocommit mode, under the lease.
        store: what the files say.
        relation: about to be refreshed; this run is done with everything that it reads.
        zone: the session's time zone.
        asked: the transaction that noted this run of a backfill (`backfill_requests`);
            None for other runs.

    Returns:
        None if it must be refreshed; the log says why.

    Raises:
        psycopg.Error: an error that may pass by itself.
    """
    reads = reads_of(connection, relation)
    with seeing_one_moment(connection, read_only=True), connection.transaction():
        lock_reads(connection, reads)
        latest = read_latest(connection, asked)
        last = latest.get(str(relation.name))
        if last is None or last.inputs is None or last.outcome is None:
            log.info("%s: no earlier refresh that could be compared with.", relation.name)
            return None
        last_states = last_states_of(latest)
        if read_outcome(connection, relation, last_states) != last.outcome:
            log.info("%s: its rows are not those of run %s.", relation.name, last.run_id)
            return None
        inputs = read_inputs(connection, relation, zone, last_states)
    if inputs is None:
        return None
    changes = _changes(inputs, last.inputs)
    if not changes:
        return Reuse(last.refresh_id, f"unchanged since run {last.run_id}")
    if asked and _serves_backfill(store, relation, latest, inputs):
        reason = f"refreshed by run {last.run_id} after the backfill was asked for"
        return Reuse(last.refresh_id, reason)
    log.info("%s, since run %s: %s.", relation.name, last.run_id, "; ".join(changes))
    return None


def record_reuse(connection: Connection, lease: Lease, relation: Relation, reuse: Reuse) -> None:
    """Record that the lease's run uses an earlier refresh of a relation.

    Raises:
        LeaseTaken: the lease has changed hands.
    """
    with connection.transaction():
        hold_lease(connection, lease)
        connection.execute(
            "INSERT INTO feature_store_audit.reuse_log "
            "(dag_id, run_id, relation, refresh_id, reason) VALUES (%s, %s, %s, %s, %s)",
            (
                lease.holder.dag_id,
                lease.holder.run_id,
                str(relation.name),
                reuse.refresh_id,
                reuse.reason,
            ),
        )
    log.info("%s: %s.", relation.name, reuse.reason)


def _changes(inputs: Inputs, before: dict[str, str | None]) -> list[str]:
    """What has changed, in words."""
    changes = [
        f"{one.name} counts as changed: {one.doubt}"
        if one.state is None
        else f"{one.name} {'is new' if one.name not in before else 'has changed'}"
        for one in inputs.all
        if one.state is None or one.state != before.get(one.name)
    ]
    return changes + [f"{name} is gone" for name in sorted(before.keys() - inputs.states.keys())]


def _serves_backfill(
    store: Store,
    relation: Relation,
    latest: LatestRefreshes,
    inputs: Inputs,
) -> bool:
    """Whether everything below was refreshed since then; the user's tables may have changed."""
    before = latest[str(relation.name)].inputs or {}
    below = {str(r.name) for r in store.refreshed_before(relation)}
    same = all(
        before.get(one.name) == one.state
        for one in inputs.all
        if one.kind is not InputKind.ROWS or one.name in below
    )
    return same and _began_after(store, relation, latest)


def _began_after(store: Store, relation: Relation, latest: LatestRefreshes) -> bool:
    last = latest.get(str(relation.name))
    if last is None or last.inputs is None or not last.saw_asking:
        return False
    for below in store.refreshed_before(relation):
        # Refreshes go in order, so the rows that it read are those of the latest refresh below.
        its_last = latest.get(str(below.name))
        if its_last is None or its_last.outcome is None:
            return False
        if last.inputs.get(str(below.name)) != its_last.outcome:
            return False
        if not _began_after(store, below, latest):
            return False
    return True
