"""Compare the cron trigger with searches that try one moment after the other."""

from __future__ import annotations

import json
from calendar import monthrange
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apsched.triggers.cron import CronTrigger

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ZONES = sorted(name for name in available_timezones() if name not in ("localtime", "posixrules", "Factory"))
# Half an hour; whole days; midnight; two hours; winter time that is the negative one; a month of fasting.
ODD_ZONES = [
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Kwajalein",
    "America/Sao_Paulo",
    "Asia/Beirut",
    "Africa/Cairo",
    "Antarctica/Troll",
    "Europe/Dublin",
    "Africa/Casablanca",
    "America/Caracas",
    "Asia/Gaza",
    "Europe/Berlin",
]


@dataclass(frozen=True)
class Rule:
    """The text of a field and the same in Python."""

    text: str
    fits: Callable[[Any], bool]

    def __repr__(self) -> str:
        return self.text


def number_rules(low: int, high: int) -> st.SearchStrategy[Rule]:
    def stepped(text: str, numbers: range) -> st.SearchStrategy[Rule]:
        longest = numbers[-1] - numbers[0]
        if longest == 0:
            return st.just(Rule(text, lambda number: number in numbers))
        return st.integers(1, longest).map(
            lambda step: Rule(f"{text}/{step}", lambda number: number in numbers[::step])
        )

    def spanned(ends: tuple[int, int]) -> st.SearchStrategy[Rule]:
        first, last = sorted(ends)
        span = range(first, last + 1)
        plain = Rule(f"{first}-{last}", lambda number: number in span)
        return st.one_of(st.just(plain), stepped(f"{first}-{last}", span))

    number = st.integers(low, high)
    single = number.map(lambda wanted: Rule(str(wanted), lambda number: number == wanted))
    star = st.just(Rule("*", lambda number: True))
    every = stepped("*", range(low, high + 1))
    open_ended = st.integers(low, high - 1).flatmap(lambda first: stepped(str(first), range(first, high + 1)))
    simple = st.one_of(single, star, every, open_ended, st.tuples(number, number).flatmap(spanned))
    return st.one_of(single, simple, st.lists(simple, min_size=2, max_size=3).map(any_of))


def any_of(rules: list[Rule]) -> Rule:
    return Rule(",".join(rule.text for rule in rules), lambda value: any(rule.fits(value) for rule in rules))


def day_rules() -> st.SearchStrategy[Rule]:
    def nth(which: str, weekday: int) -> Rule:
        def fits(day: date) -> bool:
            days = [n for n in range(1, length_of(day) + 1) if day.replace(day=n).weekday() == weekday]
            index = -1 if which == "last" else int(which[0]) - 1
            return index < len(days) and days[index] == day.day

        return Rule(f"{which} {WEEKDAYS[weekday]}", fits)

    by_number = number_rules(1, 31).map(lambda rule: Rule(rule.text, lambda day: rule.fits(day.day)))
    by_week = st.builds(nth, st.sampled_from(["1st", "2nd", "3rd", "4th", "5th", "last"]), st.integers(0, 6))
    last = st.just(Rule("last", lambda day: day.day == length_of(day)))
    single = st.one_of(by_number, by_week, last)
    return st.one_of(single, st.lists(single, min_size=2, max_size=3).map(any_of))


def length_of(day: date) -> int:
    return monthrange(day.year, day.month)[1]


STAR = Rule("*", lambda value: True)


@st.composite
def date_rules(draw: st.DrawFn) -> dict[str, Rule]:
    rules = {
        "year": number_rules(1970, 9999),
        "month": number_rules(1, 12),
        "day": day_rules(),
        "week": number_rules(1, 53),
        "day_of_week": number_rules(0, 6),
    }
    names = draw(st.sets(st.sampled_from(sorted(rules)), max_size=3))
    return {name: draw(rules[name]) if name in names else STAR for name in rules}


@st.composite
def time_rules(draw: st.DrawFn) -> dict[str, Rule]:
    return {"hour": draw(number_rules(0, 23)), "minute": draw(number_rules(0, 59))}


def fits_day(rules: dict[str, Rule], day: date) -> bool:
    return (
        day.year >= 1970
        and rules["year"].fits(day.year)
        and rules["month"].fits(day.month)
        and rules["day"].fits(day)
        and rules["week"].fits(day.isocalendar().week)
        and rules["day_of_week"].fits(day.weekday())
    )


