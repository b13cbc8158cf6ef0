"""Which reviews somebody has been mailed about: each is told once, and again when it changes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from psycopg import Connection

from feature_store.validation.history.findings import Finding, find


def unmailed_reviews(connection: Connection[Any]) -> tuple[Finding, ...]:
    """The pending reviews that no mail has told of, as they stand now."""
    return find(connection, "outcome IS NULL AND kind = 'review' AND mailed_at IS NULL")


def mark_mailed(connection: Connection[Any], reviews: Iterable[Finding]) -> None:
    """Record that a mail about these reviews went out."""
    ids = [review.finding_id for review in reviews]
    done = connection.execute(
        "INSERT INTO feature_store_audit.history_mail_log (sighting_event) "
        "SELECT f.sighting_event FROM feature_store_audit.history_finding AS f "
        "WHERE f.finding_id = ANY(%s) AND f.mailed_at IS NULL",
        (ids,),
    )
    if done.rowcount != len(ids):
        raise RuntimeError(f"{len(ids)} reviews were mailed, and {done.rowcount} are marked so")
