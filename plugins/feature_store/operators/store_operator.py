"""What all operators of the DAG share: a session on the store, and how errors are handled.

An error that may pass by itself (a lost connection, a lock timeout) is raised as it is, and Airflow
retries it. Any other is raised as `AirflowFailException`, which Airflow does not retry. While
another run has the lease, a task waits without a worker slot: it is rescheduled.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowTaskTimeout,
)

from feature_store.database.session import connect, refuse_standby
from feature_store.errors import LeaseTaken, StoreError, passes_on_its_own
from feature_store.reporting.run.task_causes import leave_cause
from feature_store.settings import Settings, read_settings
from feature_store.store_address import addressed, of_store

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context

    from feature_store.connection import Connection

log = logging.getLogger(__name__)

_RETRIES = 3
_MOST_POLLS_AT_ONCE = 10
_RETRY_DELAY = timedelta(seconds=30)
_CANCEL_SECONDS = 5


class StoreOperator(BaseOperator):
    """An operator with a session on the store, whose SQL stops when the task is stopped.

    Args:
        include_dir: the store's folder; None: as the settings say.
        conn_id: the Airflow connection to its database; None: as the settings say.
    """

    def __init__(
        self, *, include_dir: str | None = None, conn_id: str | None = None, **kwargs: Any
    ) -> None:
        kwargs.setdefault("retries", _RETRIES)
        kwargs.setdefault("retry_delay", _RETRY_DELAY)
        super().__init__(**kwargs)
        self.include_dir = include_dir
        self.conn_id = conn_id
        self._connections: list[Connection] = []
        self.stopped = False

    def execute(self, context: Context) -> Any:
        """Open the session, do the work, handle the errors.

        Raises:
            AirflowRescheduleException: another run has the lease; look again later.
            AirflowFailException: another try cannot help.
            AirflowTaskTimeout: this try took too long.
        """
        try:
            settings = self.settings()
        except StoreError as error:
            leave_cause(context, error)
            raise AirflowFailException(str(error)) from error
        try:
            with self.session(settings) as connection:
                return self.work(connection, settings, context)
        except LeaseTaken as error:
            log.info("Waiting for the store's lease. %s", error.problem)
            again = datetime.now(UTC) + timedelta(seconds=self._pause(settings, context))
            raise AirflowRescheduleException(again) from None  # type: ignore[no-untyped-call]
        except AirflowTaskTimeout as error:
            late = AirflowTaskTimeout(
                f"{self.task_id} took longer than FEATURE_STORE_TASK_TIMEOUT, "
                f"{settings.task_timeout} seconds."
            )
            leave_cause(context, late)
            raise late from error
        except (StoreError, psycopg.Error) as error:
            if isinstance(error, StoreError):
                error.reword(addressed(settings))
            leave_cause(context, error)
            # If a person stops a task, Airflow knows it. If its machine is stopped, Airflow does
            # not, and another try is right.
            if self.stopped or passes_on_its_own(error):
                raise
            raise AirflowFailException(str(error)) from error

    def settings(self) -> Settings:
        """The settings, with what the DAG says about its own store.

        Raises:
            BadInput: a setting cannot be used.
        """
        return of_store(read_settings(), self.include_dir, self.conn_id)

    @staticmethod
    def _pause(settings: Settings, context: Context) -> int:
        """Seconds until the next look at the lease: more after each lost try."""
        return settings.lease_poll * min(context["ti"].try_number, _MOST_POLLS_AT_ONCE)

    def work(self, connection: Connection, settings: Settings, context: Context) -> Any:
        """Do the task's work in an open session."""
        raise NotImplementedError

    def on_kill(self) -> None:
        """Stop the SQL on the server: killing only the client would leave it running."""
        self.stopped = True
        log.info("Stopping this task's statements on the server.")
        for connection in self._connections:
            try:
                if not connection.closed:
                    connection.cancel_safe(timeout=_CANCEL_SECONDS)
            except psycopg.Error as error:
                log.warning("The server could not be asked to stop them: %s", str(error).strip())

    def get_openlineage_facets_on_failure(self, _: Any) -> OperatorLineage:
        """Nothing: a failed task has written nothing, and the default reports a success."""
        # An extra, which may not be installed; it alone calls this.
        from airflow.providers.openlineage.extractors import OperatorLineage

        return OperatorLineage()

    def connect(self, settings: Settings) -> Connection:
        """Open a session that stops with the task."""
        connection = connect(settings, self.task_id)
        self._connections.append(connection)
        refuse_standby(connection, settings)
        return connection

    @contextmanager
    def session(self, settings: Settings) -> Iterator[Connection]:
        """A session that stops with the task; at the end it is closed, with all others."""
        try:
            yield self.connect(settings)
        finally:
            for connection in self._connections:
                connection.close()
            self._connections.clear()
