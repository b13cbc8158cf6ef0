"""Profiles: what the values of each feature look like, night by night and by month of t0.

A profile is made in the same pass over a set's rows that counts those without a value, and is kept
with the run. It decides nothing: if it fails, the problem is recorded, and the run goes on.
"""

from __future__ import annotations

import logging
import time
from datetime import date

import psycopg

from feature_store.audit.lease import Lease, hold_lease
from feature_store.connection import Connection, one_value
from feature_store.database.catalog import live_columns
from feature_store.declarations.feature_sets import FeatureSet
from feature_store.declarations.served import Served
from feature_store.errors import passes_on_its_own
from feature_store.text_format import bounded
from feature_store.validation.null_counts import insert_nulls, nan_in_source, record_nulls
from feature_store.validation.profile_bins import bins_of, keep_bins, known_bins, stamped_hash
from feature_store.validation.profile_months import certified_months, newest_month
from feature_store.validation.profile_parts import together
from feature_store.validation.profile_query import Column, months, sample
from feature_store.validation.profile_record import insert_months, insert_profile

log = logging.getLogger(__name__)

MOST_SECONDS = 600
"""The most seconds for one query of a profile; if it takes longer, there is no profile."""
_TIMED_OUT = "57014"
# There may be any number of wrong t0s.
_MOST_MONTHS = 240


def record_profile(
    connection: Connection,
    lease: Lease,
    feature_set: FeatureSet,
    event: int,
    least_rows: float,
    most_seconds: float = MOST_SECONDS,
) -> None:
    """Count each feature's rows without a value, and profile the others.

    A set that is not stamped, or whose contract does not name entity and t0, has no profile: only
    its rows without a value are counted.

    Args:
        connection: a session in autocommit mode.
        lease: held until all is recorded.
        feature_set: its relation is read twice: all of it, and a sample.
        event: the number of the try of the suite that counts.
        least_rows: months of t0 with fewer rows get no drift.
        most_seconds: for one query; if it takes longer, there is no profile.

    Raises:
        LeaseTaken: the lease has changed hands.
        psycopg.Error: the relation could not be read, or lacks a feature; or it may pass.
    """
    served, stamp = feature_set.served, stamped_hash(connection, feature_set)
    if served is None or stamp is None:
        record_nulls(connection, lease, feature_set, event)
        return
    started = time.monotonic()
    try:
        with connection.transaction():
            hold_lease(connection, lease)
            most_seconds = _limit(connection, most_seconds)
            _profile(connection, lease, feature_set, served, stamp, event, least_rows)
    except (psycopg.Error, ArithmeticError, ValueError) as error:
        seconds = time.monotonic() - started
        if _must_be_raised(error, seconds, most_seconds):
            raise
        log.warning("No profile of %s tonight: %s", feature_set.name, str(error).strip())
        record_nulls(connection, lease, feature_set, event)
        with connection.transaction():
            hold_lease(connection, lease)
            connection.execute(
                "INSERT INTO feature_store_audit.profile_log (suite_event, feature_set, seconds, "
                "problem) VALUES (%s, %s, %s, %s)",
                (event, feature_set.name, seconds, bounded(str(error).strip())),
            )


def _limit(connection: Connection, most_seconds: float) -> float:
    """Limit each statement of this transaction, without exceeding the session's own limit."""
    limit: int = one_value(
        connection,
        "SELECT l.ms, set_config('statement_timeout', l.ms::text, TRUE) FROM ("
        "SELECT least(nullif(s.setting::bigint, 0), %s) AS ms FROM pg_catalog.pg_settings AS s "
        "WHERE s.name = 'statement_timeout') AS l",
        (round(most_seconds * 1000),),
    )
    return limit / 1000


def _must_be_raised(error: Exception, seconds: float, most_seconds: float) -> bool:
    """Errors that may pass, or a stopped task; but not a query that took too long."""
    if isinstance(error, psycopg.Error) and error.sqlstate == _TIMED_OUT:
        return seconds < most_seconds
    return passes_on_its_own(error)


def _profile(
    connection: Connection,
    lease: Lease,
    feature_set: FeatureSet,
    served: Served,
    stamp: str,
    event: int,
    least_rows: float,
) -> None:
    started = time.monotonic()
    name = feature_set.name
    types = live_columns(connection, feature_set.relation)
    columns = [Column(f.name, types.get(f.name, "text")) for f in feature_set.features]
    every, rows, sampled = sample(connection, feature_set, served, columns)
    known = known_bins(connection, lease, name, stamp)
    bins = (
        known.bins if known else bins_of(connection, feature_set, served, sampled, every, columns)
    )
    found = months(connection, feature_set, served, columns, bins)
    if not found:
        raise ValueError(f"{feature_set.relation} has no rows.")
    whole = {c.name: together(parts[c.name] for parts in found.values()) for c in columns}
    if known is None:
        known = keep_bins(connection, lease, name, stamp, event, bins, whole)
    today = _today(connection, lease)
    by_month = {m: found[m] for m in sorted(m for m in found if m and m <= today)[-_MOST_MONTHS:]}
    newest = newest_month(by_month, certified_months(connection, name, known.event), least_rows)
    drift = {
        feature: (
            newest.drift.get(feature),
            newest.usual.get(feature),
            known.drift(feature, part, least_rows),
        )
        for feature, part in whole.items()
        if feature != served.entity  # every night has another one
    }

    made_numbers = nan_in_source(connection, feature_set)
    total = next(iter(whole.values())).rows
    missing = {n: total - part.filled + made_numbers.get(n, 0) for n, part in whole.items()}
    insert_nulls(connection, event, name, total, missing)
    header = (event, name, known.event, total, rows, *newest.described, time.monotonic() - started)
    insert_profile(connection, header, sampled, whole, drift)
    insert_months(connection, event, name, by_month)
    connection.execute(
        "SELECT feature_store_audit.drop_months(%s, %s, %s)", (lease.token, name, event)
    )


def _today(connection: Connection, lease: Lease) -> date:
    """The run's as-of day: later months come from wrong clocks."""
    row = connection.execute(
        "SELECT r.as_of_day FROM feature_store_audit.run AS r "
        "WHERE r.dag_id = %s AND r.run_id = %s",
        (lease.holder.dag_id, lease.holder.run_id),
    ).fetchone()
    day: date = row[0] if row else date.max
    return day
