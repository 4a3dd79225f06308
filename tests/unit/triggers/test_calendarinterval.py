from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from apsched.triggers.calendarinterval import CalendarIntervalTrigger
from apsched.triggers.date import DateTrigger

BERLIN = ZoneInfo("Europe/Berlin")
LONG_AGO = datetime(1900, 1, 1, tzinfo=UTC)


def days(trigger: CalendarIntervalTrigger, count: int, now: datetime = LONG_AGO) -> list[str]:
    return [text[:10] for text in texts(trigger, count, now)]


def texts(trigger: CalendarIntervalTrigger, count: int, now: datetime = LONG_AGO) -> list[str]:
    found: list[str] = []
    previous = None
    while len(found) < count and (previous := trigger.get_next_fire_time(previous, now)) is not None:
        found.append(str(previous))
    return found


@pytest.mark.parametrize(
    ("interval", "start", "expected"),
    [
        ({"days": 2}, "2026-02-27", ["2026-02-27", "2026-03-01", "2026-03-03"]),
        ({"weeks": 1, "days": 1}, "2026-01-01", ["2026-01-01", "2026-01-09", "2026-01-17"]),
        ({"months": 1}, "2026-01-31", ["2026-01-31", "2026-03-31", "2026-05-31"]),
        ({"months": 5}, "2026-10-31", ["2026-10-31", "2027-03-31", "2027-08-31"]),
        ({"years": 1}, "2096-02-29", ["2096-02-29", "2104-02-29", "2108-02-29"]),
        ({"years": 1, "months": 1}, "2026-12-01", ["2026-12-01", "2028-01-01", "2029-02-01"]),
        ({"months": 1, "days": 1}, "2026-01-31", ["2026-01-31", "2026-04-01", "2026-05-02"]),
        ({"years": 4000, "days": 1}, "2026-02-28", ["2026-02-28", "6026-03-01"]),
        ({"years": 4000}, "2026-02-28", ["2026-02-28", "6026-02-28"]),
        ({"days": 3_000_000}, "2026-02-28", ["2026-02-28"]),
    ],
)
def test_days_are_so_many_calendar_units_apart(interval: dict[str, int], start: str, expected: list[str]) -> None:
    assert days(CalendarIntervalTrigger(**interval, start_date=start, timezone="UTC"), 3) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("interval", [{"days": 40}, {"months": 7}, {"years": 3, "days": 9}])
def test_a_question_from_far_away_is_answered_as_a_walk_is(interval: dict[str, int]) -> None:
    trigger = CalendarIntervalTrigger(**interval, start_date="1999-10-31", timezone="UTC")  # type: ignore[arg-type]
    walked = [text for text in texts(trigger, 300) if text >= "2026"]

    assert texts(trigger, 3, datetime(2026, 1, 1, tzinfo=UTC)) == walked[:3]


def test_the_time_of_day_stays_the_same_over_a_dst_change() -> None:
    trigger = CalendarIntervalTrigger(days=1, hour=8, minute=30, second=1, start_date="2026-03-28", timezone=BERLIN)

    assert texts(trigger, 2) == ["2026-03-28 08:30:01+01:00", "2026-03-29 08:30:01+02:00"]


def test_a_time_in_a_gap_fires_at_the_first_instant_after_it() -> None:
    trigger = CalendarIntervalTrigger(days=1, hour=2, minute=30, start_date="2026-03-28", timezone=BERLIN)

    assert texts(trigger, 3)[1:] == ["2026-03-29 03:00:00+02:00", "2026-03-30 02:30:00+02:00"]


def test_a_time_in_a_fold_fires_the_first_time_only() -> None:
    trigger = CalendarIntervalTrigger(days=1, hour=2, minute=30, start_date="2026-10-25", timezone=BERLIN)
    second = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)

    assert texts(trigger, 2) == ["2026-10-25 02:30:00+02:00", "2026-10-26 02:30:00+01:00"]
    assert texts(trigger, 1, second) == ["2026-10-26 02:30:00+01:00"]


def test_two_days_that_fall_on_one_instant_fire_once() -> None:
    trigger = CalendarIntervalTrigger(days=1, start_date="2011-12-29", timezone="Pacific/Apia")

    times = texts(trigger, 3)

    assert times == ["2011-12-29 00:00:00-10:00", "2011-12-31 00:00:00+14:00", "2012-01-01 00:00:00+14:00"]
    first, last = datetime.fromisoformat(times[0]), datetime.fromisoformat(times[2])
    assert trigger.count_fire_times(first, last) == 3


def test_now_is_a_fire_time_if_it_is_one_and_no_past_one_is() -> None:
    trigger = CalendarIntervalTrigger(months=1, hour=8, start_date="2026-01-15", timezone="UTC")
    fire_time = datetime(2026, 3, 15, 8, tzinfo=UTC)

    assert trigger.get_next_fire_time(None, fire_time) == fire_time
    assert trigger.get_next_fire_time(None, fire_time + timedelta(seconds=1)) == datetime(2026, 4, 15, 8, tzinfo=UTC)


def test_the_end_is_included() -> None:
    trigger = CalendarIntervalTrigger(days=1, start_date=date(2026, 1, 1), end_date=date(2026, 1, 2), timezone="UTC")

    assert days(trigger, 9) == ["2026-01-01", "2026-01-02"]


def test_the_calendar_ends() -> None:
    trigger = CalendarIntervalTrigger(days=1, hour=23, start_date="9999-12-30", timezone="-12:00")

    assert days(trigger, 9) == ["9999-12-30"]


