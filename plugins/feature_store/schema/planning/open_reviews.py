"""Findings of history that wait for an answer, and that a plan would close without one."""

from __future__ import annotations

from collections.abc import Collection

from feature_store.connection import Connection, one_value
from feature_store.validation.history.findings import FindingKind


def unanswered(
    connection: Connection,
    series: Collection[str],
    kinds: Collection[FindingKind] = tuple(FindingKind),
) -> tuple[str, ...]:
    """What is open about some history series, in words."""
    rows = connection.execute(
        "SELECT kind, layer, day FROM feature_store_audit.history_finding "
        "WHERE layer = ANY(%s) AND kind = ANY(%s) AND outcome IS NULL ORDER BY day, layer",
        (list(series), [kind.value for kind in kinds]),
    )
    return tuple(f"{kind} of {layer}, {day}" for kind, layer, day in rows.fetchall())


def reviews_on(connection: Connection, changed: Collection[str]) -> tuple[str, ...]:
    """The pending reviews of all series that read relations whose definition changes.

    The next run starts their history again, and closes what is pending.
    """
    there = one_value(
        connection, "SELECT to_regclass('feature_store_audit.history_closing_log') IS NOT NULL"
    )
    if not changed or not there:
        return ()
    series = connection.execute(
        "SELECT layer FROM feature_store_audit.history_layer WHERE definitions ?| %s",
        (list(changed),),
    ).fetchall()
    return unanswered(connection, [layer for (layer,) in series], [FindingKind.REVIEW])
