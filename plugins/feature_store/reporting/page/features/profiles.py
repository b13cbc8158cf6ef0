"""The share of NULLs and the drift of features, from the record only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg.rows import class_row

from feature_store.connection import Connection, one_value
from feature_store.declarations.thresholds import read_thresholds
from feature_store.relation_name import Name
from feature_store.reporting.page.features.profile_models import FeatureTrend, ProfiledSet, Profiles
from feature_store.reporting.page.schedule import days_ago
from feature_store.reporting.store.store_files import Files
from feature_store.schema.feature_logs.feature_log import log_of
from feature_store.schema.object_states import require_store
from feature_store.settings import Settings

NIGHTS = 60
"""How many days a small chart covers."""

_SETS = """
SELECT DISTINCT ON (p.feature_set)
    p.feature_set, p.dag_id, p.run_id, r.as_of_day, p.row_count AS rows, p.sampled, p.month,
    p.before, p.problem
FROM feature_store_audit.profile AS p
INNER JOIN feature_store_audit.run AS r ON p.dag_id = r.dag_id AND p.run_id = r.run_id
WHERE %(set)s::text IS NULL OR p.feature_set = %(set)s
ORDER BY p.feature_set ASC, p.suite_event DESC
"""
_NULLS = """
SELECT
    n.feature_set, n.feature,
    array_agg(round(n.null_count::numeric / n.row_count, 4)::float8 ORDER BY r.prepared_at),
    (array_agg(n.null_count ORDER BY r.prepared_at DESC))[1]
FROM feature_store_audit.run AS r
INNER JOIN feature_store_audit.feature_nulls AS n ON r.dag_id = n.dag_id AND r.run_id = n.run_id
WHERE r.prepared_at >= %(since)s AND n.row_count > 0
GROUP BY n.feature_set, n.feature
"""
_DRIFT = """
SELECT
    p.feature_set, p.feature,
    array_agg(round(p.drift_month::numeric, 4)::float8 ORDER BY r.prepared_at),
    (array_agg(p.usual_drift ORDER BY r.prepared_at DESC))[1],
    (array_agg(p.drift_stamp ORDER BY r.prepared_at DESC))[1]
FROM feature_store_audit.run AS r
INNER JOIN feature_store_audit.feature_profile AS p ON r.dag_id = p.dag_id AND r.run_id = p.run_id
WHERE r.prepared_at >= %(since)s
GROUP BY p.feature_set, p.feature
"""


def read_profiles(connection: Connection, settings: Settings, files: Files) -> Profiles:
    """All features over the last nights.

    Raises:
        NotReady: the store has not been created.
    """
    require_store(connection)
    since = days_ago(settings, NIGHTS)
    nulls = {(s, f): told for s, f, *told in connection.execute(_NULLS, {"since": since})}
    drift = {(s, f): told for s, f, *told in connection.execute(_DRIFT, {"since": since})}
    thresholds = read_thresholds(settings.include_dir)
    return Profiles(
        since=since,
        sets=profiled_sets(connection),
        served=[
            s.name
            for s in files.feature_sets
            if s.served and may_read(connection, log_of(s), s.relation)
        ],
        features=[
            _trend(
                (s.name, f.name),
                nulls.get((s.name, f.name)),
                drift.get((s.name, f.name)),
                thresholds,
            )
            for s in files.feature_sets
            for f in s.features
        ],
    )


def profiled_sets(connection: Connection, name: str | None = None) -> list[ProfiledSet]:
    """The latest profile of each feature set, or of one."""
    with connection.cursor(row_factory=class_row(ProfiledSet)) as cursor:
        return cursor.execute(_SETS, {"set": name}).fetchall()


def _trend(
    feature: tuple[str, str],
    nulls: Sequence[Any] | None,
    drift: Sequence[Any] | None,
    thresholds: Mapping[str, float],
) -> FeatureTrend:
    shares, null_rows = nulls or ([], None)
    by_night, usual, stamp = drift or ([], None, None)
    # As in the expectation no_feature_has_drifted; a store without it has no such thresholds.
    most = thresholds.get("most_drift", math.inf)
    month = by_night[-1] if by_night else None
    beyond = max(most, thresholds.get("most_drift_to_usual", 1) * (usual or 0))
    return FeatureTrend(
        feature_set=feature[0],
        name=feature[1],
        nulls=shares,
        null_rows=null_rows,
        drift=by_night,
        usual=usual,
        drift_stamp=stamp,
        drifted=(usual is not None and month is not None and month > beyond)
        or (stamp is not None and stamp > most),
    )


def may_read(connection: Connection, *relations: Name) -> bool:
    """Whether the page's role may read all of them; false if one is missing."""
    readable: int = one_value(
        connection,
        "SELECT count(*) FROM pg_catalog.pg_class AS c "
        "INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid "
        "WHERE (n.nspname, c.relname) IN (SELECT * FROM unnest(%s::text[], %s::text[])) "
        "AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')",
        ([r.schema for r in relations], [r.relation for r in relations]),
    )
    return readable == len(relations)
