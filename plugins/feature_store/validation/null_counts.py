"""Counts each feature's rows without a value, run by run.

Used if there is no profile; otherwise the profile's pass counts them (`profile`).

NaN counts as no value, like NULL, because pandas writes it for a missing value. If a feature's
query turns NaN into a number, the refresh has counted these rows separately
(``include/sql/witness``).
"""

from __future__ import annotations

from psycopg import sql

from feature_store.audit.lease import Lease, hold_lease
from feature_store.connection import Connection, one_row
from feature_store.database.catalog import live_columns
from feature_store.declarations.feature_sets import FeatureSet
from feature_store.validation.feature_types import WITH_NAN

NAN_FACT = "values that are NaN in the source"
"""The name of the fact in which a refresh records them, feature by feature."""


def record_nulls(connection: Connection, lease: Lease, feature_set: FeatureSet, event: int) -> None:
    """Count the rows of every feature of a set that have no value.

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
    with connection.transaction():
        hold_lease(connection, lease)
        types = live_columns(connection, feature_set.relation)
        counts = sql.SQL(", ").join(_filled(name, types.get(name, "")) for name in names)
        total, *filled = one_row(
            connection,
            sql.SQL("SELECT count(*), {} FROM {}").format(counts, feature_set.relation.identifier),
        )
        made_numbers = nan_in_source(connection, feature_set)
        missing = {
            name: total - n + made_numbers.get(name, 0)
            for name, n in zip(names, filled, strict=True)
        }
        insert_nulls(connection, event, feature_set.name, total, missing)


def insert_nulls(
    connection: Connection, event: int, feature_set: str, total: int, missing: dict[str, int]
) -> None:
    """Record how many rows have no value, by feature; in the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO feature_store_audit.feature_nulls_log "
            "(suite_event, feature_set, feature, row_count, null_count) "
            "VALUES (%s, %s, %s, %s, %s)",
            [(event, feature_set, name, total, n) for name, n in missing.items()],
        )


def _filled(name: str, type_name: str) -> sql.Composed:
    """Count a feature's rows that have a value."""
    column = sql.Identifier(name)
    if type_name in WITH_NAN:
        return sql.SQL("count(*) FILTER (WHERE {} <> 'NaN')").format(column)
    return sql.SQL("count({})").format(column)


def nan_in_source(connection: Connection, feature_set: FeatureSet) -> dict[str, int]:
    """The rows with a number where the source had NaN, by feature."""
    return dict(
        connection.execute(
            "SELECT nan ->> 'feature', (nan ->> 'source_rows')::bigint "
            "FROM feature_store_audit.latest_refresh AS r "
            "INNER JOIN feature_store_audit.fact AS f ON r.refresh_id = f.refresh_id "
            "CROSS JOIN jsonb_array_elements(f.sample) AS nan "
            "WHERE r.relation = %s AND f.fact = %s",
            (str(feature_set.relation), NAN_FACT),
        ).fetchall()
    )
