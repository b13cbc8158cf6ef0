"""Recounts: days that changed only because there are more or fewer rows of known entities.

A source with a row per scrape gets new rows for its old days every night. That moves columns that
count such rows or weigh by them, but says nothing new about the day. It does say something new if
the rows belong to entities that the day did not have, or if anything else changes, such as a
median.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from psycopg.types.json import Jsonb

from feature_store.connection import Connection
from feature_store.declarations.history_series import HistorySeries
from feature_store.validation.history.row_changes import BYTES_PER_COLUMN


@dataclass(frozen=True)
class Known:
    """Which entities are behind a layer's days: digests of them by day.

    Attributes:
        asked: whether they must be asked for, because the layer's rows do not name them.
        then: at the layer's last check; None if not known.
        now: by the refresh of the checked rows; None if it did not record them.
    """

    asked: bool
    then: Mapping[str, str] | None
    now: Mapping[str, str] | None

    def same(self, day: date) -> bool:
        """Whether the day certainly has the same entities as before."""
        if not self.asked:
            return True
        if self.then is None or self.now is None:
            return False
        return self.then.get(str(day)) == self.now.get(str(day))


def read_known(
    connection: Connection, layer: HistorySeries, then: Mapping[str, str] | None
) -> Known:
    """The entities behind a layer's days, as the latest refresh of its relation recorded them.

    Args:
        connection: in the check's transaction.
        layer: the layer.
        then: what was recorded at the layer's last check.
    """
    if layer.known is None:
        return Known(False, None, None)
    row = connection.execute(
        "SELECT f.sample FROM feature_store_audit.latest_refresh AS l "
        "INNER JOIN feature_store_audit.fact AS f ON l.refresh_id = f.refresh_id "
        "WHERE l.relation = %s AND f.fact = %s",
        (layer.relation, layer.known),
    ).fetchone()
    return Known(True, then, row[0] if row else None)


def essences(
    connection: Connection, layer: HistorySeries, days: Iterable[date], kept: Collection[int]
) -> dict[date, bytes]:
    """Digests of the changes found on some days of a layer, without copies and some columns.

    Args:
        connection: in the check's transaction.
        layer: the layer.
        days: the days.
        kept: the positions, from 1, of the columns that count besides the key.

    Returns:
        By day, without days on which nothing is left.
    """
    found = connection.execute(
        _ESSENCES,
        {
            "layer": layer.name,
            "days": list(days),
            "keyed": bool(layer.key),
            "kept": list(kept),
            "bytes": BYTES_PER_COLUMN,
        },
    )
    return dict(found.fetchall())


# Of equal rows the first shows that the row exists, the others only how often. A row that came and
# went with the same values, except in ignored columns, has not changed.
_ESSENCES = """
WITH essential AS (
    SELECT
        c.day,
        c.row_key,
        coalesce(v.values, '') AS values,
        bool_or(c.came) AS came
    FROM feature_store_audit.history_change AS c
    CROSS JOIN LATERAL (
        SELECT
            string_agg(
                substr(c.columns, (p.position - 1) * %(bytes)s + 1, %(bytes)s),
                ''::bytea ORDER BY p.position
            ) AS values
        FROM unnest(%(kept)s::int[]) AS p (position)
    ) AS v
    WHERE
        c.layer = %(layer)s
        AND c.day = ANY(%(days)s::date[])
        AND (%(keyed)s OR c.copy = 1)
    GROUP BY c.day, c.row_key, coalesce(v.values, '')
    HAVING bool_and(c.came) = bool_or(c.came)
)

SELECT
    e.day,
    sha256(
        string_agg(
            convert_to(e.came || e.row_key, 'UTF8') || e.values,
            ''::bytea ORDER BY e.row_key COLLATE "C", e.values
        )
    )
FROM essential AS e
GROUP BY e.day
"""


def told_apart(recounts: Mapping[str, Collection[date]]) -> Jsonb | None:
    """Recounted days by layer, for the record of a history check; None if there are none."""
    told = {
        layer: {"days": len(days), "first": str(min(days)), "last": str(max(days))}
        for layer, days in recounts.items()
        if days
    }
    return Jsonb(told) if told else None
