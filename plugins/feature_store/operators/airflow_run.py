"""What a task's Airflow context says of its run: who it is, its lease, and its day."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import date, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from airflow.sdk.exceptions import AirflowRuntimeError
from httpx import HTTPStatusError

from feature_store.as_of_day import as_of_day
from feature_store.audit.backfill_requests import ask
from feature_store.audit.lease import Lease, RunKey, confirm_lease, take_lease
from feature_store.declarations.dag_outline import PARAMETERS, SWITCHES
from feature_store.errors import BadParameter, RunOver
from feature_store.settings import Settings
from feature_store.text_format import shown

if TYPE_CHECKING:
    from airflow.sdk import Context

    from feature_store.connection import Connection

log = logging.getLogger(__name__)

_NOT_FOUND = 404
_ENDED = ("success", "failed")


def run_key_of(context: Context) -> RunKey:
    """The run's key in the lease and the audit tables."""
    return RunKey.of(context["dag_run"])


def take_run_lease(connection: Connection, settings: Settings, context: Context) -> Lease:
    """Take the store's lease for the run, or confirm that it has it.

    A task that wakes up after its run has ended does not take the lease again: nobody waits for its
    result.

    Raises:
        LeaseTaken: another run has it.
        RunOver: this run has ended, according to Airflow.
    """
    run, state_of = run_key_of(context), _asks_airflow(context)
    lease = confirm_lease(connection, run)
    if lease:
        return lease
    if state_of(run) in _ENDED:
        raise RunOver(
            f"{run} has ended, so this task of it may not work any more.",
            readers="what they had before; this task changed nothing.",
            next_step="Clear the task if its work is still wanted.",
        )

    def is_over(other: RunKey) -> bool | None:
        if other.dag_id != run.dag_id:
            return None  # the store's DAG had another name then; of a stale one no run ever ends
        state = state_of(other)
        # A queued run (one that was cleared) does no work. Its tasks take the lease again.
        return None if state is None else state in (*_ENDED, "queued")

    return take_lease(connection, run, is_over, timedelta(seconds=settings.lease_grace))


def asked_by(connection: Connection, context: Context) -> str | None:
    """The store's transaction that noted a backfill's run; None for other runs."""
    if not _is_backfill(context):
        return None
    return ask(connection, run_key_of(context), _attempt_of(context))


def is_last_try(context: Context) -> bool:
    """Whether this try is the last: Airflow will not run the task again if it fails."""
    ti = context["ti"]
    return ti.try_number > ti.max_tries


def has_failed(context: Context) -> Callable[[RunKey], bool]:
    """Whether another run is over and has failed. A run that Airflow has forgotten is over."""
    state_of = _asks_airflow(context)
    return lambda run: state_of(run) in (None, "failed")


def check_parameters(context: Context, settings: Settings) -> None:
    """Check all parameters of the run before it does anything.

    Raises:
        BadParameter: a parameter is unknown, or has a value that cannot be used.
    """
    given = context["params"]
    again = "Create the backfill again" if _is_backfill(context) else "Start the run again"
    if unknown := sorted(map(str, given.keys() - set(PARAMETERS))):
        raise BadParameter(
            f"The run was given the unknown parameter {', '.join(unknown)}.",
            readers="nothing was changed.",
            next_step=f"{again}; it takes {', '.join(PARAMETERS)}.",
        )
    for switch in SWITCHES:
        if not isinstance(given.get(switch, False), bool):
            raise BadParameter(
                f"The parameter {switch} is {shown(given[switch])}; expected true or false.",
                readers="nothing was changed.",
                next_step=f"{again} with one of them, or without the parameter.",
            )
    as_of_day_of(context, settings)


def as_of_day_of(context: Context, settings: Settings) -> date:
    """The day that the run answers for.

    Raises:
        BadParameter: as `as_of_day` says.
    """
    run = context["dag_run"]
    return as_of_day(
        logical_date=run.logical_date,
        run_after=run.run_after,
        zone=settings.zone,
        override=context["params"].get("as_of_day"),
        is_backfill=_is_backfill(context),
    )


def today_of(context: Context, settings: Settings) -> date:
    """The day on which the run began by Airflow's clock, which gives runs their days."""
    run = context["dag_run"]
    moment = run.start_date or run.run_after
    return moment.astimezone(ZoneInfo(settings.zone)).date()


def _attempt_of(context: Context) -> str:
    """Tells apart the attempts of a run that was cleared, or deleted and created again."""
    run = context["dag_run"]
    return f"{run.clear_number}/{run.start_date}"


def _is_backfill(context: Context) -> bool:
    return context["dag_run"].run_type.value == "backfill"


def _asks_airflow(context: Context) -> Callable[[RunKey], str | None]:
    def state_of(run: RunKey) -> str | None:
        try:
            # The members of this enumeration are texts, but do not print as such everywhere.
            state: str = context["ti"].get_dagrun_state(run.dag_id, run.run_id)
        except (AirflowRuntimeError, HTTPStatusError) as error:
            if isinstance(error, HTTPStatusError):  # dag.test has no supervisor in between
                told: int | None = error.response.status_code
            else:
                told = (error.error.detail or {}).get("status_code")
            if told != _NOT_FOUND:
                raise  # no answer: the run may well be at work
            # Airflow has forgotten the run, or it belongs to another Airflow.
            log.info("Airflow does not know %s.", run)
            return None
        return state

    return state_of