@pytest.mark.parametrize("interval", [{"days": 3}, {"months": 1}, {"months": 1, "days": 1}])
def test_catching_up_and_counting_agree_with_walking(interval: dict[str, int]) -> None:
    trigger = CalendarIntervalTrigger(**interval, hour=2, minute=30, start_date="2020-01-31", timezone=BERLIN)  # type: ignore[arg-type]
    walked = [datetime.fromisoformat(text) for text in texts(trigger, 50)]

    assert trigger.get_last_fire_time(walked[0], walked[40] + timedelta(hours=1)) == walked[40]
    assert trigger.get_last_fire_time(walked[0], walked[40] - timedelta(seconds=1)) == walked[39]
    assert trigger.get_last_fire_time(walked[3], walked[4] - timedelta(seconds=1)) is None
    assert trigger.count_fire_times(walked[3], walked[40]) == 38
    assert trigger.count_fire_times(walked[3], walked[40], 37) is None


def test_there_is_no_last_fire_time_before_the_start() -> None:
    trigger = CalendarIntervalTrigger(days=1, hour=12, start_date="2026-01-31", timezone="UTC")
    start = datetime(2026, 1, 31, tzinfo=UTC)

    assert trigger.get_last_fire_time(start - timedelta(days=9), start - timedelta(days=1)) is None
    assert trigger.get_last_fire_time(start - timedelta(days=9), start) is None


def test_without_a_start_the_day_of_adding_is_the_start() -> None:
    now = datetime(2026, 1, 15, 23, 30, tzinfo=UTC)  # the 16th in Berlin
    trigger = CalendarIntervalTrigger(months=1, hour=8, timezone=BERLIN)

    anchored = trigger.anchored(now)

    assert anchored.start_date == date(2026, 1, 16)
    assert anchored.anchored(now) is anchored
    assert trigger.get_next_fire_time(None, now) == datetime(2026, 1, 16, 8, tzinfo=BERLIN)
    assert anchored.is_same_schedule(trigger.anchored(now + timedelta(days=1)))
    assert anchored != trigger.anchored(now + timedelta(days=1))
    assert not anchored.is_same_schedule(CalendarIntervalTrigger(months=1, hour=9, timezone=BERLIN))
    assert not anchored.is_same_schedule(DateTrigger())


def test_excluded_days_are_passed_over() -> None:
    trigger = CalendarIntervalTrigger(days=1, start_date="2026-05-01", timezone="UTC", exclude=["sat", "sunday"])
    friday, monday = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 4, tzinfo=UTC)

    assert days(trigger, 3) == ["2026-05-01", "2026-05-04", "2026-05-05"]
    assert trigger.count_fire_times(friday, monday) == 2
    assert trigger.get_last_fire_time(friday - timedelta(days=9), monday - timedelta(hours=1)) == friday


def test_a_start_may_be_a_datetime() -> None:
    start = datetime(2026, 1, 31, 23, 30, tzinfo=UTC)

    assert CalendarIntervalTrigger(days=1, start_date=start, timezone=BERLIN).start_date == date(2026, 2, 1)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ValueError, "interval must be at least 1 day long"),
        ({"days": -1}, ValueError, "days must be at least 0, got -1"),
        ({"months": 0.5}, TypeError, "months must be a whole number, got 0.5"),
        ({"days": 1, "hour": 24}, ValueError, "the time of day must be from 0:0:0 to 23:59:59, got 24:0:0"),
        ({"days": 1, "start_date": "x"}, ValueError, "start_date must be text of the form"),
        (
            {"days": 1, "start_date": "2026-02-01", "end_date": "2026-01-01"},
            ValueError,
            r"end_date must not be before start_date \(2026-02-01\), got '2026-01-01'",
        ),
    ],
)
def test_settings_that_make_no_interval_are_refused(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        CalendarIntervalTrigger(**arguments)


@pytest.mark.parametrize(
    "trigger",
    [
        CalendarIntervalTrigger(days=1),
        CalendarIntervalTrigger(
            years=1,
            months=2,
            weeks=3,
            days=4,
            hour=5,
            minute=6,
            second=7,
            start_date="2026-01-31",
            end_date="2030-01-01",
            timezone=BERLIN,
            jitter=3,
            exclude="sat",
        ),
    ],
)
def test_a_calendar_interval_survives_json_pickle_and_copy(trigger: CalendarIntervalTrigger) -> None:
    stored = json.loads(json.dumps(trigger.__getstate__()))

    restored = CalendarIntervalTrigger.from_state(stored)

    assert restored == trigger
    assert restored.is_same_schedule(trigger)
    assert pickle.loads(pickle.dumps(trigger)) == trigger
    assert copy.copy(trigger) == trigger


def test_the_long_text_of_a_calendar_interval_is_that_of_apscheduler_3() -> None:
    trigger = CalendarIntervalTrigger(
        months=1, hour=2, minute=30, start_date="2026-01-31", end_date="2027-01-01", timezone=BERLIN
    )

    assert repr(trigger) == (
        "CalendarIntervalTrigger(months=1, time='02:30:00', start_date='2026-01-31', end_date='2027-01-01', "
        "timezone='Europe/Berlin')"
    )
    assert repr(CalendarIntervalTrigger(days=1, timezone="UTC", exclude="sat")).endswith(", exclude=['saturday'])")


def test_the_short_text_of_a_calendar_interval_is_in_the_manner_of_the_other_triggers() -> None:
    trigger = CalendarIntervalTrigger(years=1, days=2, hour=9, start_date="2026-01-31", timezone="UTC")

    assert str(trigger) == "calendarinterval[years=1, days=2, time='09:00:00']"
