"""The as-of day of a run."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

from feature_store.errors import BadParameter
from feature_store.text_format import shown

# Leaves room for spans of days before it, because dates have a first one.
_FIRST = date(1900, 1, 1)


def as_of_day(
    *,
    logical_date: datetime | None,
    run_after: datetime,
    zone: str,
    override: object,
    is_backfill: bool = False,
) -> date:
    """The day that a run answers for, in the store's zone.

    A run answers for the day of its logical date, so a backfill answers for the day that it fills
    and a run that is cleared and run again answers for the same day as before. A manual run may
    have no logical date: then it is the day on which it could start.

    Args:
        logical_date: the run's logical date, if it has one.
        run_after: the earliest moment at which the run may start.
        zone: the store's time zone.
        override: the run's parameter ``as_of_day`` (YYYY-MM-DD), which overrides everything else.
        is_backfill: whether the run is one of a backfill, which takes no override.

    Raises:
        BadParameter: the override is not a day, or was given to a backfill; or the day is one that
            no run can answer for: after the day on which the run may start, or before 1900.
    """
    if is_backfill and override:
        raise BadParameter(
            "as_of_day is for manual runs; a backfill runs for the days of its range.",
            readers="nothing was changed.",
            next_step="Create the backfill again without as_of_day in its conf.",
        )
    day = _given(override) or _in_zone(logical_date or run_after, zone)
    # By the run's own time, not by this machine's clock, which may be slightly behind it.
    latest = _in_zone(run_after, zone)
    if not _FIRST <= day <= latest:
        raise BadParameter(
            f"The run's as-of day is {day}; expected {_FIRST} to {latest}, the day on which the "
            f"run may start ({zone}).",
            readers="nothing was changed.",
            next_step="Start a run for today or an earlier day.",
        )
    return day


def _given(override: object) -> date | None:
    if override is None or override == "":
        return None
    try:
        day = date.fromisoformat(override) if isinstance(override, str) else None
    except ValueError:
        day = None
    if day is None or day.isoformat() != override:
        raise BadParameter(
            f"The parameter as_of_day is {shown(override)}; expected a day as YYYY-MM-DD.",
            readers="nothing was changed.",
            next_step="Start the run again with a day, or without the parameter.",
        )
    return day


def _in_zone(moment: datetime, zone: str) -> date:
    return moment.astimezone(ZoneInfo(zone)).date()
