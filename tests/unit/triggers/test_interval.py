from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from apsched.triggers.date import DateTrigger
from apsched.triggers.interval import IntervalTrigger
from tests.unit.triggers.walking import NOW, walk

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("arguments", "seconds"),
    [
        ({"weeks": 1, "days": 1, "hours": 1, "minutes": 1, "seconds": 1}, 694861),
        ({"minutes": 0.5}, 30),
        ({"seconds": 0.000001}, 0.000001),
        ({"hours": 1, "minutes": -1}, 3540),
        ({}, 1),
    ],
)
def test_the_five_lengths_are_added_up(arguments: dict[str, float], seconds: float) -> None:
    assert IntervalTrigger(**arguments).interval_length == seconds  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"seconds": -1}, ValueError, "an interval must be from 1 microsecond to 999999999 days long, got seconds=-1;"),
        ({"hours": 1, "days": -1}, ValueError, "days long, got days=-1, hours=1; give such a length"),
        ({"seconds": 1e-9}, ValueError, "days long, got seconds=1e-09; give"),
        ({"weeks": 1e12}, ValueError, "days long, got weeks=1000000000000.0; give"),
        ({"days": float("inf")}, ValueError, "days long, got days=inf; give"),
        ({"days": float("nan")}, ValueError, "days must be a number, got nan; pass an int or a float"),
        ({"hours": "3"}, TypeError, "hours must be a number, got '3'; pass an int or a float"),
        ({"minutes": timedelta(1), "hours": 1}, TypeError, "minutes must be a number, got datetime"),
        ({"start_date": "2026-02-01", "end_date": "2026-01-01"}, ValueError, "end_date must not be before start_date"),
        ({"jitter": -1}, ValueError, "jitter must be None or at least 0 seconds"),
        ({"jitter": "1"}, TypeError, "jitter must be None or a number of seconds"),
        ({"jitter": float("inf")}, ValueError, "jitter must be None or at least 0 seconds and finite"),
        ({"timezone": "Mars"}, ValueError, "timezone must be a time zone name"),
        ({"start_date": "soon"}, ValueError, "start_date must be text of the form"),
        ({"end_date": 5}, TypeError, "end_date must be a date"),
    ],
)
def test_settings_that_make_no_interval_are_refused(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        IntervalTrigger(**arguments)


def test_an_interval_without_start_fires_one_interval_from_now() -> None:
    assert IntervalTrigger(hours=1, timezone="UTC").get_next_fire_time(None, NOW) == NOW + HOUR
    assert IntervalTrigger(hours=1, timezone="UTC").get_next_fire_time(NOW, NOW + 9 * HOUR) == NOW + HOUR


def test_an_anchored_interval_keeps_the_grid_of_its_first_now() -> None:
    trigger = IntervalTrigger(hours=1, timezone="UTC").anchored(NOW)

    assert trigger.start_date == NOW + HOUR
    assert trigger.get_next_fire_time(None, NOW + 5.5 * HOUR) == NOW + 6 * HOUR
    assert trigger.anchored(NOW + HOUR) is trigger


def test_a_start_in_the_future_is_the_first_fire_time() -> None:
    trigger = IntervalTrigger(hours=1, start_date=NOW + 100 * HOUR)

    assert trigger.get_next_fire_time(None, NOW) == NOW + 100 * HOUR
    assert trigger.get_next_fire_time(NOW, NOW) == NOW + 100 * HOUR


def test_now_is_a_fire_time_if_it_is_on_the_grid() -> None:
    trigger = IntervalTrigger(hours=1, start_date=NOW - 7 * HOUR)

    assert trigger.get_next_fire_time(None, NOW) == NOW
    assert trigger.get_next_fire_time(None, NOW + timedelta(microseconds=1)) == NOW + HOUR


def test_a_previous_time_off_the_grid_leads_back_to_it() -> None:
    trigger = IntervalTrigger(hours=1, start_date=NOW)

    assert trigger.get_next_fire_time(NOW + 2.5 * HOUR, NOW) == NOW + 3 * HOUR


def test_an_interval_keeps_its_grid_over_a_dst_change() -> None:
    trigger = IntervalTrigger(hours=12, start_date="2026-03-28 12:00:00", timezone=BERLIN)

    times = walk(trigger, 3, datetime(2026, 1, 1, tzinfo=UTC))

    assert [str(time) for time in times] == [
        "2026-03-28 12:00:00+01:00",
        "2026-03-29 00:00:00+01:00",
        "2026-03-29 13:00:00+02:00",
    ]


def test_an_interval_fires_on_through_a_fold() -> None:
    trigger = IntervalTrigger(minutes=30, start_date="2026-10-25 02:00:00", timezone=BERLIN)

    times = walk(trigger, 5)

    assert [str(time)[11:] for time in times] == [
        "02:00:00+02:00",
        "02:30:00+02:00",
        "02:00:00+01:00",
        "02:30:00+01:00",
        "03:00:00+01:00",
    ]


def test_the_end_is_included() -> None:
    assert walk(IntervalTrigger(hours=1, start_date=NOW, end_date=NOW + 2 * HOUR), 9) == [
        NOW,
        NOW + HOUR,
        NOW + 2 * HOUR,
    ]


def test_an_interval_is_exact_to_the_microsecond_over_centuries() -> None:
    trigger = IntervalTrigger(seconds=0.1, start_date=datetime(1, 1, 1, tzinfo=UTC))
    previous = datetime(9000, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)

    assert trigger.get_next_fire_time(previous, NOW) == datetime(9000, 1, 1, 0, 0, 0, 200000, tzinfo=UTC)


@pytest.mark.parametrize("timezone", ["UTC", "+14:00", "-12:00"])
def test_an_interval_ends_with_the_calendar(timezone: str) -> None:
    last = datetime(9999, 12, 31, 12, tzinfo=UTC)

    assert IntervalTrigger(days=1, timezone=timezone).get_next_fire_time(None, last) is None
    assert IntervalTrigger(days=1, timezone=timezone).anchored(last).get_next_fire_time(None, last) is None
    assert IntervalTrigger(days=999_999_999, start_date=NOW).get_next_fire_time(NOW, NOW) is None


def test_answers_are_in_the_zone_of_the_trigger() -> None:
    zones = [
        IntervalTrigger(timezone="Asia/Tokyo", start_date=datetime(2026, 1, 1, tzinfo=BERLIN)),
        IntervalTrigger(start_date=datetime(2026, 1, 1, tzinfo=ZoneInfo("Asia/Tokyo"))),
        IntervalTrigger(end_date=datetime(2027, 1, 1, tzinfo=ZoneInfo("Asia/Tokyo"))),
    ]

    assert [str(time.tzinfo) for trigger in zones for time in walk(trigger, 1)] == ["Asia/Tokyo"] * 3


def test_catching_up_is_computed() -> None:
    trigger = IntervalTrigger(seconds=1, start_date=NOW, end_date=NOW + 500 * HOUR)
    until = NOW + 100 * HOUR + timedelta(seconds=0.5)

    assert trigger.get_last_fire_time(NOW, until) == NOW + 100 * HOUR
    assert trigger.get_last_fire_time(NOW, NOW + 9999 * HOUR) == NOW + 500 * HOUR
    assert trigger.get_last_fire_time(NOW, NOW + timedelta(seconds=0.5)) is None
    assert trigger.get_last_fire_time(NOW - HOUR, NOW - timedelta(seconds=1)) is None
    assert trigger.count_fire_times(NOW, NOW + 100 * HOUR, 400_000) == 360_001
    assert trigger.count_fire_times(NOW, NOW + 100 * HOUR) is None


def test_counting_and_catching_up_leave_out_what_is_excluded() -> None:
    trigger = IntervalTrigger(hours=6, start_date=datetime(2026, 5, 1, tzinfo=UTC), exclude=["sat", "sun"])  # a friday
    friday, monday = datetime(2026, 5, 1, 18, tzinfo=UTC), datetime(2026, 5, 4, tzinfo=UTC)

    assert trigger.get_next_fire_time(friday, NOW) == monday
    assert trigger.get_last_fire_time(NOW, monday - HOUR) == friday
    assert trigger.get_last_fire_time(friday, monday - HOUR) is None
    assert trigger.count_fire_times(friday, monday) == 2


@pytest.mark.parametrize("exclude", [None, "mon"])
def test_the_times_of_a_fold_are_all_counted(exclude: str | None) -> None:
    trigger = IntervalTrigger(minutes=30, start_date="2026-10-25 02:00:00", timezone=BERLIN, exclude=exclude)
    first = datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN)
    last = datetime(2026, 10, 25, 2, 0, tzinfo=BERLIN, fold=1)

    assert trigger.count_fire_times(first, last) == 2
    assert trigger.get_last_fire_time(first, last) == last
    assert trigger.get_next_fire_time(first, first) == last


