from __future__ import annotations

import json
import logging
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from apsched._refs import ref_of
from apsched.triggers import exclusion
from apsched.triggers.calendarinterval import CalendarIntervalTrigger
from apsched.triggers.combining import OrTrigger
from apsched.triggers.date import DateTrigger
from apsched.triggers.exclusion import Exclusion
from apsched.triggers.interval import IntervalTrigger

BERLIN = ZoneInfo("Europe/Berlin")
FRIDAY = datetime(2026, 5, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def is_at_night(moment: datetime) -> bool:
    return moment.hour < 6


def always(moment: datetime) -> bool:
    return True


NIGHT_REF = ref_of(is_at_night)


def exclude(value: object) -> Exclusion:
    found = Exclusion.of(value)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("value", "excluded", "allowed"),
    [
        (date(2026, 5, 1), FRIDAY, FRIDAY + 24 * HOUR),
        ("2026-05-01", FRIDAY + 23 * HOUR, FRIDAY - HOUR),
        ("fri", FRIDAY, FRIDAY + 24 * HOUR),
        (" Friday ", FRIDAY + 7 * 24 * HOUR, FRIDAY - HOUR),
        (DateTrigger(FRIDAY), FRIDAY, FRIDAY + HOUR),
        (IntervalTrigger(hours=2, start_date=FRIDAY), FRIDAY + 2 * HOUR, FRIDAY + HOUR),
        (is_at_night, FRIDAY, FRIDAY + 6 * HOUR),
        (NIGHT_REF, FRIDAY, FRIDAY + 6 * HOUR),
        (["sat", ("2026-05-01", {is_at_night})], FRIDAY + 30 * HOUR, FRIDAY + 60 * HOUR),
    ],
)
def test_what_is_said_is_excluded(value: object, excluded: datetime, allowed: datetime) -> None:
    found = exclude(value)

    assert found.excludes(excluded)
    assert not found.excludes(allowed)


def test_the_day_is_that_of_the_zone_of_the_time() -> None:
    moment = datetime(2026, 5, 1, 23, tzinfo=UTC)

    assert not exclude("sat").excludes(moment)
    assert exclude("sat").excludes(moment.astimezone(BERLIN))


def test_an_instant_in_a_fold_is_known_again() -> None:
    moment = datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1)

    assert exclude(DateTrigger(moment)).excludes(moment)
    assert not exclude(DateTrigger(moment)).excludes(moment.replace(fold=0))


@pytest.mark.parametrize("value", [None, [], ()])
def test_nothing_is_no_exclusion(value: object) -> None:
    assert Exclusion.of(value) is None
    assert Exclusion.from_state(None) is None


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (5, TypeError, "exclude must be a date, an ISO date text, a weekday such as 'sat', .* got 5"),
        ([None], TypeError, "exclude must be .* got None"),
        (datetime(2026, 5, 1, tzinfo=UTC), TypeError, "exclude must be .* got datetime"),
        ("someday", ValueError, "exclude must be .* got 'someday'"),
        (lambda moment: True, ValueError, "a function in exclude must have an importable name"),
        ("nowhere:x", LookupError, "the reference 'nowhere:x' leads to nothing"),
        ("os:name", ValueError, "a reference in exclude must lead to a function, got 'os:name'"),
        (IntervalTrigger(hours=1), ValueError, "a trigger in exclude must have a start of its own"),
        (OrTrigger([DateTrigger()]), ValueError, "a trigger in exclude must have a start of its own"),
    ],
)
def test_what_cannot_be_excluded_is_refused(value: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Exclusion.of(value)


def test_an_exclusion_survives_json() -> None:
    found = exclude([is_at_night, "sat", date(2026, 5, 1), CalendarIntervalTrigger(months=1, start_date="2026-05-01")])

    restored = Exclusion.from_state(json.loads(json.dumps(found.state)))

    assert restored == found
    assert hash(restored) == hash(found)
    assert restored is not None
    assert restored.excludes(FRIDAY)


def test_the_order_and_the_kind_of_the_list_make_no_difference() -> None:
    assert exclude(["sat", date(2026, 5, 1), "sat"]) == exclude({"2026-05-01", "Saturday"})
    assert exclude("sat") != exclude("sun")
    assert exclude("sat") != "sat"


def test_whole_days_are_left_in_one_step() -> None:
    asked: list[Any] = []

    def every_second(previous: datetime | None, now: datetime) -> datetime:
        asked.append(previous)
        return now if previous is None else previous + timedelta(seconds=1)

    found = exclude(["sat", "sun"]).next_allowed(every_second, FRIDAY + 24 * HOUR - timedelta(seconds=1), FRIDAY)

    assert found == FRIDAY + 72 * HOUR
    assert len(asked) == 3


def test_there_is_no_last_time_within_an_excluded_day() -> None:
    trigger = IntervalTrigger(hours=1, start_date=FRIDAY, exclude="fri")

    assert trigger.get_last_fire_time(FRIDAY + HOUR, FRIDAY + 9 * HOUR) is None


def test_a_search_that_finds_nothing_gives_up_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(exclusion, "TRY_LIMIT", 100)
    trigger = IntervalTrigger(seconds=1, start_date=FRIDAY, exclude=always)

    assert trigger.get_next_fire_time(None, FRIDAY) is None
    assert trigger.get_last_fire_time(FRIDAY, FRIDAY + HOUR) is None
    assert [(record.name, record.levelno) for record in caplog.records] == [
        ("apsched.triggers.exclusion", logging.WARNING)
    ] * 2
    assert "100 fire times in a row" in caplog.text


def test_all_days_excluded_end_with_the_calendar() -> None:
    trigger = CalendarIntervalTrigger(days=1, start_date="9999-12-01", timezone="UTC", exclude=list(exclusion.WEEKDAYS))

    assert trigger.get_next_fire_time(None, FRIDAY) is None
