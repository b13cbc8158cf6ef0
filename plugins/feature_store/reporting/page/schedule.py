"""Days and moments by the settings' clock: when a run is due, and the day so long ago."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from croniter import croniter

from feature_store.settings import Settings

# Time for a nightly run after its start: so a store is fresh for a day and six hours.
_LATE = timedelta(hours=6)


def due(settings: Settings, at: datetime) -> datetime:
    """The latest scheduled start whose run should have certified the store by a moment."""
    zone = ZoneInfo(settings.schedule_zone)
    moment = (at - _LATE).astimezone(zone)
    # By local time, as Airflow does: if an hour comes twice it takes the second, and a time that is
    # skipped in spring moves an hour later.
    times = croniter(settings.schedule, moment.replace(tzinfo=None) + timedelta(seconds=1))
    while True:
        shown: datetime = times.get_prev(datetime)
        found = max(shown.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        if found <= moment:
            return found.astimezone(zone)


def days_ago(settings: Settings, days: int) -> date:
    """The day so many days before today, in the store's zone."""
    return datetime.now(ZoneInfo(settings.zone)).date() - timedelta(days=days)
