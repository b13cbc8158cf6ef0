"""The cost of feature logs per night: seconds of certification and of skew, and bytes."""

from __future__ import annotations

from typing import Any

from psycopg import sql

from bench.scratch import Scratch
from bench.variants import HOLDER, Stopwatch, take_the_lease
from feature_store.audit.lease import Lease
from feature_store.audit.runs import open_run
from feature_store.connection import Connection, one_row
from feature_store.declarations.feature_sets import FeatureSet, logged_sets
from feature_store.declarations.suites import read_suites
from feature_store.refresh.refresh import refresh
from feature_store.relation_name import LOG_SCHEMA, Name
from feature_store.schema.stamps.contract_stamp import stamp
from feature_store.validation.certification import certify
from feature_store.validation.skew import record_skew
from feature_store.validation.suite_record import begin_suite

_HOLD_BACK = """
CREATE TABLE public.last_day AS
SELECT * FROM "iPhone".iphone_listings AS l
WHERE l.edited_date >= (SELECT max(n.edited_date)::date FROM "iPhone".iphone_listings AS n);
DELETE FROM "iPhone".iphone_listings AS l
WHERE l.edited_date >= (SELECT max(n.edited_date)::date FROM "iPhone".iphone_listings AS n);
"""


def measure_served(scratch: Scratch) -> dict[str, Any]:
    """Measure the night that begins the logs, the next one, and one in which nothing is new.

    Returns:
        By night: seconds to certify without logs and with them, seconds of the skew, rows and bytes
        that the night added.
    """
    sets = logged_sets(scratch.settings.include_dir)
    with scratch.session() as connection:
        for feature_set in sets.values():
            stamp(connection, feature_set, replace=False)
        connection.execute(_HOLD_BACK.encode())
        found = {"first": _night(connection, scratch, sets)}
        connection.execute('INSERT INTO "iPhone".iphone_listings SELECT * FROM public.last_day')
        found["usual"] = _night(connection, scratch, sets)
        found["nothing new"] = _night(connection, scratch, sets)
    return found


def _night(
    connection: Connection, scratch: Scratch, sets: dict[str, FeatureSet]
) -> dict[str, float]:
    lease = take_the_lease(connection)
    open_run(connection, HOLDER, "manual", scratch.newest_day(connection), scratch.settings.zone)
    for relation in scratch.store.refreshed:
        refresh(connection, relation, lease, scratch.settings.zone)
    watch = Stopwatch()
    event = 0
    for suite in read_suites(scratch.settings.include_dir):
        event = _met(connection, lease, suite)
    with watch.time("skew"):
        for feature_set in sets.values():
            record_skew(connection, lease, feature_set, event, scratch.settings.skew_days)
    before = _logged(connection, sets)
    for words, logged in (("certify", []), ("certify and log", list(sets))):
        with watch.time(words), connection.transaction():
            certify(connection, lease, scratch.store, logged)
    after = _logged(connection, sets)
    seconds = {name: round(value, 3) for name, value in watch.seconds.items()}
    return {**seconds, "rows": after[0] - before[0], "bytes": after[1] - before[1]}


def _met(connection: Connection, lease: Lease, suite: str) -> int:
    """Record that a suite was met and history checked; these are measured elsewhere."""
    event = begin_suite(connection, lease, suite)
    connection.execute(
        "INSERT INTO feature_store_audit.expectation_log (suite_event, expectation, relation, "
        "severity, outcome, expected, observed, sample, seconds) "
        "VALUES (%s, 'x', 'ml.x', 'critical', 'met', 'x', 'x', '[]', 0)",
        (event,),
    )
    connection.execute(
        "INSERT INTO feature_store_audit.history_judgement_log "
        "(dag_id, run_id, as_of_day, settled_before, days, seconds) "
        "VALUES (%s, %s, '2026-06-30', '2026-05-31', 0, 0)",
        (lease.holder.dag_id, lease.holder.run_id),
    )
    return event


def _logged(connection: Connection, sets: dict[str, FeatureSet]) -> tuple[int, int]:
    rows = total = 0
    for name in sets:
        log = Name(LOG_SCHEMA, name)
        found = one_row(
            connection,
            sql.SQL("SELECT count(*), pg_total_relation_size(%s::regclass) FROM {}").format(
                log.identifier
            ),
            (log.quoted,),
        )
        rows, total = rows + found[0], total + found[1]
    return rows, total
