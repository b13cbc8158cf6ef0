"""Which reviews somebody has been mailed about: each is told once, and again when it changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from feature_store.validation.history.findings import Finding, find


@dataclass(frozen=True)
class Unmailed:
    """Pending reviews that no mail has told of, as they stand now.

    Attributes:
        reviews: what changed.
        sightings: as what the record knows them.
        doubtful: a mail about some of them was begun, and nobody knows whether it came.
    """

    reviews: tuple[Finding, ...]
    sightings: tuple[int, ...]
    doubtful: bool


# A mail that was begun and of which nobody knows is followed by one more, and no other.
_UNMAILED = """outcome IS NULL AND kind = 'review' AND mailed_at IS NULL
AND (
    SELECT count(*) FROM feature_store_audit.mail AS m
    WHERE m.kind = 'review' AND m.sent IS NULL AND history_finding.sighting_event = ANY(m.sightings)
) < 2
"""


def unmailed_reviews(connection: Connection[Any]) -> Unmailed:
    """The pending reviews to be mailed."""
    reviews = find(connection, _UNMAILED)
    rows = connection.execute(
        "SELECT f.sighting_event, EXISTS (SELECT FROM feature_store_audit.mail AS m "
        "WHERE m.kind = 'review' AND m.sent IS NULL AND f.sighting_event = ANY(m.sightings)) "
        "FROM feature_store_audit.history_finding AS f WHERE f.finding_id = ANY(%s)",
        ([review.finding_id for review in reviews],),
    ).fetchall()
    return Unmailed(
        reviews,
        tuple(sighting for sighting, _ in rows),
        any(doubtful for _, doubtful in rows),
    )