def trigger_of(rules: dict[str, Rule], **options: Any) -> CronTrigger:
    texts: dict[str, Any] = {name: rule.text for name, rule in rules.items()}
    return CronTrigger(**texts, **options)


@cache
def changes_of(zone: str) -> list[datetime]:
    """Return the days in UTC in which the clocks of a zone change, 1990 to 2037."""
    timezone = ZoneInfo(zone)
    days = [datetime(1990, 1, 1, tzinfo=UTC) + number * DAY for number in range(48 * 365 + 12)]
    offsets = [day.astimezone(timezone).utcoffset() for day in days]
    return [day for day, (before, after) in zip(days, pairwise(offsets), strict=False) if before != after]


def fire_times(
    fits: Callable[[datetime], bool], zone: str, start: datetime, end: datetime, *, skips_gap: bool, repeats_fold: bool
) -> Iterator[datetime]:
    """Look at the clock every minute and yield when it shows a time that fits, or has just skipped one."""
    timezone = ZoneInfo(zone)
    shown = (start - MINUTE).astimezone(timezone).replace(tzinfo=None)
    while start < end:
        local = start.astimezone(timezone)
        wall = local.replace(tzinfo=None)
        skipped = (shown + MINUTE * number for number in range(1, (wall - shown) // MINUTE))
        if (fits(wall) and (local.fold == 0 or repeats_fold)) or (not skips_gap and any(map(fits, skipped))):
            yield start
        shown = wall
        start += MINUTE


def walk(trigger: CronTrigger, start: datetime, end: datetime) -> Iterator[datetime]:
    fire_time = trigger.get_next_fire_time(None, start)
    while fire_time is not None and fire_time.astimezone(UTC) < end:
        yield fire_time
        fire_time = trigger.get_next_fire_time(fire_time, fire_time)


@st.composite
def clock_changes(draw: st.DrawFn) -> tuple[str, datetime]:
    zone = draw(st.one_of(st.sampled_from(ZONES), st.sampled_from(ODD_ZONES)))
    return zone, draw(st.sampled_from(changes_of(zone) or [datetime(2024, 3, 31, tzinfo=UTC)]))


@settings(max_examples=250)
@given(clock_changes(), time_rules(), st.sampled_from(["next", "skip"]), st.sampled_from(["first", "both"]))
def test_fire_times_around_a_change_of_the_clock_are_those_that_a_watcher_of_the_clock_sees(
    change: tuple[str, datetime], rules: dict[str, Rule], on_gap: Any, on_fold: Any
) -> None:
    zone, day = change
    trigger = trigger_of(rules, timezone=zone, on_gap=on_gap, on_fold=on_fold)
    is_open = rules["hour"].text.startswith("*") and "," not in rules["hour"].text
    start, end = day - DAY, day + 2 * DAY

    found = list(walk(trigger, start, end))

    expected = fire_times(
        lambda wall: rules["hour"].fits(wall.hour) and rules["minute"].fits(wall.minute),
        zone,
        start,
        end,
        skips_gap=is_open or on_gap == "skip",
        repeats_fold=is_open or on_fold == "both",
    )
    assert [moment.astimezone(UTC) for moment in found] == list(expected)
    for moment in found:
        again = moment.astimezone(UTC).astimezone(trigger.timezone)
        assert (moment.replace(tzinfo=None), moment.fold) == (again.replace(tzinfo=None), again.fold)


@settings(max_examples=100)
@given(clock_changes(), time_rules(), st.integers(-3 * 86400, 3 * 86400 * 10**6), st.sampled_from(["first", "both"]))
def test_what_comes_after_a_moment_is_the_same_whatever_zone_the_moment_is_in(
    change: tuple[str, datetime], rules: dict[str, Rule], microseconds: int, on_fold: Any
) -> None:
    zone, day = change
    trigger = trigger_of(rules, timezone=zone, on_fold=on_fold)
    moment = day + timedelta(microseconds=microseconds)

    by_utc = trigger.get_next_fire_time(moment, day)
    by_local = trigger.get_next_fire_time(moment.astimezone(trigger.timezone), day)
    by_other = trigger.get_next_fire_time(moment.astimezone(ZoneInfo("Asia/Kathmandu")), day)

    assert by_utc is not None
    assert by_utc.astimezone(UTC) > moment
    assert (by_utc, by_utc.fold) == (by_local, by_local and by_local.fold) == (by_other, by_other and by_other.fold)


@settings(max_examples=100)
@given(clock_changes(), time_rules(), st.integers(0, 2 * 86400), st.integers(0, 2 * 86400))
def test_the_last_fire_time_is_the_one_that_a_walk_ends_at(
    change: tuple[str, datetime], rules: dict[str, Rule], start: int, length: int
) -> None:
    zone, day = change
    trigger = trigger_of(rules, timezone=zone)
    previous = day - DAY + start * SECOND
    until = previous + length * SECOND

    found = trigger.get_last_fire_time(previous, until)

    walked = list(walk(trigger, previous + timedelta(microseconds=1), until + timedelta(microseconds=1)))
    assert (found and found.astimezone(UTC)) == (walked[-1].astimezone(UTC) if walked else None)


@settings(max_examples=150)
@given(date_rules(), st.dates(date(1969, 1, 1), date(9980, 1, 1)))
def test_the_next_day_is_the_first_that_fits_every_field_of_days(rules: dict[str, Rule], start: date) -> None:
    trigger = trigger_of({**rules, "hour": Rule("0", bool)}, timezone="UTC")

    found = trigger.get_next_fire_time(None, datetime(start.year, start.month, start.day, tzinfo=UTC))

    assert_first(found and found.date(), start, DAY, 4000, lambda day: fits_day(rules, day))


@settings(max_examples=100)
@given(
    st.fixed_dictionaries({"hour": number_rules(0, 23), "minute": number_rules(0, 59), "second": number_rules(0, 59)}),
    st.datetimes(datetime.fromisoformat("2024-01-01"), datetime.fromisoformat("2026-01-01")),
)
def test_the_next_second_is_the_first_that_fits_every_field_of_the_clock(
    rules: dict[str, Rule], start: datetime
) -> None:
    trigger = trigger_of(rules, timezone="UTC")
    start = start.replace(microsecond=0)

    found = trigger.get_next_fire_time(start.replace(tzinfo=UTC, microsecond=1), start.replace(tzinfo=UTC))

    assert_first(
        found and found.replace(tzinfo=None),
        start + SECOND,
        SECOND,
        4000,
        lambda time: all(rule.fits(getattr(time, name)) for name, rule in rules.items()),
    )


def assert_first(found: Any, start: Any, step: timedelta, limit: int, fits: Callable[[Any], bool]) -> None:
    """Assert that *found* is the first from *start* that fits, or that none of *limit* does and *found* is later."""
    candidate = start
    for _ in range(limit):
        if fits(candidate):
            assert found == candidate
            return
        candidate += step
    assert found is None or (found >= candidate and fits(found))


@settings(max_examples=100)
@given(date_rules(), time_rules(), st.datetimes(timezones=st.just(UTC)), st.sampled_from(ZONES))
def test_any_search_ends_and_answers_in_order(
    days: dict[str, Rule], times: dict[str, Rule], now: datetime, zone: str
) -> None:
    trigger = trigger_of(days | times, timezone=zone)

    first = trigger.get_next_fire_time(None, now)
    second = first and trigger.get_next_fire_time(first, first)

    assert first is None or first.astimezone(UTC) >= now
    assert first is None or second is None or second.astimezone(UTC) > first.astimezone(UTC)


@settings(max_examples=50)
@given(date_rules(), time_rules(), st.sampled_from(ZONES))
def test_a_trigger_is_the_same_after_a_round_trip_through_json(
    days: dict[str, Rule], times: dict[str, Rule], zone: str
) -> None:
    trigger = trigger_of(days | times, timezone=zone)

    restored = CronTrigger.from_state(json.loads(json.dumps(trigger.__getstate__())))

    assert restored == trigger
    assert (str(restored), repr(restored)) == (str(trigger), repr(trigger))


@pytest.mark.parametrize("zone", ODD_ZONES)
def test_a_daily_job_runs_once_for_each_date_of_forty_years(zone: str) -> None:
    trigger = CronTrigger(hour=0, minute=30, timezone=zone)
    start, end = datetime(1995, 1, 1, 12, tzinfo=UTC), datetime(2035, 1, 1, 12, tzinfo=UTC)

    found = list(walk(trigger, start, end))

    assert len(found) == (found[-1].date() - found[0].date()).days + 1
