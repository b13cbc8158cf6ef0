"""The as-of day: the day that a run answers for."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from pendulum import parse

from feature_store.as_of_day import as_of_day
from feature_store.errors import BadInput

_OSLO = ZoneInfo("Europe/Oslo")
_LATE = datetime(2030, 1, 1, 12, tzinfo=UTC)


def _day(logical: datetime | None, zone: str, *, after: datetime = _LATE, override=None) -> date:
    return as_of_day(logical_date=logical, run_after=after, zone=zone, override=override)


def test_a_scheduled_run_answers_for_its_logical_day_not_for_the_day_it_starts():
    logical = datetime(2026, 6, 29, 3, 20, tzinfo=_OSLO)
    assert _day(logical, "UTC", after=logical + timedelta(days=1)) == date(2026, 6, 29)


def test_a_backfill_answers_for_the_day_it_fills_however_late_it_runs():
    logical = datetime(2024, 2, 29, 3, 20, tzinfo=_OSLO)
    assert _day(logical, "Europe/Oslo", after=_LATE) == date(2024, 2, 29)


def test_a_manual_run_with_a_logical_date_answers_for_it():
    assert _day(datetime(2026, 6, 29, 23, 59, tzinfo=UTC), "UTC") == date(2026, 6, 29)


def test_a_manual_run_without_a_logical_date_answers_for_the_day_it_could_start():
    assert _day(None, "UTC", after=datetime(2026, 6, 30, 0, 1, tzinfo=UTC)) == date(2026, 6, 30)


def test_the_day_is_taken_in_the_stores_zone():
    logical = datetime(2026, 6, 29, 23, 30, tzinfo=UTC)
    assert _day(logical, "UTC") == date(2026, 6, 29)
    assert _day(logical, "Europe/Oslo") == date(2026, 6, 30)
    assert _day(logical, "America/Los_Angeles") == date(2026, 6, 29)
    assert _day(None, "Europe/Oslo", after=logical) == date(2026, 6, 30)


@pytest.mark.parametrize(
    ("zone", "hour_utc", "day"),
    [
        ("Pacific/Kiritimati", 10, 30),  # 14 hours ahead
        ("Pacific/Kiritimati", 9, 29),
        ("Pacific/Auckland", 12, 30),
        ("Pacific/Auckland", 11, 29),
        ("Pacific/Pago_Pago", 10, 28),  # 11 hours behind
        ("Pacific/Pago_Pago", 11, 29),
    ],
)
def test_zones_far_from_utc_get_their_own_day(zone, hour_utc, day):
    assert _day(datetime(2026, 6, 29, hour_utc, tzinfo=UTC), zone) == date(2026, 6, day)


@pytest.mark.parametrize("clock", [(3, 20), (2, 30)])
@pytest.mark.parametrize("fold", [0, 1])
@pytest.mark.parametrize("night", [date(2026, 3, 29), date(2026, 10, 25)])
def test_on_a_night_when_the_clock_changes_the_day_is_that_night(night, clock, fold):
    # In the first of the two nights 02:30 does not exist; in the other it is there twice.
    local = datetime(night.year, night.month, night.day, *clock, fold=fold, tzinfo=_OSLO)
    as_airflow_gives_it = local.astimezone(UTC)
    assert _day(as_airflow_gives_it, "Europe/Oslo") == night
    assert _day(as_airflow_gives_it, "UTC") == night


def test_the_last_minute_before_and_the_first_of_a_day_differ_on_such_a_night():
    # Oslo's 29 March 2026 has 23 hours: 28 March 23:00 UTC to 29 March 22:00 UTC.
    for minute, day in [
        (datetime(2026, 3, 28, 22, 59, tzinfo=UTC), 28),
        (datetime(2026, 3, 28, 23, 0, tzinfo=UTC), 29),
        (datetime(2026, 3, 29, 21, 59, tzinfo=UTC), 29),
        (datetime(2026, 3, 29, 22, 0, tzinfo=UTC), 30),
    ]:
        assert _day(minute, "Europe/Oslo").day == day


def test_auckland_keeps_its_own_night():
    # Its clock goes back on 5 April 2026, 03:00 to 02:00 local: 14:00 UTC the day before.
    auckland = ZoneInfo("Pacific/Auckland")
    for fold in (0, 1):
        local = datetime(2026, 4, 5, 2, 30, fold=fold, tzinfo=auckland)
        assert _day(local.astimezone(UTC), "Pacific/Auckland") == date(2026, 4, 5)
        assert _day(local.astimezone(UTC), "UTC") == date(2026, 4, 4)


def test_the_offset_in_which_the_date_is_given_does_not_matter():
    instant = datetime(2026, 6, 29, 23, 30, tzinfo=UTC)
    elsewhere = instant.astimezone(timezone(timedelta(hours=-9, minutes=-30)))
    assert _day(elsewhere, "Europe/Oslo") == _day(instant, "Europe/Oslo") == date(2026, 6, 30)


def test_the_parameter_goes_before_all_else():
    assert _day(_LATE, "UTC", override="2026-02-28") == date(2026, 2, 28)
    assert _day(None, "Pacific/Auckland", override="2026-02-28") == date(2026, 2, 28)


def test_an_empty_parameter_is_none():
    assert _day(_LATE, "UTC", override="") == date(2030, 1, 1)


@pytest.mark.parametrize(
    "text", ["yesterday", "2026-02-30", "30.06.2026", "2026-06", "2026-06-30T00:00", "20260630"]
)
def test_a_parameter_that_is_no_day_is_refused_with_what_was_given(text):
    with pytest.raises(BadInput) as caught:
        _day(_LATE, "UTC", override=text)
    assert caught.value.problem == (
        f"The parameter as_of_day is {text!r}; expected a day as YYYY-MM-DD."
    )


@pytest.mark.parametrize(
    "given", [0, 20260630, 2026.5, False, True, [], ["2026-06-30"], {}, "9" * 5000]
)
def test_a_parameter_of_another_kind_or_of_any_length_is_refused_in_one_short_line(given):
    with pytest.raises(BadInput) as caught:
        _day(_LATE, "UTC", override=given)
    assert caught.value.problem.startswith("The parameter as_of_day is ")
    assert len(caught.value.problem) < 400


class TestADayThatIsNotYet:
    """The day must have begun, in the store's time zone, when the run may start."""

    AFTER = datetime(2026, 6, 29, 23, 30, tzinfo=UTC)

    def test_a_parameter_after_the_runs_own_day_is_refused(self):
        assert _day(None, "UTC", after=self.AFTER, override="2026-06-29").day == 29
        assert _day(None, "Europe/Oslo", after=self.AFTER, override="2026-06-30").day == 30
        for day in ("2026-06-30", "2999-01-01", "9999-12-31"):
            with pytest.raises(BadInput) as caught:
                _day(None, "UTC", after=self.AFTER, override=day)
            assert caught.value.problem == (
                f"The run's as-of day is {day}; expected 1900-01-01 to 2026-06-29, the day on "
                "which the run may start (UTC)."
            )

    def test_so_is_a_logical_date_after_it(self):
        with pytest.raises(BadInput, match="as-of day is 2026-07-01; expected "):
            _day(datetime(2026, 7, 1, tzinfo=UTC), "UTC", after=self.AFTER)

    def test_so_is_a_day_before_which_no_days_could_be_counted(self):
        with pytest.raises(BadInput, match="as-of day is 0001-01-01; expected "):
            _day(None, "UTC", after=self.AFTER, override="0001-01-01")

    def test_a_run_of_midnight_answers_for_the_day_that_begins(self):
        midnight = datetime(2026, 6, 29, tzinfo=UTC)
        assert _day(midnight, "UTC", after=midnight) == date(2026, 6, 29)


