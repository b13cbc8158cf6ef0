"""Accepting a change of history: a person with a reason, or a backfill over exactly that day."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

from psycopg import Connection

from feature_store.errors import BadInput
from feature_store.history.changes import apply_changes
from feature_store.history.findings import Finding, find, lock_history
from feature_store.history.rows import Fingerprint, set_days
from feature_store.lease import Holder


def accept_history(
    connection: Connection[Any], day: date, reason: str, by: str, layer: str | None = None
) -> tuple[Finding, ...]:
    """Accept a day as the latest judgement saw it: it becomes the baseline.

    A leak can be accepted like a review: somebody who has found its cause outside the store would
    else have no way back to a green run.

    Args:
        connection: a session in autocommit mode.
        day: the day.
        reason: why it may have changed.
        by: who says so.
        layer: one layer only, None for all.

    Returns:
        What was accepted.

    Raises:
        BadInput: nothing is pending for that day, or the reason or the name is empty.
    """
    if not reason.strip() or not by.strip():
        raise BadInput(
            "To accept a change of history takes a reason and a name: both are kept for ever.",
            next_step="Say why the past may have changed.",
        )
    with connection.transaction():
        lock_history(connection)
        found = find(
            connection, "outcome IS NULL AND day = %s AND coalesce(layer = %s, TRUE)", day, layer
        )
        if not found:
            raise BadInput(_nothing_pending(connection, day, layer))
        return _accept(connection, found, reason.strip(), by.strip())


def accept_days(
    connection: Connection[Any], days: Iterable[date], run: Holder
) -> tuple[Finding, ...]:
    """Accept the reviews of exactly these days, with a backfill's run as the reason.

    Leaks stay open: a backfill answers for late data, never for an output that moved without any.

    Returns:
        What was accepted; nothing where nothing was pending.
    """
    with connection.transaction():
        lock_history(connection)
        found = find(
            connection,
            "outcome IS NULL AND kind = 'review' AND day = ANY(%s::date[])",
            sorted(set(days)),
        )
        return _accept(connection, found, f"backfill: {run}", run.dag_id)


def _accept(
    connection: Connection[Any], found: tuple[Finding, ...], reason: str, by: str
) -> tuple[Finding, ...]:
    for finding in found:
        assert finding.day is not None  # what is open is about a day
        apply_changes(connection, finding.layer, [finding.day])
        row = connection.execute(
            "UPDATE feature_store_audit.history_finding SET outcome = 'accepted', "
            "closed_at = now(), closed_by = %s, reason = %s WHERE finding_id = %s "
            "RETURNING row_count, fingerprint",
            (by, reason, finding.finding_id),
        ).fetchone()
        assert row is not None  # it was just read, under the lock
        set_days(connection, finding.layer, {finding.day: Fingerprint(*row)}, finding.latest)
    return find(connection, "finding_id = ANY(%s)", [finding.finding_id for finding in found])


def _nothing_pending(connection: Connection[Any], day: date, layer: str | None) -> str:
    pending = {f"{f.day} ({f.layer})" for f in find(connection, "outcome IS NULL")}
    of = f" of {layer}" if layer else ""
    return f"Nothing{of} is pending for {day}. Pending: {', '.join(sorted(pending)) or 'nothing'}."
