"""History for a person at a command line: what is open and what was accepted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from feature_store.connection import Connection
from feature_store.text_format import bullets, plural
from feature_store.validation.history.acceptance import acceptance
from feature_store.validation.history.by_day import by_day
from feature_store.validation.history.findings import (
    HistoryFinding,
    find,
    open_leaks,
    pending_reviews,
)

_ACCEPTED = 20


def history_text(connection: Connection, key: str) -> str:
    """The latest history check, the leaks, the pending reviews, and the latest acceptances.

    Args:
        connection: a session that may read what history found.
        key: the column that names the store's entities; empty: none.
    """
    leaks, reviews = open_leaks(connection), pending_reviews(connection)
    parts = [
        _latest(connection),
        _listed("Output days that moved without cause", leaks),
        _by_day(reviews, key),
    ]
    if reviews:
        parts.append(_listed("Pending reviews, layer by layer", reviews))
    days = sorted({finding.day for finding in (*leaks, *reviews) if finding.day})
    if days:
        parts.append(
            f"Accept a day as it is now, as the reviewer or the owner: {acceptance(days[0])}"
        )
    closed = find(
        connection,
        "kind = 'review' AND outcome = 'redefined' AND closed_at > now() - interval '30 days'",
    )
    if closed:
        lines = bullets(by_day(closed, key).values())
        head = f"Closed without an answer, because a definition changed: {len(closed)}"
        parts.append(f"{head}\n{lines}")
    accepted = find(
        connection,
        "finding_id IN (SELECT finding_id FROM feature_store_audit.history_finding "
        "WHERE outcome = 'accepted' ORDER BY closed_at DESC, finding_id DESC LIMIT %s)",
        _ACCEPTED,
    )
    parts.append(_listed("Accepted recently", accepted, _acceptance))
    return "\n".join(parts)


def history_rows(connection: Connection) -> list[dict[str, Any]]:
    """What is open, one row each: leaks first, then what waits for a person."""
    return [
        {
            "finding_id": finding.finding_id,
            "kind": finding.kind.value,
            "layer": finding.layer,
            "relation": finding.relation,
            "day": finding.day,
            "came": finding.difference.came,
            "went": finding.difference.went,
            "changed": finding.difference.changed,
            "columns": list(finding.difference.columns),
            "found_at": finding.found_at,
            "found_by": finding.found_by.run_id,
        }
        for finding in (*open_leaks(connection), *pending_reviews(connection))
    ]


def _latest(connection: Connection) -> str:
    row = connection.execute(
        "SELECT dag_id, run_id, as_of_day, settled_before, days, recounts "
        "FROM feature_store_audit.history_judgement ORDER BY event_id DESC LIMIT 1"
    ).fetchone()
    if row is None:
        return "No run has checked history yet."
    told = (
        f"History was last checked by {row[0]}, run {row[1]}, for {row[2]}: "
        f"{plural(row[4], 'day')} of all layers together. Input days before {row[3]} are old."
    )
    recounts = [
        f"{layer}: {plural(of['days'], 'day')} from {of['first']} to {of['last']}"
        for layer, of in sorted((row[5] or {}).items())
    ]
    if recounts:
        told += (
            "\nOnly counts changed on these days, and no median, so nobody is asked: "
            f"{'; '.join(recounts)}."
        )
    return told


def _by_day(reviews: tuple[HistoryFinding, ...], key: str) -> str:
    days = by_day(reviews, key)
    if not days:
        return "Pending reviews (old input days that changed): none."
    return (
        f"Pending reviews (old input days that changed): {plural(len(days), 'day')}\n"
        f"{bullets(days.values())}"
    )


def _listed(
    title: str, findings: tuple[HistoryFinding, ...], words: Callable[[HistoryFinding], str] = str
) -> str:
    if not findings:
        return f"{title}: none."
    return f"{title}: {len(findings)}\n{bullets([words(finding) for finding in findings])}"


def _acceptance(finding: HistoryFinding) -> str:
    when = f"{finding.closed_at:%Y-%m-%d %H:%M %Z}" if finding.closed_at else ""
    return (
        f"{finding.layer} of {finding.day}, by {finding.closed_by}, {when}: {finding.reason} "
        f"(as {finding.latest} saw it)"
    )
