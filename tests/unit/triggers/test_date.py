from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, date, datetime, timedelta

import pytest

from apsched.triggers.date import DateTrigger
from apsched.triggers.interval import IntervalTrigger

NOW = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "run_date",
    [date(2026, 1, 2), "2026-01-02", "2026-1-2 00:00:00", datetime.fromisoformat("2026-01-02"), "2026-01-01 23:00:00Z"],
)
def test_a_date_fires_once_at_its_time(run_date: date | str) -> None:
    trigger = DateTrigger(run_date, "Europe/Berlin")

    first = trigger.get_next_fire_time(None, NOW - timedelta(days=365))

    assert first is not None
    assert first == datetime(2026, 1, 1, 23, tzinfo=UTC)
    assert trigger.get_next_fire_time(first, first) is None


def test_a_date_that_has_passed_is_still_the_answer_to_the_first_question() -> None:
    assert DateTrigger("2026-01-02", "UTC").get_next_fire_time(None, NOW) == datetime(2026, 1, 2, tzinfo=UTC)


def test_a_date_without_a_time_fires_now() -> None:
    assert DateTrigger().get_next_fire_time(None, NOW) == NOW


def test_an_anchored_date_keeps_its_now() -> None:
    trigger = DateTrigger(timezone="UTC").anchored(NOW)

    assert trigger.get_next_fire_time(None, NOW + timedelta(days=1)) == NOW
    assert trigger.anchored(NOW + timedelta(days=1)) is trigger


def test_two_dates_without_a_time_are_the_same_schedule() -> None:
    one, other = (DateTrigger(timezone="UTC").anchored(NOW + timedelta(days=days)) for days in (0, 1))

    assert one.is_same_schedule(other)
    assert one != other
    assert not one.is_same_schedule(DateTrigger(NOW, "UTC"))
    assert not one.is_same_schedule(DateTrigger(timezone="Europe/Berlin"))
    assert not one.is_same_schedule(IntervalTrigger())


def test_the_last_fire_time_of_a_date_is_its_time_if_in_range() -> None:
    trigger = DateTrigger(NOW, "UTC")
    hour = timedelta(hours=1)

    assert trigger.get_last_fire_time(NOW - hour, NOW) == NOW
    assert trigger.get_last_fire_time(NOW - 2 * hour, NOW - hour) is None
    assert trigger.get_last_fire_time(NOW, NOW + hour) is None


def test_an_excluded_date_never_fires() -> None:
    trigger = DateTrigger("2026-12-25 08:00:00", "UTC", exclude=date(2026, 12, 25))

    assert trigger.get_next_fire_time(None, NOW) is None


@pytest.mark.parametrize("trigger", [DateTrigger(), DateTrigger("2026-07-01", "Europe/Berlin", exclude="sat")])
def test_a_date_survives_json_pickle_and_copy(trigger: DateTrigger) -> None:
    stored = json.loads(json.dumps(trigger.__getstate__()))

    assert DateTrigger.from_state(stored) == trigger
    assert pickle.loads(pickle.dumps(trigger)) == trigger
    assert copy.copy(trigger) == trigger


def test_the_state_of_a_newer_release_is_refused() -> None:
    state = DateTrigger(NOW).__getstate__() | {"version": 2}

    with pytest.raises(ValueError, match="must be of version 1 or older, got 2"):
        DateTrigger.from_state(state)


def test_the_texts_of_a_date_are_those_of_apscheduler_3() -> None:
    trigger = DateTrigger("2026-01-01", "Europe/Berlin")

    assert str(trigger) == "date[2026-01-01 00:00:00 CET]"
    assert repr(trigger) == "<DateTrigger (run_date='2026-01-01 00:00:00 CET')>"
    assert str(DateTrigger()) == "date[now]"


def test_a_date_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match="run_date must be a date, a datetime or text"):
        DateTrigger(5)  # type: ignore[arg-type]
