"""Opens a run's record after checking everything, in `prepare` or in a task in its place.

An operator can mark `prepare` success while it waits for the lease, and a record can be lost.
A run without one is certified by nobody and shown nowhere. So the next task of the run looks as
`prepare` would have, and opens it.
"""

from __future__ import annotations

import logging
from datetime import date
from typing import TYPE_CHECKING

import psycopg

from feature_store.audit.runs import open_run, open_run_once, zone_of
from feature_store.connection import Connection
from feature_store.declarations.store_definition import read_store
from feature_store.errors import NotReady, StoreError
from feature_store.operators.airflow_run import as_of_day_of, run_key_of
from feature_store.refresh.lost_rows import Limits, check_sources, read_limits
from feature_store.schema.readiness import check_ready
from feature_store.settings import Settings

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)


def limits_of(settings: Settings, context: Context) -> Limits:
    """How many rows this run may lose."""
    accepted = bool(context["params"].get("accept_shrink"))
    return read_limits(settings.include_dir, accepted=accepted)


def look_and_open(
    connection: Connection, settings: Settings, context: Context, *, once: bool = False
) -> date:
    """Check whether a refresh can start, and open the run's record in any case.

    Args:
        connection: a pinned session in autocommit mode.
        settings: where the files are.
        context: of a task of the run, which has the lease.
        once: leave a record alone that another task opens at the same time. `prepare` does not:
            it begins the run anew.

    Returns:
        The day that the run answers for.

    Raises:
        NotReady: something must be fixed before a refresh.
        RowsLost: a source has lost too many rows.
        BadInput: a file or a parameter that cannot be used.
    """
    try:
        store = read_store(settings.include_dir)
        check_ready(connection, store, settings)
        check_sources(connection, store, limits_of(settings, context))
    except (StoreError, psycopg.Error):
        # The run stops here, but so it has a verdict and a report.
        try:
            open_record(connection, settings, context, once=once)
        except (StoreError, psycopg.Error) as error:
            log.info("This run leaves no record: %s", str(error).strip())
        raise
    return open_record(connection, settings, context, once=once)


def open_record(
    connection: Connection, settings: Settings, context: Context, *, once: bool
) -> date:
    """Open the run's record; ``once``: unless it has one.

    Raises:
        BadInput: the run answers for no day that can be used.
    """
    day = as_of_day_of(context, settings)
    run_type = context["dag_run"].run_type.value
    opening = open_run_once if once else open_run
    opening(connection, run_key_of(context), run_type, day, settings.zone)
    return day


def require_record(connection: Connection, settings: Settings, context: Context) -> None:
    """Make sure that the run has a record: if it has none, do what `prepare` does.

    Raises:
        NotReady: the run was begun in another time zone; or as `look_and_open`.
        RowsLost, BadInput: as `look_and_open`.
    """
    run = run_key_of(context)
    zone = zone_of(connection, run)
    if zone is not None:
        _refuse_other_zone(zone, settings)
        return
    log.warning("%s has no record: prepare did not do its work, so this task does it.", run)
    look_and_open(connection, settings, context, once=True)


def _refuse_other_zone(zone: str, settings: Settings) -> None:
    """Days of two zones in one run would let a feature see its own day.

    Raises:
        NotReady: the settings of this task name another zone than those that began the run.
    """
    if zone != settings.zone:
        raise NotReady(
            f"The run answers for days in {zone}, but here FEATURE_STORE_ZONE is {settings.zone}.",
            readers="the rows of the last refresh.",
            next_step="Give every machine that runs tasks the same zone, then trigger a new run.",
        )
