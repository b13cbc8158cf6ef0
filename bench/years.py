"""A feature log after years: seconds per night, bytes, and the work of vacuum."""

from __future__ import annotations

from typing import Any

from psycopg import sql

from bench.scratch import Scratch
from bench.variants import HOLDER, Stopwatch, take_the_lease
from feature_store.audit.lease import Lease
from feature_store.audit.runs import open_run
from feature_store.connection import Connection, one_row
from feature_store.declarations.feature_sets import FeatureSet, logged_sets
from feature_store.refresh.refresh import refresh
from feature_store.relation_name import LOG_SCHEMA, Name
from feature_store.schema.stamps.contract_stamp import stamp
from feature_store.validation.skew import record_skew
from feature_store.validation.suite_record import begin_suite

SERVINGS = 120
"""Servings by which a log of ten years grows: one for each month."""
_SHOWN = (1, 12, 60, 120)

# Each set is shown up to a moment of t0, so that its log grows as it would have over the years.
_UNTIL = "CREATE TABLE public.until AS SELECT '-infinity'::timestamptz AS t0"
_SHOW_UNTIL = """
CREATE VIEW {view} AS
SELECT f.*
FROM {relation} AS f
INNER JOIN {t0_relation} AS e ON f.{entity} = e.{entity}
WHERE e.{t0} <= (SELECT u.t0 FROM public.until AS u)
"""
_NEXT_MONTH = """
UPDATE public.until SET t0 = (
    SELECT percentile_disc(%(number)s::float8 / %(servings)s) WITHIN GROUP (ORDER BY l.edited_date)
    FROM "iPhone".iphone_listings AS l
)
"""
_SIZES = """
SELECT
    (SELECT count(*) FROM {log}),
    pg_table_size(%(log)s::regclass),
    pg_indexes_size(%(log)s::regclass),
    (SELECT s.n_dead_tup FROM pg_stat_user_tables AS s WHERE s.relid = %(log)s::regclass)
"""


def measure_years(scratch: Scratch) -> dict[str, Any]:
    """Let the logs of a store grow month by month, and measure them.

    Returns:
        Seconds of a night's log and proof after some numbers of servings, those of the skew, of a
        vacuum and of one look-up; rows, bytes of the tables and of their indexes, dead rows.
    """
    sets = list(logged_sets(scratch.settings.include_dir).values())
    with scratch.session() as connection:
        for feature_set in sets:
            stamp(connection, feature_set, replace=False)
        lease = take_the_lease(connection)
        day = scratch.newest_day(connection)
        open_run(connection, HOLDER, "manual", day, scratch.settings.zone)
        for relation in scratch.store.refreshed:
            refresh(connection, relation, lease, scratch.settings.zone)
        watch = Stopwatch()
        nights = _grow(connection, lease, sets)
        with watch.time("skew"):
            for feature_set in sets:
                event = begin_suite(connection, lease, "uniqueness")
                record_skew(connection, lease, feature_set, event, scratch.settings.skew_days)
        logs = [Name(LOG_SCHEMA, name) for name in [s.name for s in sets]]
        found = [_sizes(connection, log) for log in logs]
        with watch.time("vacuum"):
            for log in logs:
                connection.execute(sql.SQL("VACUUM (FREEZE) {}").format(log.identifier))
        entity = {s.name: s.served.entity for s in sets if s.served}
        with watch.time("look-up"):
            for log in logs:
                connection.execute(
                    sql.SQL("SELECT * FROM {log} WHERE {e} = (SELECT max({e}) FROM {log})").format(
                        log=log.identifier, e=sql.Identifier(entity[log.relation])
                    )
                ).fetchall()
    return {
        "nights": nights,
        "seconds": {name: round(value, 4) for name, value in watch.seconds.items()},
        **{key: sum(of[key] for of in found) for key in found[0]},
    }


def _grow(connection: Connection, lease: Lease, sets: list[FeatureSet]) -> dict[int, float]:
    """Serve month after month; gives the seconds of some of the nights."""
    connection.execute(_UNTIL.encode())
    for feature_set in sets:
        _show_until(connection, feature_set)
    nights = {}
    for number in range(1, SERVINGS + 1):
        connection.execute(_NEXT_MONTH, {"number": number, "servings": SERVINGS})
        watch = Stopwatch()
        with watch.time("night"):
            for feature_set in sets:
                _serve(connection, lease, feature_set.name)
        if number in _SHOWN:
            nights[number] = round(watch.seconds["night"], 3)
    return nights


def _show_until(connection: Connection, feature_set: FeatureSet) -> None:
    """Let a set's log read only rows up to a moment of t0."""
    served = feature_set.served
    assert served is not None  # it is a set with a log
    view = Name("public", f"{feature_set.name}_until")
    connection.execute(
        sql.SQL(_SHOW_UNTIL).format(
            view=view.identifier,
            relation=feature_set.relation.identifier,
            entity=sql.Identifier(served.entity),
            t0_relation=served.t0.relation.identifier,
            t0=sql.Identifier(served.t0.name),
        )
    )
    connection.execute(
        "UPDATE feature_store_audit.feature_log SET relation = %s WHERE feature_set = %s",
        (view.quoted, feature_set.name),
    )


def _serve(connection: Connection, lease: Lease, name: str) -> None:
    problems = connection.execute(
        "SELECT * FROM feature_store_audit.log_served(feature_store_audit.require_lease(%s), %s)",
        (lease.token, name),
    ).fetchall()
    assert not problems, problems


def _sizes(connection: Connection, log: Name) -> dict[str, int]:
    row = one_row(connection, sql.SQL(_SIZES).format(log=log.identifier), {"log": log.quoted})
    return dict(zip(("rows", "table bytes", "index bytes", "dead rows"), row, strict=True))
