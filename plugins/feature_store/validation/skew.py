"""Skew: how many of the served values are different in the store today?

This is training-serving skew: a model is trained on the store's values of today, but was given
those of the night after t0. Every night each feature's values in the feature log are compared with
the set's current values for the same entities, and the shares are kept with the run.
"""

from __future__ import annotations

from collections.abc import Mapping

from psycopg import sql

from feature_store.audit.lease import Lease, hold_lease
from feature_store.connection import Connection
from feature_store.database.catalog import live_columns
from feature_store.declarations.feature_sets import FeatureSet
from feature_store.declarations.served import Served
from feature_store.relation_name import LOG_SCHEMA, Name
from feature_store.validation.feature_types import NUMBERS

ALL = "all"
"""The name for the rows of all ages together."""
AGES = ("under 7 days", "7 to 29 days", "30 days and more")
"""The ages, from t0 to the run's as-of day; late data mostly arrives within days."""
_AGE = """
    CASE
        WHEN r.as_of_day - l.t0::date < 7 THEN {young}
        WHEN r.as_of_day - l.t0::date < 30 THEN {middle}
        ELSE {old}
    END
"""
# Larger differences, and differences from NaN, are not measured.
_ENDLESS = "1e300"


def record_skew(
    connection: Connection, lease: Lease, feature_set: FeatureSet, event: int, days: int
) -> None:
    """Compare what was served of a set with its current values, feature by feature.

    Args:
        connection: a session in autocommit mode.
        lease: held until the shares are recorded.
        feature_set: its relation and its log are read once. Without a log nothing is done.
        event: the number of the try of the suite that compares.
        days: of t0, up to the run's as-of day.

    Raises:
        LeaseTaken: the lease has changed hands.
        psycopg.Error: the relation or the log could not be read.
    """
    served = feature_set.served
    types = live_columns(connection, Name(LOG_SCHEMA, feature_set.name))
    if served is None or not types:
        return
    with connection.transaction(), connection.cursor() as cursor:
        hold_lease(connection, lease)
        since = _logged_since(connection, feature_set)
        names = [f.name for f in feature_set.features if f.name in since]
        if not names:
            return
        found = cursor.execute(
            _query(feature_set, served, names, types, since),
            {"days": days, "dag_id": lease.holder.dag_id, "run_id": lease.holder.run_id},
        ).fetchall()
        cursor.executemany(
            "INSERT INTO feature_store_audit.feature_skew_log (suite_event, feature_set, feature, "
            "age, compared, differing, typical, gone) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (event, feature_set.name, name, age, *numbers, gone)
                for age, gone, *columns in found
                for name, *numbers in zip(names, *columns, strict=True)
            ],
        )


def _logged_since(connection: Connection, feature_set: FeatureSet) -> dict[str, int]:
    """The first serving that had each column; before that, no value was served."""
    return dict(
        connection.execute(
            "SELECT c.name, min(s.serving) FROM feature_store_audit.seal_log AS s "
            "CROSS JOIN unnest(s.columns) AS c (name) "
            "WHERE s.feature_set = %s AND s.run_id IS NOT NULL GROUP BY c.name",
            (feature_set.name,),
        ).fetchall()
    )


def _query(
    feature_set: FeatureSet,
    served: Served,
    names: list[str],
    types: Mapping[str, str],
    since: Mapping[str, int],
) -> sql.Composed:
    """By age: how many entities are gone; by feature: compared, differing, by how much."""
    entity = sql.Identifier(served.entity)
    compared, differing, typical = [], [], []
    for name in names:
        parts = {"x": sql.Identifier(name), "e": entity, "since": sql.Literal(since[name])}
        was = sql.SQL("f.{e} IS NOT NULL AND l.serving >= {since}").format(**parts)
        differs = sql.SQL("{} AND l.{x} IS DISTINCT FROM f.{x}").format(was, **parts)
        compared.append(sql.SQL("count(*) FILTER (WHERE {})").format(was))
        differing.append(sql.SQL("count(*) FILTER (WHERE {})").format(differs))
        size: sql.Composable = sql.SQL("NULL")
        if types[name] in NUMBERS:
            size = sql.SQL(
                "nullif(percentile_disc(0.5) WITHIN GROUP ("
                "ORDER BY least(abs(f.{x}::numeric - l.{x}::numeric), {most})"
                ") FILTER (WHERE {differs} AND f.{x} IS NOT NULL AND l.{x} IS NOT NULL), {most})"
            ).format(differs=differs, most=sql.SQL(_ENDLESS), **parts)
        typical.append(sql.SQL("({})::float8").format(size))
    return sql.SQL(
        """
        SELECT
            coalesce(a.age, {all}), count(*) - count(f.{e}),
            ARRAY[{compared}], ARRAY[{differing}], ARRAY[{typical}]
        FROM ONLY {log} AS l
        INNER JOIN feature_store_audit.run AS r ON r.dag_id = %(dag_id)s AND r.run_id = %(run_id)s
        CROSS JOIN LATERAL (SELECT {age} AS age) AS a
        LEFT JOIN {relation} AS f ON l.{e} = f.{e}
        WHERE l.t0 >= r.as_of_day - %(days)s AND l.t0 < r.as_of_day + 1
        GROUP BY ROLLUP (a.age)
        """
    ).format(
        all=sql.Literal(ALL),
        age=sql.SQL(_AGE).format(
            **dict(zip(("young", "middle", "old"), map(sql.Literal, AGES), strict=True))
        ),
        e=entity,
        compared=sql.SQL(", ").join(compared),
        differing=sql.SQL(", ").join(differing),
        typical=sql.SQL(", ").join(typical),
        log=sql.Identifier(LOG_SCHEMA, feature_set.name),
        relation=feature_set.relation.identifier,
    )