def _filled(first: str, last: str, zone: str, schedule_zone: str = "Europe/Oslo") -> list[str]:
    """The days that a backfill of a range fills, from the logical dates that Airflow gives."""
    from airflow.timetables.base import TimeRestriction
    from airflow.timetables.trigger import CronTriggerTimetable

    timetable = CronTriggerTimetable("20 3 * * *", timezone=schedule_zone)
    ends = TimeRestriction(parse(first), parse(last), catchup=True)
    days, run = [], None
    while run := timetable.next_dagrun_info(
        last_automated_data_interval=run and run.data_interval, restriction=ends
    ):
        days.append(str(_day(run.logical_date, zone)))
    return days


_JUNE_12_TO_14 = ["2026-06-12", "2026-06-13", "2026-06-14"]


@pytest.mark.parametrize(
    ("zone", "offset"),
    [
        ("UTC", "Z"),
        ("Europe/Oslo", "+02:00"),
        ("America/Los_Angeles", "-07:00"),  # 03:20 in Oslo is the evening before
        ("Pacific/Kiritimati", "+14:00"),
    ],
)
@pytest.mark.parametrize("schedule_zone", ["Europe/Oslo", "Pacific/Auckland"])
def test_a_backfill_fills_the_days_of_its_range_if_the_range_is_given_in_the_stores_zone(
    zone, offset, schedule_zone
):
    first, last = f"2026-06-12T00:00:00{offset}", f"2026-06-14T23:59:59{offset}"
    assert _filled(first, last, zone, schedule_zone) == _JUNE_12_TO_14


def test_a_range_in_utc_misses_a_day_of_a_store_whose_day_is_another_one_at_the_nightly_hour():
    first, last = "2026-06-12T00:00:00Z", "2026-06-14T23:59:59Z"
    assert _filled(first, last, "UTC") == _JUNE_12_TO_14
    assert _filled(first, last, "America/Los_Angeles") == ["2026-06-11", "2026-06-12", "2026-06-13"]


def test_a_range_that_ends_at_midnight_leaves_its_last_day_out():
    assert _filled("2026-06-12T00:00:00Z", "2026-06-14T00:00:00Z", "UTC") == _JUNE_12_TO_14[:2]
