"""Records a profile: each feature in all rows, and by month of t0."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from psycopg import Connection

from feature_store.validation.profile_parts import Part
from feature_store.validation.profile_query import Sampled


def insert_profile(
    connection: Connection[Any],
    header: tuple[Any, ...],
    sampled: Mapping[str, Sampled],
    whole: Mapping[str, Part],
    drift: Mapping[str, tuple[float | None, float | None, float | None]],
) -> None:
    """Record that a set was profiled, and each of its features; in the caller's transaction.

    Args:
        connection: a session.
        header: the fields of ``profile_log``, in order, without the problem.
        sampled: what a sample shows, by feature.
        whole: what all rows show.
        drift: from the month before to the newest month, the usual drift, and from the stamp's rows
            to all rows.
    """
    connection.execute(
        "INSERT INTO feature_store_audit.profile_log (suite_event, feature_set, bins_event, "
        "row_count, sampled, month, month_rows, before, before_rows, seconds) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        header,
    )
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO feature_store_audit.feature_profile_log (suite_event, feature_set, "
            "feature, zero_count, distinct_count, least, most, mean, deviation, quantiles, counts, "
            "drift_month, usual_drift, drift_stamp) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (
                    *(*header[:2], name, p.zeros, sampled[name].distinct),
                    *(p.least, p.most, p.mean, p.deviation),
                    *(sampled[name].quantiles, list(p.counts), *drift.get(name, (None,) * 3)),
                )
                for name, p in whole.items()
            ],
        )


def insert_months(
    connection: Connection[Any],
    event: int,
    feature_set: str,
    by_month: Mapping[date, Mapping[str, Part]],
) -> None:
    """Record each month of each feature; in the caller's transaction."""
    with (
        connection.cursor() as cursor,
        cursor.copy(
            "COPY feature_store_audit.feature_month_log (suite_event, feature_set, feature, month, "
            "row_count, null_count, zero_count, least, most, mean, deviation, counts) FROM STDIN"
        ) as copy,
    ):
        for month, parts in by_month.items():
            for name, p in parts.items():
                copy.write_row(
                    (
                        *(event, feature_set, name, month, p.rows, p.rows - p.filled, p.zeros),
                        *(p.least, p.most, p.mean, p.deviation, list(p.counts)),
                    )
                )
