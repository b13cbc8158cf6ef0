"""The bins of a profile: the first run under a contract's stamp makes them; they stay with it.

So the counts of any two nights can be compared, and all are compared with that first run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection, sql

from feature_store.audit.lease import Lease
from feature_store.declarations.feature_sets import FeatureSet
from feature_store.declarations.served import Served
from feature_store.validation.drift import distance, with_missing
from feature_store.validation.profile_parts import Bins, Part
from feature_store.validation.profile_query import Column, Sampled, levels_of

# The newest bins under the stamp whose run passed, because a failed run is no measure. Also this
# run's own, because it may try again, and bins whose run is past retention, which were used until
# then.
_KNOWN = """
SELECT b.suite_event, b.feature, b.edges, b.levels, b.row_count, b.counts
FROM feature_store_audit.feature_bins_log AS b
WHERE b.feature_set = %(set)s AND b.suite_event = (
    SELECT max(n.suite_event)
    FROM feature_store_audit.feature_bins_log AS n
    LEFT JOIN feature_store_audit.run AS r ON n.dag_id = r.dag_id AND n.run_id = r.run_id
    WHERE n.feature_set = %(set)s AND n.contract_hash = %(stamp)s
        AND (r.run_id IS NULL OR r.verdict = 'passed'
            OR (n.dag_id, n.run_id) = (%(dag_id)s, %(run_id)s))
)
"""


@dataclass(frozen=True)
class KnownBins:
    """Bins, and what the first run under the stamp counted in them.

    Attributes:
        event: the try of a suite that made the bins.
        bins: by feature.
        rows: how many the set had then.
        counts: by feature.
    """

    event: int
    bins: Mapping[str, Bins]
    rows: int
    counts: Mapping[str, tuple[int, ...]]

    def drift(self, feature: str, part: Part, least_rows: float) -> float | None:
        """How far all rows are from all rows then; None if the set is too small."""
        if min(part.rows, self.rows) < least_rows:
            return None
        return distance(
            with_missing(self.counts[feature], self.rows), with_missing(part.counts, part.rows)
        )


def stamped_hash(connection: Connection[Any], feature_set: FeatureSet) -> str | None:
    """The hash under which a set is stamped; None if it is not."""
    row = connection.execute(
        sql.SQL("SELECT s.features_hash FROM {} AS s WHERE s.name = %s").format(
            sql.Identifier(feature_set.schema, "feature_set")  # each governed schema has all sets
        ),
        (feature_set.name,),
    ).fetchone()
    return row and row[0]


def known_bins(
    connection: Connection[Any], lease: Lease, feature_set: str, stamp: str
) -> KnownBins | None:
    """The bins that hold under a stamp; None before the first run that passes under it."""
    rows = connection.execute(
        _KNOWN,
        {
            "set": feature_set,
            "stamp": stamp,
            "dag_id": lease.holder.dag_id,
            "run_id": lease.holder.run_id,
        },
    ).fetchall()
    if not rows:
        return None
    return KnownBins(
        event=rows[0][0],
        bins={
            feature: Bins(tuple(edges or ()), None if levels is None else tuple(levels))
            for _, feature, edges, levels, *_ in rows
        },
        rows=rows[0][4],
        counts={feature: tuple(counts) for _, feature, *_, counts in rows},
    )


def bins_of(
    connection: Connection[Any],
    feature_set: FeatureSet,
    served: Served,
    sampled: Mapping[str, Sampled],
    every: int,
    columns: Sequence[Column],
) -> dict[str, Bins]:
    """Bins for the current rows: between quantiles of numbers, and the most frequent texts."""
    return {
        c.name: Bins(edges=sampled[c.name].cuts)
        if c.is_number
        else Bins(levels=levels_of(connection, feature_set, served, c, every))
        for c in columns
    }


def keep_bins(
    connection: Connection[Any],
    lease: Lease,
    feature_set: str,
    stamp: str,
    event: int,
    bins: Mapping[str, Bins],
    whole: Mapping[str, Part],
) -> KnownBins:
    """Record bins, and this run's counts in them."""
    holder = lease.holder
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO feature_store_audit.feature_bins_log (suite_event, feature_set, feature, "
            "contract_hash, dag_id, run_id, edges, levels, row_count, counts) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (
                    *(event, feature_set, name, stamp, holder.dag_id, holder.run_id),
                    list(bins[name].edges) if bins[name].levels is None else None,
                    None if bins[name].levels is None else list(bins[name].levels or ()),
                    part.rows,
                    list(part.counts),
                )
                for name, part in whole.items()
            ],
        )
    counts = {name: part.counts for name, part in whole.items()}
    return KnownBins(event, bins, next(iter(whole.values())).rows, counts)
