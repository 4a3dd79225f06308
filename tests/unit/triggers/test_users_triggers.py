"""Triggers that users wrote for APScheduler 3."""

from __future__ import annotations

import pickle
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from apsched.exceptions import TransientJobError
from apsched.job import Job
from apsched.jobstores._codec import JobCodec, to_micros
from apsched.triggers.base import BaseTrigger
from apsched.triggers.combining import AndTrigger, OrTrigger
from apsched.triggers.cron import CronTrigger
from apsched.triggers.interval import IntervalTrigger

T0 = datetime(2026, 7, 1, 12, tzinfo=UTC)  # a Wednesday
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class Every(BaseTrigger):
    """Counts from the previous time; jitter of its own."""

    def __init__(self, seconds: int, jitter: int | None = None) -> None:
        self.step = timedelta(seconds=seconds)
        self.jitter = jitter

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        following = now if previous_fire_time is None else previous_fire_time + self.step
        return self._apply_jitter(following, self.jitter, now)


class Later(Every):
    """Fires for the first time after a step."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        return super().get_next_fire_time(previous_fire_time or now, now)


class Slotted(BaseTrigger):
    __slots__ = ("__private", "hour", "unset")

    def __init__(self, hour: int) -> None:
        self.hour = hour
        self.__private = "kept"

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        after = now if previous_fire_time is None else previous_fire_time + timedelta(microseconds=1)
        found = after.replace(hour=self.hour, minute=0, second=0, microsecond=0)
        return found if found >= after else found + DAY

    @property
    def private(self) -> str:
        return self.__private


class SlottedAndOpen(Slotted):
    def __init__(self, hour: int, note: Any) -> None:
        super().__init__(hour)
        self.note = note


class Versioned(Slotted):
    """With a state of its own form."""

    __slots__ = ()

    def __getstate__(self) -> dict[str, Any]:
        return {"version": 1, "hour": self.hour}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if state["version"] > 1:
            raise ValueError("unknown version")
        self.hour = state["hour"]


class WorkingDays(CronTrigger):
    """Leaves days out by asking its base again."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        found = super().get_next_fire_time(previous_fire_time, now)
        while found is not None and found.date() == date(2026, 7, 3):
            found = super().get_next_fire_time(found, found)
        return found


def stored(trigger: BaseTrigger) -> BaseTrigger:
    """Return the trigger as a store of JSON gives it back."""
    codec = JobCodec()
    job = Job(id="job", name="job", func=print, trigger=trigger)
    definition = codec.encode(job)
    back = JobCodec().decode("job", definition, to_micros(T0), to_micros(T0), None, resolve=True)
    assert back.quarantine is None
    return back.trigger


def times(trigger: BaseTrigger, count: int, start: datetime = T0) -> list[datetime]:
    found = [trigger.get_next_fire_time(None, start)]
    while len(found) < count:
        found.append(trigger.get_next_fire_time(found[-1], found[-1] or start))
    return [moment for moment in found if moment is not None]


@pytest.mark.parametrize(
    "trigger",
    [
        Every(5),
        Slotted(7),
        SlottedAndOpen(7, {"zone": T0, "days": {1, 2}}),
        Versioned(7),
        WorkingDays(hour=9, timezone="UTC"),
        OrTrigger([Slotted(7), Every(5)]),
        AndTrigger([WorkingDays(hour=9, timezone="UTC"), Slotted(9)]),
    ],
    ids=lambda trigger: type(trigger).__name__,
)
def test_it_is_stored_by_its_name_and_state(trigger: BaseTrigger) -> None:
    back = stored(trigger)

    assert type(back) is type(trigger)
    assert back == trigger
    assert times(back, 5) == times(trigger, 5)
    assert pickle.loads(pickle.dumps(trigger)) == trigger


def test_attributes_in_slots_are_stored_and_those_that_are_not_set_are_not() -> None:
    back = stored(SlottedAndOpen(7, "open"))

    assert isinstance(back, SlottedAndOpen)
    assert (back.hour, back.private, back.note) == (7, "kept", "open")
    assert not hasattr(back, "unset")


def test_a_state_that_cannot_be_stored_is_named() -> None:
    with pytest.raises(TransientJobError, match=r"note.*cannot be stored"):
        stored(SlottedAndOpen(7, object()))


def test_a_class_that_cannot_be_found_is_named() -> None:
    class Local(Every):
        pass

    with pytest.raises(TransientJobError, match=r"Local; define it at module level"):
        stored(Local(5))


def test_the_jitter_that_the_scheduler_adds_is_not_added_by_the_trigger() -> None:
    assert times(Every(5, jitter=3), 3) == [T0, T0 + timedelta(seconds=5), T0 + timedelta(seconds=10)]


def test_a_jitter_that_the_scheduler_knows_nothing_of_is_the_same_each_time() -> None:
    trigger = Every(5)

    found = [trigger._apply_jitter(T0 + number * HOUR, 60, T0) for number in range(20)]

    assert found == [trigger._apply_jitter(T0 + number * HOUR, 60, T0) for number in range(20)]
    delays = [(moment or T0) - T0 - number * HOUR for number, moment in enumerate(found)]
    assert len(set(delays)) == 20
    assert all(timedelta(0) <= delay <= timedelta(seconds=60) for delay in delays)
    assert trigger._apply_jitter(None, 60, T0) is None
    assert trigger._apply_jitter(T0, None, T0) == T0


@pytest.mark.parametrize("kind", [Every, Later])
def test_one_that_counts_from_its_previous_time_counts_from_that_of_the_whole_within_or(kind: type[Every]) -> None:
    whole = OrTrigger([kind(7200), IntervalTrigger(hours=5, start_date=T0 + HOUR, timezone="UTC")])

    found = times(whole, 8)

    assert all(HOUR <= later - earlier <= 2 * HOUR for earlier, later in pairwise(found))
    assert T0 + HOUR in found
    assert T0 + 6 * HOUR in found


def test_one_that_fires_at_any_time_leaves_the_times_to_the_others_within_and() -> None:
    assert times(AndTrigger([Every(5), Slotted(9)]), 2) == [T0 + 21 * HOUR, T0 + 45 * HOUR]


def test_times_that_a_subclass_leaves_out_are_left_out_of_a_catch_up_too() -> None:
    trigger = WorkingDays(hour=9, timezone="UTC")
    first = T0.replace(hour=9)

    assert trigger.get_last_fire_time(first, first + 2 * DAY + HOUR) == first + DAY
    assert trigger.count_fire_times(first, first + 3 * DAY) == 3
