"""What the values of one feature look like: in all rows, by month of t0, night by night."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from psycopg import sql
from psycopg.rows import class_row, dict_row

from feature_store.connection import Connection, one_value
from feature_store.database.catalog import live_columns
from feature_store.declarations.feature_sets import Feature, FeatureSet
from feature_store.reporting.page.features.features import find_feature
from feature_store.reporting.page.features.profile_models import (
    Bin,
    DriftLine,
    FeatureProfile,
    MonthLine,
    SampledValue,
)
from feature_store.reporting.page.features.profiles import may_read, profiled_sets
from feature_store.reporting.page.features.reading_lines import (
    grant_lines,
    python_lines,
    sql_lines,
)
from feature_store.reporting.page.schedule import days_ago
from feature_store.reporting.store.store_files import Files
from feature_store.schema.feature_logs.feature_log import log_of
from feature_store.schema.object_states import require_store
from feature_store.settings import Settings
from feature_store.validation.certification import certified_in_words
from feature_store.validation.profile_query import QUANTILES

SAMPLES = 5

_PROFILE = """
SELECT p.* FROM feature_store_audit.feature_profile AS p
WHERE p.feature_set = %(set)s AND p.feature = %(feature)s
ORDER BY p.suite_event DESC LIMIT 1
"""
_MONTHS = """
SELECT
    m.month, m.row_count AS rows, m.null_count AS nulls, m.zero_count AS zeros, m.least, m.most,
    m.mean, m.deviation
FROM feature_store_audit.feature_month AS m
WHERE m.feature_set = %(set)s AND m.feature = %(feature)s AND m.suite_event = %(event)s
ORDER BY m.month
"""
_NIGHTS = """
SELECT p.dag_id, p.run_id, r.as_of_day, r.prepared_at, p.drift_month, p.drift_stamp
FROM feature_store_audit.run AS r
INNER JOIN feature_store_audit.feature_profile AS p ON r.dag_id = p.dag_id AND r.run_id = p.run_id
WHERE r.prepared_at >= %(since)s AND p.feature_set = %(set)s AND p.feature = %(feature)s
ORDER BY r.prepared_at, r.run_id
"""


def read_feature_profile(
    connection: Connection,
    settings: Settings,
    files: Files,
    feature_set: str,
    name: str,
    days: int,
) -> FeatureProfile:
    """One feature's profile.

    Raises:
        NotFound: no contract file has it.
        NotReady: the store has not been created.
    """
    found, feature = find_feature(files, feature_set, name)
    require_store(connection)
    carrier = files.relations.get(str(found.relation))
    since = days_ago(settings, days)
    asked = {"set": feature_set, "feature": name, "since": since}
    with connection.cursor(row_factory=dict_row) as cursor:
        told = cursor.execute(_PROFILE, asked).fetchone() or {}
    with connection.cursor(row_factory=class_row(MonthLine)) as cursor:
        months = cursor.execute(_MONTHS, {**asked, "event": told.get("suite_event")}).fetchall()
    with connection.cursor(row_factory=class_row(DriftLine)) as cursor:
        nights = cursor.execute(_NIGHTS, asked).fetchall()
    quantiles = told.get("quantiles") or []
    may_sample = found.served is None or may_read(connection, log_of(found))
    return FeatureProfile(
        of=next(iter(profiled_sets(connection, feature_set)), None),
        rows=told.get("row_count"),
        nulls=told.get("null_count"),
        zeros=told.get("zero_count"),
        distinct=told.get("distinct_count"),
        least=told.get("least"),
        most=told.get("most"),
        mean=told.get("mean"),
        deviation=told.get("deviation"),
        quantiles={f"{q:.0%}": v for q, v in zip(QUANTILES, quantiles, strict=False)},
        bins=_bins(feature, told) if told else [],
        then=told["stamp_seen_at"].date() if told else None,
        months=months,
        nights=nights,
        usual=told.get("usual_drift"),
        drift_month=told.get("drift_month"),
        drift_stamp=told.get("drift_stamp"),
        certified=certified_in_words(connection),
        lines=sql_lines(
            found, feature, settings.zone, is_view=bool(carrier and not carrier.is_refreshed)
        ),
        python=python_lines(found, feature),
        samples=_samples(connection, found, feature) if may_sample else [],
        samples_grant="" if may_sample else _grant(connection, files, found),
    )


def _grant(connection: Connection, files: Files, feature_set: FeatureSet) -> str:
    """The SQL that would let the page's role read the log; empty before there is one."""
    log = log_of(feature_set)
    there = one_value(
        connection,
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_class AS c INNER JOIN pg_catalog.pg_namespace "
        "AS n ON c.relnamespace = n.oid WHERE n.nspname = %s AND c.relname = %s)",
        (log.schema, log.relation),
    )
    return grant_lines(log, files.profile.role_prefix) if there else ""


def _bins(feature: Feature, told: dict[str, Any]) -> list[Bin]:
    rows, then_rows = told["row_count"], told["stamp_row_count"]
    counts, then = told["counts"], told["stamp_counts"]
    if told["levels"] is not None:
        labels = [*told["levels"], "all others"]
    else:
        labels = _intervals(told["edges"], feature.dtype.startswith("int"))
    labels.append("no value")
    counts, then = [*counts, rows - sum(counts)], [*then, then_rows - sum(then)]
    return [
        Bin(label=label, now=n / rows if rows else 0, then=m / then_rows if then_rows else 0)
        for label, n, m in zip(labels, counts, then, strict=True)
        if n or m
    ]


def _intervals(edges: list[float], whole: bool) -> list[str]:
    """What each bin has: below the first edge, between edges, from the last edge on."""
    if not edges:
        return ["any"]
    between = [
        _shown(low)
        if whole and high - low == 1
        else f"{_shown(low)} to {_shown(high - 1)}"
        if whole
        else f"{_shown(low)} to under {_shown(high)}"
        for low, high in pairwise(edges)
    ]
    return [f"under {_shown(edges[0])}", *between, f"{_shown(edges[-1])} and more"]


def _shown(edge: float) -> str:
    return f"{edge:,.0f}" if 1000 <= abs(edge) < 1e15 else f"{edge:.4g}"


def _samples(
    connection: Connection, feature_set: FeatureSet, feature: Feature
) -> list[SampledValue]:
    """A few values as they were served: the first rows of the log, without a full scan."""
    served, log = feature_set.served, log_of(feature_set)
    if served is None or feature.name not in live_columns(connection, log):
        return []  # a feature that nobody has stamped yet is in no log
    rows = connection.execute(
        sql.SQL("SELECT l.{}::text, l.{}::text FROM ONLY {} AS l LIMIT {}").format(
            sql.Identifier(served.entity),
            sql.Identifier(feature.name),
            log.identifier,
            sql.Literal(SAMPLES),
        )
    ).fetchall()
    return [SampledValue(entity=entity, value=value) for entity, value in rows]
