"""What holds for every trigger, whatever its settings."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from apsched.triggers.base import BaseTrigger
from apsched.triggers.calendarinterval import CalendarIntervalTrigger
from apsched.triggers.combining import AndTrigger, OrTrigger
from apsched.triggers.date import DateTrigger
from apsched.triggers.interval import IntervalTrigger

EPOCH = datetime(2026, 3, 20, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ZONES = ["UTC", "Europe/Berlin", "America/Santiago", "Australia/Lord_Howe", "Pacific/Apia", "+05:30"]

zones = st.sampled_from(ZONES)
moments = st.datetimes(datetime(2009, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  hypothesis wants naive bounds
starts = st.none() | moments
exclusions = st.none() | st.sampled_from(["sat", ["sun", "2026-10-25"], [DateTrigger(EPOCH), date(2011, 12, 30)]])
intervals = st.builds(
    IntervalTrigger,
    hours=st.integers(0, 100),
    seconds=st.floats(0.001, 1e6),
    start_date=starts,
    timezone=zones,
    jitter=st.none() | st.integers(0, 9),
    exclude=exclusions,
)
calendar_intervals = st.builds(
    CalendarIntervalTrigger,
    years=st.integers(0, 2),
    months=st.integers(0, 14),
    weeks=st.integers(0, 2),
    days=st.integers(1, 40),
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
    start_date=st.none() | st.dates(date(2009, 1, 1), date(2030, 1, 1)),
    timezone=zones,
    exclude=exclusions,
) | st.builds(
    CalendarIntervalTrigger,
    months=st.integers(1, 14),
    hour=st.integers(0, 23),
    start_date=st.dates(date(2009, 1, 1), date(2030, 1, 1)),
    timezone=zones,
)
dates = st.builds(DateTrigger, starts, zones)
simple = intervals | calendar_intervals | dates
triggers = simple | st.builds(OrTrigger, st.lists(simple, min_size=1, max_size=3), exclude=exclusions)


def walk(trigger: BaseTrigger, now: datetime, count: int) -> list[datetime]:
    """Return the first fire times in UTC."""
    times: list[datetime] = []
    previous = None
    while len(times) < count and (previous := trigger.get_next_fire_time(previous, now)) is not None:
        times.append(previous.astimezone(UTC))
    return times


@given(triggers, moments)
def test_fire_times_strictly_increase(trigger: BaseTrigger, now: datetime) -> None:
    times = walk(trigger.anchored(now), now, 12)

    assert all(one < other for one, other in pairwise(times))


@given(intervals | calendar_intervals, moments)
def test_the_first_fire_time_is_not_past(trigger: BaseTrigger, now: datetime) -> None:
    assert all(time >= now for time in walk(trigger, now, 1))


@given(triggers, moments, st.data())
def test_catching_up_and_counting_agree_with_walking(trigger: BaseTrigger, now: datetime, data: st.DataObject) -> None:
    anchored = trigger.anchored(now)
    times = walk(anchored, now, 12)
    if len(times) < 2:
        return
    first = data.draw(st.integers(0, len(times) - 2))
    last = data.draw(st.integers(first + 1, len(times) - 1))

    assert anchored.get_last_fire_time(times[first], times[last]) == times[last].astimezone(UTC)
    before = anchored.get_last_fire_time(times[first], times[last] - timedelta(microseconds=1))
    assert before == (times[last - 1] if last - 1 > first else None)
    assert anchored.count_fire_times(times[first], times[last]) == last - first + 1


@given(triggers, moments)
def test_a_trigger_is_restored_from_its_state(trigger: BaseTrigger, now: datetime) -> None:
    anchored = trigger.anchored(now)

    restored = type(trigger).from_state(json.loads(json.dumps(anchored.__getstate__())))

    assert restored == anchored
    assert hash(restored) == hash(anchored)
    assert restored.is_same_schedule(trigger.anchored(now + timedelta(days=400)))
    assert walk(restored, now, 3) == walk(anchored, now, 3)


@given(triggers)
def test_a_trigger_survives_pickle_and_copy(trigger: BaseTrigger) -> None:
    assert pickle.loads(pickle.dumps(trigger)) == trigger
    assert copy.deepcopy(trigger) == trigger


@given(
    st.integers(1, 10**13),
    st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)),  # noqa: DTZ001
    st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)),  # noqa: DTZ001
    zones,
)
def test_an_interval_is_exact(microseconds: int, start: datetime, previous: datetime, zone: str) -> None:
    step = timedelta(microseconds=1)
    trigger = IntervalTrigger(seconds=microseconds / 1e6, start_date=start, timezone=zone)
    interval = trigger.interval // step

    found = trigger.get_next_fire_time(previous, previous)

    if found is not None:
        elapsed = (found.astimezone(UTC) - start) // step
        assert elapsed % interval == 0
        assert found.astimezone(UTC) > previous
        assert elapsed == 0 or (elapsed - interval) * step <= previous - start


small_grids = st.builds(
    lambda interval, start, end: IntervalTrigger(
        seconds=interval, start_date=EPOCH + start * SECOND, end_date=EPOCH + (start + end) * SECOND
    ),
    st.integers(1, 12),
    st.integers(-20, 20),
    st.integers(0, 300),
)
small_dates = st.builds(lambda second: DateTrigger(EPOCH + second * SECOND), st.integers(0, 60))
small_members = (
    small_grids | small_dates | st.builds(OrTrigger, st.lists(small_grids | small_dates, min_size=1, max_size=2))
)


def seconds_of(trigger: BaseTrigger) -> set[int]:
    """Return at which of the first 120 seconds the trigger fires, found by asking it about every one of them."""
    candidates = range(120)
    return {
        second
        for second in candidates
        if (found := trigger.get_next_fire_time(None, EPOCH + second * SECOND)) == EPOCH + second * SECOND
        and found is not None
    }


@settings(max_examples=60)
@given(st.lists(small_members, min_size=1, max_size=3))
def test_and_fires_exactly_when_all_members_do(members: list[BaseTrigger]) -> None:
    expected = sorted(set.intersection(*map(seconds_of, members)))

    times = walk(AndTrigger(members), EPOCH, len(expected) or 1)

    assert [(time - EPOCH) // SECOND for time in times][: len(expected)] == expected
    assert expected or not times or times[0] >= EPOCH + 120 * SECOND


@settings(max_examples=60)
@given(st.lists(small_members, min_size=1, max_size=3))
def test_or_fires_exactly_when_any_member_does(members: list[BaseTrigger]) -> None:
    expected = sorted(set.union(*map(seconds_of, members)))

    times = walk(OrTrigger(members), EPOCH, len(expected))

    assert [(time - EPOCH) // SECOND for time in times] == expected


@settings(max_examples=60)
@given(st.lists(small_members, min_size=2, max_size=3))
def test_the_last_common_time_agrees_with_walking(members: list[BaseTrigger]) -> None:
    trigger = AndTrigger(members)
    expected = [second for second in sorted(set.intersection(*map(seconds_of, members))) if second > 0]

    found = trigger.get_last_fire_time(EPOCH, EPOCH + 119 * SECOND)

    assert found == (EPOCH + expected[-1] * SECOND if expected else None)
