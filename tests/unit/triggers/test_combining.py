from __future__ import annotations

import copy
import json
import logging
import pickle
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from apsched.triggers.base import BaseTrigger
from apsched.triggers.calendarinterval import CalendarIntervalTrigger
from apsched.triggers.combining import AndTrigger, BaseCombiningTrigger, OrTrigger
from apsched.triggers.cron import CronTrigger
from apsched.triggers.date import DateTrigger
from apsched.triggers.interval import IntervalTrigger
from tests.unit.triggers.walking import NOW, walk

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = timedelta(hours=1)


def hours(trigger: BaseTrigger, count: int, now: datetime = NOW) -> list[float]:
    """Return the first fire times, in hours from NOW."""
    return [(time - NOW) / HOUR for time in walk(trigger, count, now)]


def every(interval: float, start: float = 0, **more: Any) -> IntervalTrigger:
    return IntervalTrigger(hours=interval, start_date=NOW + start * HOUR, timezone="UTC", **more)


def at(hour: float) -> DateTrigger:
    return DateTrigger(NOW + hour * HOUR, "UTC")


class Reckless(BaseTrigger):
    """One of a user, that does not look at *now*."""

    __slots__ = ()

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        return NOW if previous_fire_time is None else previous_fire_time + HOUR

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None: ...


def test_or_fires_when_any_member_does_and_once_where_several_do() -> None:
    assert hours(OrTrigger([every(2), every(3)]), 7) == [0, 2, 3, 4, 6, 8, 9]


def test_or_loses_no_date_and_fires_none_twice() -> None:
    assert hours(OrTrigger([at(1), every(2), at(3), at(2), at(-1)]), 6) == [0, 1, 2, 3, 4, 6]


def test_or_ends_when_all_members_have_ended() -> None:
    assert hours(OrTrigger([at(1), every(1, 3, end_date=NOW + 4 * HOUR)]), 9) == [1, 3, 4]


def test_or_takes_members_that_do_not_look_at_now() -> None:
    assert hours(OrTrigger([Reckless(), at(0.5)]), 4) == [0, 0.5, 1.5, 2.5]


def test_or_without_starts_is_anchored_as_a_whole() -> None:
    trigger = OrTrigger([IntervalTrigger(hours=2), IntervalTrigger(hours=3), DateTrigger()])

    anchored = trigger.anchored(NOW)

    assert hours(anchored, 6) == [0, 2, 3, 4, 6, 8]
    assert anchored.anchored(NOW + HOUR) is anchored
    assert trigger.get_next_fire_time(NOW, NOW) == NOW + 2 * HOUR


def test_or_orders_the_two_hours_of_a_fold() -> None:
    second = DateTrigger(datetime(2026, 10, 25, 2, 15, tzinfo=BERLIN, fold=1))
    first = DateTrigger(datetime(2026, 10, 25, 2, 45, tzinfo=BERLIN))
    trigger = OrTrigger([second, first])

    assert trigger.get_next_fire_time(None, NOW) == first.run_date
    assert trigger.get_next_fire_time(first.run_date, NOW) == second.run_date
    assert trigger.get_last_fire_time(NOW, datetime(2027, 1, 1, tzinfo=UTC)) == second.run_date


def test_the_times_of_a_fold_are_all_counted() -> None:
    before = IntervalTrigger(minutes=30, start_date="2026-10-25 02:00:00", timezone=BERLIN)
    trigger = OrTrigger([before, at(1)])
    first, last = (datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=fold) for fold in (0, 1))

    assert trigger.count_fire_times(first, last) == 3
    assert trigger.count_fire_times(last.replace(fold=0, minute=30), last.replace(minute=0)) == 2


