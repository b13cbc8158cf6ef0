"""The as-of day of a run."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

from feature_store.errors import BadInput


def as_of_day(
    *, logical_date: datetime | None, run_after: datetime, zone: str, override: str | None
) -> date:
    """The day that a run answers for, in the store's zone.

    A run answers for the day of its logical date, so a backfill answers for the day that it fills
    and a run that is cleared and run again answers for the same day as before. A manual run may
    have no logical date: then it is the day on which it could start.

    Args:
        logical_date: the run's logical date, if it has one.
        run_after: the earliest moment at which the run may start.
        zone: the store's time zone.
        override: the run's parameter ``as_of_day`` (YYYY-MM-DD), which goes before all else.

    Raises:
        BadInput: the override is not a day.
    """
    if override:
        try:
            day = date.fromisoformat(override)
        except ValueError:
            day = None
        if day is None or day.isoformat() != override:
            raise BadInput(
                f"The parameter as_of_day is {override!r}; expected a day as YYYY-MM-DD."
            )
        return day
    return (logical_date or run_after).astimezone(ZoneInfo(zone)).date()
