"""What each feature is made of, column by column down to the sources, recorded for people.

The latest record shows what the server's stored queries do now.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from feature_store.audit.lease import Lease, hold_lease
from feature_store.connection import Connection
from feature_store.declarations.feature_sets import FeatureSet
from feature_store.validation.leaks.column_influence import NOTHING, Column, Columns
from feature_store.validation.leaks.gate_context import GateContext

_Named = tuple[str, str]


@dataclass(frozen=True)
class FeatureLineage:
    """What a feature is made of.

    Attributes:
        feature_set: its set.
        feature: its name.
        columns: relation and column, the feature itself first.
        edges: places in ``columns``: from what is read to what is made of it.
        decided_by: columns that only choose which values are taken (by look-up, join, filter or
            sort), without those in ``columns``.
    """

    feature_set: str
    feature: str
    columns: tuple[_Named, ...]
    edges: tuple[tuple[int, int], ...]
    decided_by: tuple[_Named, ...]


def trace_features(context: GateContext) -> tuple[FeatureLineage, ...]:
    """Trace every feature of every set whose relation exists."""
    return tuple(_Tracer(context).all())


def record_lineage(
    connection: Connection, lease: Lease, traced: tuple[FeatureLineage, ...]
) -> None:
    """Record what was traced, for each set whose lineage has changed.

    Args:
        connection: a session in autocommit mode.
        lease: held until it is recorded.
        traced: of all feature sets.

    Raises:
        LeaseTaken: the lease has changed hands.
    """
    known = connection.execute(
        "SELECT DISTINCT feature_set FROM feature_store_audit.feature_lineage"
    ).fetchall()
    lineages: dict[str, dict[str, Any]] = {name: {} for (name,) in known}
    for one in traced:
        lineages.setdefault(one.feature_set, {})[one.feature] = _as_json(one)
    with connection.transaction():
        hold_lease(connection, lease)
        for feature_set, found in lineages.items():
            connection.execute(
                _RECORD,
                {
                    "feature_set": feature_set,
                    "lineages": Jsonb(found),
                    "dag_id": lease.holder.dag_id,
                    "run_id": lease.holder.run_id,
                },
            )


_RECORD = """
INSERT INTO feature_store_audit.lineage_log (feature_set, lineages, dag_id, run_id)
SELECT n.feature_set, n.lineages, %(dag_id)s, %(run_id)s
FROM (VALUES (%(feature_set)s, %(lineages)s)) AS n (feature_set, lineages)
WHERE n.lineages IS DISTINCT FROM (
    SELECT l.lineages FROM feature_store_audit.lineage_log AS l
    WHERE l.feature_set = n.feature_set
    ORDER BY l.event_id DESC
    LIMIT 1
)
"""


def _as_json(traced: FeatureLineage) -> dict[str, Any]:
    return {"columns": traced.columns, "edges": traced.edges, "decided_by": traced.decided_by}


class _Tracer:
    def __init__(self, context: GateContext) -> None:
        self._context = context

    def all(self) -> Iterator[FeatureLineage]:
        """Every feature of every set."""
        roots = {self._context.member(oid).name: oid for oid in self._context.closure.roots}
        for feature_set in self._context.feature_sets:
            if feature_set.relation in roots:
                yield from self._of_set(feature_set, roots[feature_set.relation])

    def _of_set(self, feature_set: FeatureSet, oid: int) -> Iterator[FeatureLineage]:
        numbers = {name: number for number, name in self._context.member(oid).columns.items()}
        for feature in feature_set.features:
            if feature.name in numbers:  # others report a broken contract
                yield self._of_feature(feature_set.name, feature.name, (oid, numbers[feature.name]))

    def _of_feature(self, feature_set: str, feature: str, column: Column) -> FeatureLineage:
        places: dict[Column, int] = {column: 0}
        edges: list[tuple[int, int]] = []
        deciding = NOTHING
        for current in (way := [column]):
            if current[0] in self._context.sources:
                continue  # nothing below a source is shown
            made_of = self._context.made_of(current)
            deciding |= self._reaches(current) - made_of
            for read in self._context.each(made_of):
                if read not in places:
                    places[read] = len(places)
                    way.append(read)
                edges.append((places[read], places[current]))
        others = [c for c in self._context.each(deciding) if c not in places]
        return FeatureLineage(
            feature_set=feature_set,
            feature=feature,
            columns=tuple(map(self._named, places)),
            edges=tuple(edges),
            decided_by=tuple(sorted(map(self._named, others))),
        )

    def _reaches(self, column: Column) -> Columns:
        """Everything that has an influence on a column, one step down."""
        oid, number = column
        return self._context.influences[oid].columns.get(number, NOTHING)

    def _named(self, column: Column) -> _Named:
        member = self._context.member(column[0])
        return str(member.name), member.columns.get(column[1], "*")
