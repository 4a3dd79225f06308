"""Fire every so many days, weeks, months or years, at one time of day (layer 1).

Rule 1: the days are a grid of calendar dates from the start date; they are computed without regard to clocks, and only
then turned into instants.
Rule 2: no search goes from day to day: days and weeks, and months and years, are computed; only a mixture of both is
followed from the start, one interval a step.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta, tzinfo
from itertools import takewhile
from typing import Any, Final

from apsched._timezones import UTC, at_wall_time, timezone_text, to_datetime, to_timezone
from apsched.triggers._dategrid import DateGrid
from apsched.triggers._settings import (
    VERSION,
    check_aware,
    check_jitter,
    check_order,
    check_version,
    deciding,
    is_same_but_for_start,
    zone_for,
)
from apsched.triggers.base import STEP_LIMIT, BaseTrigger
from apsched.triggers.exclusion import Exclusion

DAY: Final = timedelta(days=1)


class CalendarIntervalTrigger(BaseTrigger):
    """
    Fires on the start date and then every so many years, months, weeks and days, always at the same time of day.

    Years and months keep the day of the month; a month that lacks it is passed over, so that a start on the 31st fires
    in seven months of the year. Weeks and days are then added to that.

    Where clocks skip the time of day when DST begins, it fires at the first instant after the gap; where they show it
    twice, at the first of the two.

    Args:
        years: Years of the interval.
        months: Months of the interval.
        weeks: Weeks of the interval.
        days: Days of the interval; one of these four is at least 1.
        hour: Hour of the day at which to fire, 0 to 23.
        minute: Minute of the hour, 0 to 59.
        second: Second of the minute, 0 to 59.
        start_date: First day to fire on: a date or text such as `"2026-01-31"`. If None, the day on which the job is
            added.
        end_date: Last day that may be fired on, included.
        timezone: Zone of the time of day; a name, an offset or a tzinfo. The local one if None.
        jitter: Upper bound, in seconds, of the delay that the scheduler adds to each time.
        exclude: Times at which not to fire; see `Exclusion`.

    Raises:
        ValueError: All four are zero or one is negative, there is no such time of day, date or zone, or the end is
            before the start.
        TypeError: A value is of a type that is not named above.
    """

    __slots__ = (
        "_is_given",
        "_time",
        "days",
        "end_date",
        "exclude",
        "jitter",
        "months",
        "start_date",
        "timezone",
        "weeks",
        "years",
    )

    def __init__(
        self,
        *,
        years: int = 0,
        months: int = 0,
        weeks: int = 0,
        days: int = 0,
        hour: int = 0,
        minute: int = 0,
        second: int = 0,
        start_date: date | str | None = None,
        end_date: date | str | None = None,
        timezone: tzinfo | str | None = None,
        jitter: float | None = None,
        exclude: object = None,
    ) -> None:
        self.years: int = _count(years, "years")
        self.months: int = _count(months, "months")
        self.weeks: int = _count(weeks, "weeks")
        self.days: int = _count(days, "days")
        if not (years or months or weeks or days):
            raise ValueError("interval must be at least 1 day long, got 0 days; set years, months, weeks or days")
        try:
            self._time = time(hour, minute, second)
        except ValueError as exc:
            given = f"{hour!r}:{minute!r}:{second!r}"
            raise ValueError(f"the time of day must be from 0:0:0 to 23:59:59, got {given}; {exc}") from None
        self.timezone: tzinfo = zone_for(timezone)
        self.start_date = _to_date(start_date, self.timezone, "start_date")
        self.end_date = _to_date(end_date, self.timezone, "end_date")
        check_order(self.start_date, self.end_date)
        self._is_given = start_date is not None
        self.jitter = check_jitter(jitter)
        self.exclude = Exclusion.of(exclude)

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        grid = self.anchored(deciding(previous_fire_time, now))
        if self.exclude is not None:
            return self.exclude.next_allowed(grid._next, previous_fire_time, now)
        return grid._next(previous_fire_time, now)

    def _next(self, previous: datetime | None, now: datetime) -> datetime | None:
        # The instants of a zone need a common clock to be compared across a fold.
        bound = (now if previous is None else previous).astimezone(UTC)
        for moment in self._moments(bound):
            instant = moment.astimezone(UTC)
            if instant > bound or (instant == bound and previous is None):
                return moment
        return None

    def get_last_fire_time(self, previous_fire_time: datetime, until: datetime) -> datetime | None:
        check_aware(previous_fire_time, "previous_fire_time")
        check_aware(until, "until")
        grid = self.anchored(previous_fire_time)
        if self.exclude is not None:
            return self.exclude.last_allowed(grid._last, previous_fire_time, until)
        return grid._last(previous_fire_time, until)

    def _last(self, previous: datetime, until: datetime) -> datetime | None:
        limit = until.astimezone(UTC)
        grid, end = self._grid(), self.end_date or date.max
        day = grid.day_until(min(until.astimezone(self.timezone).date(), end))
        while day is not None:
            moment = self._moment(day)
            if moment is not None and moment.astimezone(UTC) <= limit:
                return moment if moment.astimezone(UTC) > previous else None
            day = grid.day_until(day - DAY) if day > date.min else None
        return None

    def count_fire_times(self, first: datetime, last: datetime, limit: int = STEP_LIMIT) -> int | None:
        grid, count, begin, end = self.anchored(first), 1, first.astimezone(UTC), last.astimezone(UTC)
        instants = ((moment, moment.astimezone(UTC)) for moment in grid._moments(begin))
        previous = begin
        for moment, instant in takewhile(lambda pair: pair[1] <= end, instants):
            if instant > previous and not (self.exclude is not None and self.exclude.excludes(moment)):
                count, previous = count + 1, instant
                if count > limit:
                    return None
        return count

    def _moments(self, bound: datetime) -> Iterator[datetime]:
        """Iterate over the fire times in their order, from the last day that begins before *bound* or earlier."""
        local = bound.astimezone(self.timezone).date()
        first = local - DAY if local > date.min else local  # a gap may move a time into the next day
        end = self.end_date or date.max
        for day in takewhile(lambda day: day <= end, self._grid().days_from(first)):
            moment = self._moment(day)
            if moment is None:
                return
            yield moment

    def _moment(self, day: date) -> datetime | None:
        moment = at_wall_time(datetime.combine(day, self._time), self.timezone)
        try:
            moment.astimezone(UTC)
        except OverflowError:  # in the last hours of the calendar
            return None
        return moment

    def _grid(self) -> DateGrid:
        assert self.start_date is not None  # noqa: S101  the methods that come here are asked of an anchored trigger
        return DateGrid(self.start_date, self.years * 12 + self.months, self.weeks * 7 + self.days)

    def anchored(self, now: datetime) -> CalendarIntervalTrigger:
        if self.start_date is not None:
            return self
        check_aware(now, "now")
        copy = type(self).from_state(self.__getstate__())
        copy.start_date = now.astimezone(self.timezone).date()
        return copy

    def is_same_schedule(self, other: BaseTrigger) -> bool:
        return is_same_but_for_start(self, other)

    def __getstate__(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "interval": [self.years, self.months, self.weeks, self.days],
            "time": [self._time.hour, self._time.minute, self._time.second],
            "start_date": self.start_date and self.start_date.isoformat(),
            "start_date_given": self._is_given,
            "end_date": self.end_date and self.end_date.isoformat(),
            "timezone": timezone_text(self.timezone),
            "jitter": self.jitter,
            "exclude": self.exclude and self.exclude.state,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        check_version(state, self)
        self.years, self.months, self.weeks, self.days = state["interval"]
        self._time = time(*state["time"])
        self.start_date = state["start_date"] and date.fromisoformat(state["start_date"])
        self._is_given = state["start_date_given"]
        self.end_date = state["end_date"] and date.fromisoformat(state["end_date"])
        self.timezone = to_timezone(state["timezone"], "timezone")
        self.jitter = state["jitter"]
        self.exclude = Exclusion.from_state(state["exclude"])

    def __str__(self) -> str:
        return f"calendarinterval[{', '.join(self._rhythm())}]"

    def __repr__(self) -> str:
        options = self._rhythm()
        options += [
            f"{name}='{value}'" for name in ("start_date", "end_date") if (value := getattr(self, name)) is not None
        ]
        options.append(f"timezone='{timezone_text(self.timezone)}'")
        if self.exclude is not None:
            options.append(f"exclude={self.exclude!r}")
        return f"{type(self).__name__}({', '.join(options)})"

    def _rhythm(self) -> list[str]:
        lengths = [f"{name}={value}" for name in ("years", "months", "weeks", "days") if (value := getattr(self, name))]
        return [*lengths, f"time='{self._time.isoformat()}'"]


def _count(value: int, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, got {value!r}; use IntervalTrigger for parts of a day")
    if value < 0:
        raise ValueError(f"{name} must be at least 0, got {value!r}; give the start date from which to count forward")
    return value


def _to_date(value: date | str | None, timezone: tzinfo, subject: str) -> date | None:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    moment = to_datetime(value, timezone if isinstance(value, datetime) else UTC, subject)
    if moment is None:
        return None
    return moment.astimezone(timezone).date() if isinstance(value, datetime) else moment.date()