def test_the_last_time_of_or_is_the_last_of_any_member() -> None:
    trigger = OrTrigger([every(5), every(3), at(1)])

    assert trigger.get_last_fire_time(NOW, NOW + 11 * HOUR) == NOW + 10 * HOUR
    assert trigger.get_last_fire_time(NOW + 9 * HOUR, NOW + 9.5 * HOUR) is None


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([every(2), every(3)], [0, 6, 12]),
        ([every(4, 1), every(6, 3)], [9, 21, 33]),
        ([every(4, 1), every(6, 30)], []),
        ([every(4, 9), every(6, -3)], [9, 21, 33]),
        ([every(4), every(6), every(10)], [0, 60, 120]),
        ([every(4), every(6), every(10, 1)], []),
        ([every(4), every(6, end_date=NOW + 20 * HOUR)], [0, 12]),
        ([every(2), at(4)], [4]),
        ([every(2), at(3)], []),
        ([every(2, exclude=DateTrigger(NOW)), every(3)], [6, 12, 18]),
        ([every(2)], [0, 2, 4]),
        ([OrTrigger([every(2), every(5)]), every(3)], [0, 6, 12]),
        ([AndTrigger([every(2), every(3)]), OrTrigger([at(5), at(12)])], [12]),
    ],
)
def test_and_fires_when_all_members_do(members: list[BaseTrigger], expected: list[float]) -> None:
    assert hours(AndTrigger(members), 3) == expected


def test_grids_that_never_meet_are_known_to_at_once(caplog: pytest.LogCaptureFixture) -> None:
    trigger = AndTrigger(
        [IntervalTrigger(seconds=2, start_date=NOW), IntervalTrigger(minutes=1, start_date=NOW + HOUR / 3600)]
    )

    assert trigger.get_next_fire_time(None, NOW) is None
    assert trigger.get_last_fire_time(NOW, NOW + HOUR) is None
    assert caplog.records == []


def test_grids_that_meet_only_behind_the_end_of_the_calendar_never_meet() -> None:
    days = 2_000_003  # prime, as is 86399
    trigger = AndTrigger([every(days * 24), IntervalTrigger(seconds=86399, start_date=NOW + timedelta(seconds=1))])

    assert trigger.get_next_fire_time(None, NOW) is None


def test_and_finds_every_friday_the_thirteenth() -> None:
    trigger = AndTrigger(
        [CronTrigger(day=13, hour=8, timezone="UTC"), CronTrigger(day_of_week="fri", hour=8, timezone="UTC")]
    )

    assert trigger.get_next_fire_time(None, NOW) == datetime(2026, 11, 13, 8, tzinfo=UTC)
    assert trigger.get_last_fire_time(NOW, datetime(2028, 1, 1, tzinfo=UTC)) == datetime(2027, 8, 13, 8, tzinfo=UTC)


def test_and_of_an_interval_and_cron_meets_where_both_fire() -> None:
    trigger = AndTrigger([every(7), CronTrigger(hour=9, timezone="UTC")])

    assert hours(trigger, 2) == [105, 273]


def test_and_that_finds_nothing_gives_up_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    noon, midnight = (
        CalendarIntervalTrigger(days=1, hour=hour, start_date="2026-01-01", timezone="UTC") for hour in (12, 0)
    )
    trigger = AndTrigger([noon, midnight])

    assert trigger.get_next_fire_time(None, NOW) is None
    assert [(record.name, record.levelno) for record in caplog.records] == [
        ("apsched.triggers.combining", logging.WARNING)
    ]
    assert "no common fire time was found" in caplog.text


def test_and_answers_in_the_zone_of_its_first_member() -> None:
    trigger = AndTrigger([DateTrigger("2026-05-01 02:00:00", BERLIN), every(1), every(2)])

    assert str(trigger.get_next_fire_time(None, NOW)) == "2026-05-01 02:00:00+02:00"


def test_and_meets_within_a_fold() -> None:
    trigger = AndTrigger(
        [
            IntervalTrigger(minutes=20, start_date="2026-10-25 00:00:00", timezone=BERLIN),
            DateTrigger(datetime(2026, 10, 25, 2, 40, tzinfo=BERLIN, fold=1)),
        ]
    )

    found = trigger.get_next_fire_time(None, NOW)

    assert found is not None
    assert found.astimezone(UTC) == datetime(2026, 10, 25, 1, 40, tzinfo=UTC)