def test_an_interval_without_start_leaves_out_what_is_excluded_on_its_own_grid() -> None:
    trigger = IntervalTrigger(hours=5, timezone="UTC", exclude="fri")

    assert trigger.get_next_fire_time(None, NOW) == NOW + 25 * HOUR
    assert trigger.get_next_fire_time(NOW, NOW) == NOW + 25 * HOUR


def test_a_start_that_was_not_given_makes_no_other_schedule() -> None:
    first, second = (IntervalTrigger(hours=1).anchored(NOW + timedelta(days=days)) for days in (0, 1))

    assert first.is_same_schedule(second)
    assert first.is_same_schedule(IntervalTrigger(hours=1))
    assert first != second
    assert not first.is_same_schedule(IntervalTrigger(hours=2))
    assert not first.is_same_schedule(DateTrigger())
    assert not first.is_same_schedule(IntervalTrigger(hours=1, start_date=NOW + HOUR))


@pytest.mark.parametrize(
    "trigger",
    [
        IntervalTrigger(hours=1),
        IntervalTrigger(hours=1).anchored(NOW),
        IntervalTrigger(
            seconds=0.3,
            start_date=datetime(2026, 10, 25, 2, 30, 0, 1, tzinfo=BERLIN, fold=1),
            end_date=date(2027, 1, 1),
            jitter=2.5,
            exclude=["sat", date(2026, 12, 25)],
        ),
    ],
)
def test_an_interval_survives_json_pickle_and_copy(trigger: IntervalTrigger) -> None:
    stored = json.loads(json.dumps(trigger.__getstate__()))

    for restored in (IntervalTrigger.from_state(stored), pickle.loads(pickle.dumps(trigger)), copy.deepcopy(trigger)):
        assert restored == trigger
        assert restored.is_same_schedule(trigger)
        assert repr(restored) == repr(trigger)


