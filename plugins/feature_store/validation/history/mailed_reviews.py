"""Which reviews were mailed: each is mailed once, and again when it changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from feature_store.connection import Connection
from feature_store.validation.history.findings import HistoryFinding, find


@dataclass(frozen=True)
class Unmailed:
    """Reviews without a mail: pending ones, and those that were closed without an answer.

    Attributes:
        reviews: what changed and is pending, as it is now.
        unanswered: what was pending until a definition changed and history started again.
        sighting_of: by the number of a finding, that of what the record last saw of it.
        doubtful: a mail about some of them was begun, and nobody knows whether it arrived.
    """

    reviews: tuple[HistoryFinding, ...]
    unanswered: tuple[HistoryFinding, ...]
    sighting_of: Mapping[int, int]
    doubtful: bool

    @property
    def sightings(self) -> tuple[int, ...]:
        """The numbers of what was seen, each once."""
        return tuple(dict.fromkeys(self.sighting_of.values()))

    def without(self, told: Collection[int]) -> Unmailed:
        """The same without what has been told, given by its sightings."""
        left = {n: sighting for n, sighting in self.sighting_of.items() if sighting not in told}
        return replace(
            self,
            reviews=tuple(f for f in self.reviews if f.finding_id in left),
            unanswered=tuple(f for f in self.unanswered if f.finding_id in left),
            sighting_of=left,
        )


# A mail that may or may not have arrived is followed by at most one more.
_UNMAILED = """outcome IS NULL AND kind = 'review' AND mailed_at IS NULL
AND (
    SELECT count(*) FROM feature_store_audit.mail AS m
    WHERE m.kind = 'review' AND m.sent IS NULL AND history_finding.sighting_event = ANY(m.sightings)
) < 2
"""


# The new baseline's own sighting represents the reviews it closed, which were mailed before.
_CLOSED = """
SELECT f.finding_id, d.sighting_event
FROM feature_store_audit.history_finding AS f
INNER JOIN feature_store_audit.history_finding AS d
    ON f.layer = d.layer AND d.kind = 'definition' AND f.closed_at = d.found_at
WHERE f.kind = 'review' AND f.outcome = 'redefined' AND d.mailed_at IS NULL
    -- What is older was closed before anybody was told of such things.
    AND f.closed_at > now() - interval '7 days'
    AND (
        SELECT count(*) FROM feature_store_audit.mail AS m
        WHERE m.kind = 'review' AND m.sent IS NULL AND d.sighting_event = ANY(m.sightings)
    ) < 2
"""


def unmailed_reviews(connection: Connection) -> Unmailed:
    """The reviews to be mailed."""
    reviews = find(connection, _UNMAILED)
    rows = connection.execute(
        "SELECT f.finding_id, f.sighting_event, EXISTS (SELECT FROM feature_store_audit.mail AS m "
        "WHERE m.kind = 'review' AND m.sent IS NULL AND f.sighting_event = ANY(m.sightings)) "
        "FROM feature_store_audit.history_finding AS f WHERE f.finding_id = ANY(%s)",
        ([review.finding_id for review in reviews],),
    ).fetchall()
    closed = connection.execute(_CLOSED).fetchall()
    return Unmailed(
        reviews,
        find(connection, "finding_id = ANY(%s)", [finding_id for finding_id, _ in closed]),
        {finding_id: sighting for finding_id, sighting, _ in rows} | dict(closed),
        any(doubtful for *_, doubtful in rows),
    )
