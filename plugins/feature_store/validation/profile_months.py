"""Compares the newest month of t0 with the month before it, as last certified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from typing import Any

from psycopg import Connection

from feature_store.validation.drift import distance, with_missing
from feature_store.validation.profile_parts import Part

_CERTIFIED = """
SELECT m.month, m.feature, m.row_count, m.counts
FROM feature_store_audit.feature_month_log AS m
INNER JOIN feature_store_audit.profile_log AS p
    ON m.suite_event = p.suite_event AND m.feature_set = p.feature_set
WHERE m.feature_set = %(set)s AND p.bins_event = %(bins)s
    AND m.suite_event = (SELECT feature_store_audit.certified_profile(%(set)s))
"""

# How many steps from month to month; the largest of them counts as usual.
_USUAL_MONTHS, _FEWEST_STEPS = 12, 3

Counted = dict[date, dict[str, list[int]]]
"""Rows in each bin, and last those without a value, by month and feature."""


@dataclass(frozen=True)
class NewestMonth:
    """Which months were compared, and how far apart they are.

    Attributes:
        month: the newest with enough rows; None: there is none.
        rows: its rows.
        before: the newest month before it that was certified with enough rows; None: there is none.
        before_rows: its rows.
        drift: by feature, the distance of the two.
        usual: by feature, the largest distance between consecutive months before that; None while
            there are too few of them.
    """

    month: date | None = None
    rows: int | None = None
    before: date | None = None
    before_rows: int | None = None
    drift: Mapping[str, float | None] = field(default_factory=dict)
    usual: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def described(self) -> tuple[date | None, int | None, date | None, int | None]:
        """The months and their rows."""
        return self.month, self.rows, self.before, self.before_rows


def certified_months(connection: Connection[Any], feature_set: str, bins_event: int) -> Counted:
    """The months as last certified, if they were counted in these bins."""
    found: Counted = {}
    for month, feature, rows, counts in connection.execute(
        _CERTIFIED, {"set": feature_set, "bins": bins_event}
    ):
        found.setdefault(month, {})[feature] = with_missing(counts, rows)
    return found


def newest_month(
    by_month: Mapping[date, Mapping[str, Part]], certified: Counted, least_rows: float
) -> NewestMonth:
    """Compare the months; months with fewer rows are skipped."""
    large = [m for m, parts in by_month.items() if _rows(parts) >= least_rows]
    if not large:
        return NewestMonth()
    month = max(large)
    parts = by_month[month]
    earlier = sorted(m for m, c in certified.items() if m < month and _size(c) >= least_rows)
    if not earlier:
        return NewestMonth(month, _rows(parts))
    before = certified[earlier[-1]]
    drift = {
        name: distance(before[name], with_missing(part.counts, part.rows))
        for name, part in parts.items()
        if name in before
    }
    recent = [certified[m] for m in earlier[-_USUAL_MONTHS - 1 :]]
    usual = {name: _usual([counts.get(name, []) for counts in recent]) for name in drift}
    return NewestMonth(month, _rows(parts), earlier[-1], _size(before), drift, usual)


def _usual(counts: list[list[int]]) -> float | None:
    apart = [distance(one, other) for one, other in pairwise(counts)]
    known = [d for d in apart if d is not None]
    return max(known) if len(known) >= _FEWEST_STEPS else None


def _rows(parts: Mapping[str, Part]) -> int:
    return next(iter(parts.values())).rows


def _size(counts: Mapping[str, list[int]]) -> int:
    return sum(next(iter(counts.values())))