def test_the_texts_of_an_interval_are_those_of_apscheduler_3() -> None:
    trigger = IntervalTrigger(
        days=7, seconds=0.5, start_date="2026-01-01", end_date="2026-02-01", timezone="Europe/Berlin", jitter=2
    )

    assert str(trigger) == "interval[7 days, 0:00:00.500000]"
    assert repr(trigger) == (
        "<IntervalTrigger (interval=datetime.timedelta(days=7, microseconds=500000), "
        "start_date='2026-01-01 00:00:00 CET', end_date='2026-02-01 00:00:00 CET', jitter=2, timezone='Europe/Berlin')>"
    )
    assert "exclude=['saturday']" in repr(IntervalTrigger(exclude="sat"))


def test_intervals_that_would_meet_after_the_year_9999_do_not_meet() -> None:
    late = datetime(9999, 12, 31, tzinfo=UTC)

    assert IntervalTrigger(days=7, start_date=late).meet(IntervalTrigger(days=5, start_date=late + HOUR * 12)) is None
    assert IntervalTrigger(hours=7, start_date=late).meet(IntervalTrigger(hours=36, start_date=late + HOUR)) is None


def test_only_anchored_intervals_can_be_asked_where_they_meet() -> None:
    with pytest.raises(ValueError, match="must be asked of anchored triggers"):
        IntervalTrigger().meet(IntervalTrigger(start_date=NOW))
