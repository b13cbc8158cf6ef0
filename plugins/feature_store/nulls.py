"""How full every feature is: its rows without a value, kept run by run."""

from __future__ import annotations

from typing import Any

from psycopg import Connection, sql

from feature_store.contracts import FeatureSet
from feature_store.lease import Lease, hold_lease


def record_nulls(
    connection: Connection[Any], lease: Lease, feature_set: FeatureSet, event: int
) -> None:
    """Count the NULLs of every feature of a set.

    Args:
        connection: a session in autocommit mode.
        lease: held until the counts are recorded.
        feature_set: its relation is read once.
        event: the number of the try of the suite that counts.

    Raises:
        LeaseTaken: the lease has changed hands.
        psycopg.Error: the relation could not be read, or lacks a feature.
    """
    names = [feature.name for feature in feature_set.features]
    counts = sql.SQL(", ").join(sql.SQL("count({})").format(sql.Identifier(n)) for n in names)
    with connection.transaction(), connection.cursor() as cursor:
        hold_lease(connection, lease)
        row = cursor.execute(
            sql.SQL("SELECT count(*), {} FROM {}").format(counts, feature_set.relation.identifier)
        ).fetchone()
        assert row is not None  # an aggregate
        total, *filled = row
        cursor.executemany(
            "INSERT INTO feature_store_audit.feature_nulls_log "
            "(suite_event, feature_set, feature, row_count, null_count) "
            "VALUES (%s, %s, %s, %s, %s)",
            [
                (event, feature_set.name, name, total, total - n)
                for name, n in zip(names, filled, strict=True)
            ],
        )
