"""When a run is due, by the schedule of the settings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from croniter import croniter

from feature_store.settings import Settings

# What a nightly schedule has after its start: with it, a day and six hours are fresh enough.
_LATE = timedelta(hours=6)


def due(settings: Settings, at: datetime) -> datetime:
    """The latest scheduled start by whose run the store should be certified at a moment."""
    zone = ZoneInfo(settings.schedule_zone)
    moment = (at - _LATE).astimezone(zone)
    # By the clock on the wall, as Airflow does: of an hour that comes twice it takes the second,
    # and a time that is left out in spring comes an hour later.
    times = croniter(settings.schedule, moment.replace(tzinfo=None) + timedelta(seconds=1))
    while True:
        shown: datetime = times.get_prev(datetime)
        found = max(shown.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        if found <= moment:
            return found.astimezone(zone)
