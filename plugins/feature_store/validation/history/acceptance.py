"""Accepts a change of history: by a person with a reason, or by a backfill of exactly that day."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

import psycopg

from feature_store.audit.lease import Lease
from feature_store.connection import Connection
from feature_store.errors import BadInput, NotReady
from feature_store.text_format import PLACEHOLDER
from feature_store.validation.history.findings import HistoryFinding, find


def acceptance(day: date, layer: str | None = None) -> str:
    """The command that accepts a day, of one layer or of all; refused until a reason is written."""
    of = f" --layer {shlex.quote(layer)}" if layer else ""
    return f"bin/feature-store accept-history --day {day}{of} --reason {PLACEHOLDER}"


def accept_history(
    connection: Connection, day: date, reason: str, by: str, layer: str | None = None
) -> tuple[HistoryFinding, ...]:
    """Accept a day as the latest history check saw it: it becomes the baseline.

    A leak can be accepted like a review. Otherwise there would be no way back to a green run if its
    cause is outside the store.

    Args:
        connection: a session in autocommit mode.
        day: the day.
        reason: why the change is right.
        by: who accepts it.
        layer: one layer only, None for all.

    Returns:
        What was accepted.

    Raises:
        BadInput: nothing is pending for that day, or the reason or the name is empty.
        NotReady: the session's role may not accept.
    """
    if not reason.strip() or not by.strip():
        raise BadInput(
            "Accepting a change of history needs a reason and a name; both are kept forever.",
            next_step="Say why the change is right.",
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


def accept_backfill_day(connection: Connection, lease: Lease) -> tuple[HistoryFinding, ...]:
    """Accept the reviews of the day that a backfill's run answers for; the run is the reason.

    Leaks stay open: a backfill explains late data, never an output that changed without any.

    Args:
        connection: a session in autocommit mode.
        lease: of the run, whose record names the day.

    Returns:
        What was accepted; empty if nothing was pending.
    """
    accepted = connection.execute(
        "SELECT * FROM feature_store_audit.accept_backfill_day(%s)", (lease.token,)
    ).fetchall()
    return _found(connection, accepted)


def _found(connection: Connection, ids: list[tuple[int]]) -> tuple[HistoryFinding, ...]:
    return find(connection, "finding_id = ANY(%s)", [finding_id for (finding_id,) in ids])


def _nothing_pending(connection: Connection, day: date, layer: str | None) -> str:
    pending = {f"{f.day} ({f.layer})" for f in find(connection, "outcome IS NULL")}
    of = f" of {layer}" if layer else ""
    return f"Nothing{of} is pending for {day}. Pending: {', '.join(sorted(pending)) or 'nothing'}."
