"""Accepting a change of history: a person with a reason, or a backfill over exactly that day."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import psycopg
from psycopg import Connection

from feature_store.audit.lease import Lease
from feature_store.errors import BadInput, NotReady
from feature_store.validation.history.findings import Finding, find


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
        NotReady: the session's role may not accept.
    """
    if not reason.strip() or not by.strip():
        raise BadInput(
            "To accept a change of history takes a reason and a name: both are kept for ever.",
            next_step="Say why the past may have changed.",
        )
    with _as_who_may(), connection.transaction():
        accepted = connection.execute(
            "SELECT * FROM feature_store_audit.accept_history(%s, %s, %s, %s)",
            (day, layer, by, reason),
        ).fetchall()
        if not accepted:
            raise BadInput(_nothing_pending(connection, day, layer))
        return _found(connection, accepted)


@contextmanager
def _as_who_may() -> Iterator[None]:
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise NotReady(
            f"Nothing was accepted: {error.diag.message_primary}.",
            next_step="Accept as the store's reviewer, or as the owner: docs/settings.md.",
        ) from error


def accept_backfill_day(connection: Connection[Any], lease: Lease) -> tuple[Finding, ...]:
    """Accept the reviews of the one day that a backfill's run answers for, with it as the reason.

    Leaks stay open: a backfill answers for late data, never for an output that moved without any.

    Args:
        connection: a session in autocommit mode.
        lease: of the run, whose record names the day.

    Returns:
        What was accepted; nothing where nothing was pending.
    """
    accepted = connection.execute(
        "SELECT * FROM feature_store_audit.accept_backfill_day(%s)", (lease.token,)
    ).fetchall()
    return _found(connection, accepted)


def _found(connection: Connection[Any], ids: list[tuple[int]]) -> tuple[Finding, ...]:
    return find(connection, "finding_id = ANY(%s)", [finding_id for (finding_id,) in ids])


def _nothing_pending(connection: Connection[Any], day: date, layer: str | None) -> str:
    pending = {f"{f.day} ({f.layer})" for f in find(connection, "outcome IS NULL")}
    of = f" of {layer}" if layer else ""
    return f"Nothing{of} is pending for {day}. Pending: {', '.join(sorted(pending)) or 'nothing'}."
