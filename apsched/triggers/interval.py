"""Fire after every so much elapsed time (layer 1).

Rule 1: all arithmetic is that of timedelta in UTC: whole microseconds, exact over any span and over DST changes.
Rule 2: every answer is computed, none is walked to.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta, tzinfo
from math import gcd, isnan
from typing import Any, Final

from apsched._timezones import UTC, timezone_text, to_datetime, to_timezone
from apsched.triggers._settings import (
    MICROSECOND,
    VERSION,
    check_aware,
    check_jitter,
    check_order,
    check_version,
    deciding,
    is_same_but_for_start,
    moment_from_text,
    moment_repr,
    zone_for,
)
from apsched.triggers.base import STEP_LIMIT, BaseTrigger
from apsched.triggers.exclusion import Exclusion

SECOND: Final = timedelta(seconds=1)
ZERO: Final = timedelta()
LONGEST: Final = timedelta(days=4_000_000)  # more than the calendar has


class IntervalTrigger(BaseTrigger):
    """
    Fires at its start and then each time the interval has elapsed.

    The times form a fixed grid: a late run does not move the following ones, and a change of DST moves what clocks
    show, not the time between two runs. For "every day at 8" use a calendar interval or cron.

    Args:
        weeks: Weeks of the interval; this and the following four are added up and may be fractions, down to a
            microsecond.
        days: Days of 24 hours.
        hours: Hours.
        minutes: Minutes.
        seconds: Seconds; 1 if all five are zero.
        start_date: First time to fire: a datetime, a date or text. If None, one interval after the job is added.
        end_date: No time to fire is later than this; it may itself be one.
        timezone: Zone of dates that do not say their own and of the answers; a name, an offset or a tzinfo. If None,
            that of *start_date* or *end_date* if they have one, and else the local one.
        jitter: Upper bound, in seconds, of the delay that the scheduler adds to each time.
        exclude: Times at which not to fire; see `Exclusion`.

    Attributes:
        interval: The sum of the five, as a timedelta.

    Raises:
        ValueError: The interval is negative or too small, the end is before the start, or a date does not exist.
        TypeError: A value is of a type that is not named above.
    """

    __slots__ = ("_end", "_is_given", "_start", "exclude", "interval", "jitter", "timezone")

    def __init__(
        self,
        weeks: float = 0,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
        start_date: date | str | None = None,
        end_date: date | str | None = None,
        timezone: tzinfo | str | None = None,
        jitter: float | None = None,
        *,
        exclude: object = None,
    ) -> None:
        self.interval: timedelta = _interval(weeks, days, hours, minutes, seconds)
        self.timezone: tzinfo = zone_for(timezone, start_date, end_date)
        self._start = self._to_utc(start_date, "start_date")
        self._end = self._to_utc(end_date, "end_date")
        check_order(self._start, self._end)
        self._is_given = start_date is not None
        self.jitter = None if jitter is None else check_jitter(jitter)
        self.exclude = None if exclude is None else Exclusion.of(exclude)

    def _to_utc(self, value: date | str | None, subject: str) -> datetime | None:
        if value is None:
            return None
        moment = to_datetime(value, self.timezone, subject)
        return None if moment is None else moment.astimezone(UTC)

    @property
    def interval_length(self) -> float:
        """The interval in seconds."""
        return self.interval.total_seconds()

    @property
    def start_date(self) -> datetime | None:
        """First time to fire, in the trigger's zone; None until `anchored`, if none was given."""
        return None if self._start is None else self._start.astimezone(self.timezone)

    @property
    def end_date(self) -> datetime | None:
        """Upper bound of the times to fire, in the trigger's zone; included."""
        return None if self._end is None else self._end.astimezone(self.timezone)

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        if self.exclude is not None:
            grid = self.anchored(deciding(previous_fire_time, now))
            return self.exclude.next_allowed(grid._next, previous_fire_time, now)
        return self._next(previous_fire_time, now)

    def _next(self, previous: datetime | None, now: datetime) -> datetime | None:
        start, interval = self._start, self.interval
        try:
            if start is None:
                following = deciding(previous, now).astimezone(UTC) + interval
            elif previous is None:
                steps = -((start - now) // interval)  # rounded up: now may be on the grid
                following = start + interval * steps if steps > 0 else start
            else:
                steps = (previous - start) // interval + 1
                following = start + interval * steps if steps > 0 else start
            if self._end is not None and following > self._end:
                return None
            return following.astimezone(self.timezone)
        except OverflowError:  # behind the end of the calendar
            return None
        except TypeError:  # looked at only now: a check at the begin would cost a tenth of the call
            deciding(previous, now)
            raise

    def get_last_fire_time(self, previous_fire_time: datetime, until: datetime) -> datetime | None:
        if self.exclude is not None:
            grid = self.anchored(previous_fire_time)
            return self.exclude.last_allowed(grid._last, previous_fire_time, until)
        return self._last(previous_fire_time, until)

    def _last(self, previous: datetime, until: datetime) -> datetime | None:
        check_aware(previous, "previous_fire_time")
        check_aware(until, "until")
        start = previous.astimezone(UTC) if self._start is None else self._start
        if self._end is not None and self._end < until:
            until = self._end
        last = start + max((until - start) // self.interval, 0) * self.interval
        return last.astimezone(self.timezone) if previous < last <= until else None

    def count_fire_times(self, first: datetime, last: datetime, limit: int = STEP_LIMIT) -> int | None:
        # Times of one zone compare and subtract by what clocks show, which is wrong over a fold.
        first, last = first.astimezone(UTC), last.astimezone(UTC)
        if self.exclude is not None:
            return super().count_fire_times(first, last, limit)
        count = (last - first) // self.interval + 1
        return count if count <= limit else None

    def anchored(self, now: datetime) -> IntervalTrigger:
        if self._start is not None:
            return self
        check_aware(now, "now")
        try:
            start = now.astimezone(UTC) + self.interval
        except OverflowError:  # it will never fire, with or without a start
            return self
        return self._starting_at(start)

    def meet(self, other: IntervalTrigger) -> IntervalTrigger | None:
        """
        Return a trigger that fires exactly when this one and *other* both do; None if they never meet.

        Both must have a start and exclude nothing.

        Source:
            The Chinese remainder theorem for moduli with a common divisor.
        """
        if self._start is None or other._start is None:
            raise ValueError(f"meet() must be asked of anchored triggers, got {self!r} and {other!r}; anchor them")
        mine, its = self.interval // MICROSECOND, other.interval // MICROSECOND
        lead = (other._start - self._start) // MICROSECOND
        divisor = gcd(mine, its)
        if lead % divisor:
            return None
        period = mine // divisor * its
        first = lead // divisor * pow(mine // divisor, -1, its // divisor) % (its // divisor) * mine
        first += max(-((first - lead) // period), 0) * period
        ends = [end for end in (self._end, other._end) if end is not None]
        longest = LONGEST // MICROSECOND
        try:
            start = self._start + timedelta(microseconds=min(first, longest))
        except OverflowError:  # behind the end of the calendar
            return None
        if any(start > end for end in ends):
            return None
        copy = self._starting_at(start)
        copy.interval = timedelta(microseconds=min(period, longest))
        copy._end = min(ends, default=None)
        return copy

    def _starting_at(self, start: datetime) -> IntervalTrigger:
        copy = type(self).__new__(type(self))
        copy.interval, copy.timezone, copy.jitter, copy.exclude = (
            self.interval,
            self.timezone,
            self.jitter,
            self.exclude,
        )
        copy._start, copy._end, copy._is_given = start, self._end, False
        return copy

    def is_same_schedule(self, other: BaseTrigger) -> bool:
        return is_same_but_for_start(self, other)

    def __getstate__(self) -> dict[str, Any]:
        start, end = self.start_date, self.end_date
        return {
            "version": VERSION,
            "microseconds": self.interval // MICROSECOND,
            "start_date": start and start.isoformat(),
            "start_date_given": self._is_given,
            "end_date": end and end.isoformat(),
            "timezone": timezone_text(self.timezone),
            "jitter": self.jitter,
            "exclude": self.exclude and self.exclude.state,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        check_version(state, self)
        self.interval = timedelta(microseconds=state["microseconds"])
        self.timezone = to_timezone(state["timezone"], "timezone")
        self._start = moment_from_text(state["start_date"], UTC)
        self._is_given = state["start_date_given"]
        self._end = moment_from_text(state["end_date"], UTC)
        self.jitter = state["jitter"]
        self.exclude = Exclusion.from_state(state["exclude"])

    def __str__(self) -> str:
        return f"interval[{self.interval}]"

    def __repr__(self) -> str:
        options = [f"interval={self.interval!r}"]
        if (start := self.start_date) is not None:
            options.append(f"start_date='{moment_repr(start)}'")
        if (end := self.end_date) is not None:
            options.append(f"end_date='{moment_repr(end)}'")
        if self.jitter:
            options.append(f"jitter={self.jitter}")
        if self.exclude is not None:
            options.append(f"exclude={self.exclude!r}")
        return f"<{type(self).__name__} ({', '.join(options)}, timezone='{self.timezone}')>"


def _interval(weeks: float, days: float, hours: float, minutes: float, seconds: float) -> timedelta:
    try:
        interval = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    except (TypeError, ValueError, OverflowError):
        interval = ZERO
    if interval > ZERO:
        return interval
    given = {"weeks": weeks, "days": days, "hours": hours, "minutes": minutes, "seconds": seconds}
    if not any(given.values()):
        return SECOND
    for name, value in given.items():
        if not isinstance(value, (int, float)):
            raise TypeError(f"{name} must be a number, got {value!r}; pass an int or a float")
        if isnan(value):
            raise ValueError(f"{name} must be a number, got {value!r}; pass an int or a float")
    shown = ", ".join(f"{name}={value!r}" for name, value in given.items() if value)
    raise ValueError(f"an interval must be from 1 microsecond to 999999999 days long, got {shown}; give such a length")