def test_the_last_time_of_and_is_the_last_common_one() -> None:
    trigger = AndTrigger([every(2), every(3), OrTrigger([every(4), at(6)])])

    assert trigger.get_last_fire_time(NOW, NOW + 23 * HOUR) == NOW + 12 * HOUR
    assert trigger.get_last_fire_time(NOW, NOW + 11 * HOUR) == NOW + 6 * HOUR
    assert trigger.get_last_fire_time(NOW + 6 * HOUR, NOW + 11 * HOUR) is None


def test_a_combination_leaves_out_what_is_excluded() -> None:
    trigger = OrTrigger([every(5), every(7)], exclude=["fri", at(25)])

    assert hours(trigger, 3) == [28, 30, 35]
    assert trigger.get_last_fire_time(NOW - HOUR, NOW + 27 * HOUR) is None


@pytest.mark.parametrize("combination", [AndTrigger, OrTrigger])
def test_a_combination_of_nothing_is_refused(combination: type[BaseCombiningTrigger]) -> None:
    with pytest.raises(ValueError, match="triggers must be a list of at least one trigger"):
        combination([])


@pytest.mark.parametrize("combination", [AndTrigger, OrTrigger])
def test_a_combination_of_something_else_is_refused(combination: type[BaseCombiningTrigger]) -> None:
    with pytest.raises(TypeError, match="triggers must be a list of triggers, got 'cron' in it"):
        combination(["cron"])  # type: ignore[list-item]


def test_starts_that_were_not_given_make_no_other_schedule() -> None:
    one, other = (OrTrigger([IntervalTrigger(hours=2), at(1)]).anchored(NOW + days * 24 * HOUR) for days in (0, 1))

    assert one.is_same_schedule(other)
    assert one != other
    assert not one.is_same_schedule(AndTrigger(one.triggers))
    assert not one.is_same_schedule(OrTrigger(one.triggers, jitter=1))
    assert not one.is_same_schedule(OrTrigger(one.triggers[:1]))


@pytest.mark.parametrize(
    "trigger",
    [
        OrTrigger([every(2), at(3)], jitter=4, exclude="sat"),
        AndTrigger([OrTrigger([every(2), CronTrigger(hour=3, timezone="UTC")]), every(4), every(6)]),
    ],
)
def test_a_combination_survives_json_pickle_and_copy(trigger: BaseCombiningTrigger) -> None:
    stored = json.loads(json.dumps(trigger.__getstate__()))

    for restored in (type(trigger).from_state(stored), pickle.loads(pickle.dumps(trigger)), copy.copy(trigger)):
        assert restored == trigger
        assert hours(restored, 5) == hours(trigger, 5)


@pytest.mark.parametrize("ref", ["os:system", "apsched.triggers.exclusion:Exclusion"])
def test_a_stored_member_that_is_no_trigger_is_refused(ref: str) -> None:
    state = OrTrigger([every(2)]).__getstate__() | {"triggers": [[ref, {}]]}

    with pytest.raises(ValueError, match="a stored trigger must be of a subclass of BaseTrigger"):
        OrTrigger.from_state(state)


def test_a_member_without_importable_class_cannot_be_stored() -> None:
    class Nested(Reckless): ...

    with pytest.raises(ValueError, match="a trigger's class must be importable by its name to be stored"):
        OrTrigger([Nested()]).__getstate__()


def test_the_texts_of_a_combination_are_those_of_apscheduler_3() -> None:
    trigger = OrTrigger([DateTrigger("2026-01-01", BERLIN), AndTrigger([IntervalTrigger(hours=1)])], jitter=3)

    assert str(trigger) == "or[date[2026-01-01 00:00:00 CET], and[interval[1:00:00]]]"
    assert repr(trigger).startswith("<OrTrigger([<DateTrigger (run_date='2026-01-01 00:00:00 CET')>, <AndTrigger([<Int")
    assert repr(trigger).endswith("])>], jitter=3)>")
