"""What `prepare` does: it takes the lease, looks at everything, and opens the run's record."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import psycopg

from feature_store.connection import Connection
from feature_store.declarations.store_profile import read_profile
from feature_store.operators.airflow_run import (
    asked_by,
    check_parameters,
    has_failed,
    take_run_lease,
)
from feature_store.operators.run_opening import look_and_open
from feature_store.reporting.mail.send import mail_untold
from feature_store.schema.audit_migrations import audit_is_current
from feature_store.schema.object_states import has_audit
from feature_store.schema.readiness import check_access
from feature_store.schema.store_record import refuse_another
from feature_store.settings import Settings

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)


def prepare(
    connection: Connection, settings: Settings, context: Context, read: Callable[[], Settings]
) -> str:
    """Take the lease, look at everything, and open the run's record; the run's as-of day.

    Args:
        connection: a pinned session in autocommit mode.
        settings: the store's.
        context: of the task.
        read: gives the store's settings, for the mail of a run that could not say that it failed.

    Raises:
        LeaseTaken: another run has the lease.
        NotReady, RowsLost, BadInput: as `look_and_open`.
    """
    check_parameters(context, settings)
    profile = read_profile(settings.include_dir)
    try:
        refuse_another(connection, profile)  # before another store's lease is touched
        current = audit_is_current(connection)
        if current:
            asked_by(connection, context)  # before it waits for the lease
        if has_audit(connection):
            take_run_lease(connection, settings, context)
    except psycopg.errors.InsufficientPrivilege:
        check_access(connection, profile)  # names every GRANT that is missing
        raise
    if current:
        mail_untold(connection, context, has_failed(context), read)
    day = look_and_open(connection, settings, context)
    log.info("Ready. This run answers for %s (%s).", day, settings.zone)
    return day.isoformat()
