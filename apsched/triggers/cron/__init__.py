"""Fire at the times that cron expressions name (layer 1)."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any, ClassVar, Literal, Self, TypeVar

from apsched._timezones import local_timezone, timezone_text, to_datetime, to_timezone
from apsched.triggers._settings import (
    MICROSECOND,
    VERSION,
    check_aware,
    check_jitter,
    check_order,
    check_version,
    naive,
)
from apsched.triggers.base import BaseTrigger
from apsched.triggers.cron.crontab import WeekdayNumbers, read_crontab
from apsched.triggers.cron.fields import FIELD_NAMES, Field, read_fields
from apsched.triggers.cron.instants import Instants, find_last, to_utc
from apsched.triggers.cron.walltimes import WallTimes
from apsched.triggers.exclusion import Exclusion

__all__ = ["CronTrigger", "Field"]

OnGap = Literal["next", "skip"]
OnFold = Literal["first", "both"]
Option = TypeVar("Option", OnGap, OnFold)


class CronTrigger(BaseTrigger):
    """
    Fires at the times that fit all of eight fields.

    A field is an int or a text of expressions with commas between, in upper or lower case:

    | expression | field | selects |
    |---|---|---|
    | `*` | any | every number |
    | `*/a` | any | every a-th number, from the lowest |
    | `a` | any | the number a |
    | `a/c` | any | every c-th number from a on |
    | `a-b` | any | the numbers from a to b |
    | `a-b/c` | any | every c-th number from a to b |
    | `xth y` | day | the x-th (1st to 5th) weekday y of the month, as in `2nd fri` |
    | `last y` | day | the last weekday y of the month |
    | `last` | day | the last day of the month |

    Months may be called `jan` to `dec`, days of the week `mon` to `sun`. A field that is not given is `*` if a less
    significant one is given, and else its lowest number: `CronTrigger(hour=3)` fires at 03:00:00. Week and day_of_week
    are `*` unless given. With no field given, the trigger fires every second.

    Fields name local times. Clocks skip some and show others twice when DST begins or ends; then *on_gap* and *on_fold*
    decide. If the hour is `*` or `*/n`, the trigger follows real time instead: it passes over what clocks skip and
    fires twice at what they show twice, so that "every 15 minutes" stays that.

    Args:
        year: 1970 to 9999.
        month: 1 to 12.
        day: Of the month, 1 to 31.
        week: ISO week, 1 to 53; the first is the one with the first Thursday of the year.
        day_of_week: 0 to 6, beginning with Monday.
        hour: 0 to 23.
        minute: 0 to 59.
        second: 0 to 59.
        start_date: First time that may fire, included: a date, a datetime or ISO text; None for no limit.
        end_date: Last time that may fire, included.
        timezone: A name, or a tzinfo. If None, the zone of *start_date* or of *end_date*, if one of them is a datetime
            that has one, and else that of the machine.
        jitter: Upper bound, in seconds, of the delay that the scheduler adds to each time; None for none.
        on_gap: What becomes of a local time that clocks skip: `"next"`, the first instant after the gap, or `"skip"`.
        on_fold: What becomes of a local time that clocks show twice: `"first"`, only the first, or `"both"`.
        exclude: What must not fire: dates, weekday names, a trigger, a `module:callable`, or a list of these.
        day_or: Whether it is enough that day or day_of_week fits, if neither begins with `*`, as in crontab.

    Attributes:
        fields: The eight `Field` objects, in the order of the parameters.

    Raises:
        ValueError: A field, zone, date or option has a value that is not allowed, or the end is before the start.
        TypeError: A value is of a wrong type.

    Source:
        ISO 8601 for weeks and for the days of the week, which begin with Monday.
    """

    __slots__ = (
        "_end",
        "_instants",
        "_start",
        "day_or",
        "end_date",
        "exclude",
        "fields",
        "jitter",
        "on_fold",
        "on_gap",
        "start_date",
        "timezone",
    )

    FIELD_NAMES: ClassVar[tuple[str, ...]] = FIELD_NAMES

    def __init__(
        self,
        year: int | str | None = None,
        month: int | str | None = None,
        day: int | str | None = None,
        week: int | str | None = None,
        day_of_week: int | str | None = None,
        hour: int | str | None = None,
        minute: int | str | None = None,
        second: int | str | None = None,
        start_date: object = None,
        end_date: object = None,
        timezone: str | tzinfo | None = None,
        jitter: float | None = None,
        *,
        on_gap: OnGap = "next",
        on_fold: OnFold = "first",
        exclude: object = None,
        day_or: bool = False,
    ) -> None:
        values = (year, month, day, week, day_of_week, hour, minute, second)
        fields = read_fields(dict(zip(FIELD_NAMES, values, strict=True)))
        self.fields: list[Field] = list(fields.values())
        self.timezone: tzinfo = _zone_for(timezone, start_date, end_date)
        self.start_date: datetime | None = _local_limit(start_date, self.timezone, "start_date")
        self.end_date: datetime | None = _local_limit(end_date, self.timezone, "end_date")
        self.jitter: float | None = check_jitter(jitter)
        self.on_gap = _checked_option("on_gap", on_gap, ("next", "skip"))
        self.on_fold = _checked_option("on_fold", on_fold, ("first", "both"))
        self.exclude: Exclusion | None = Exclusion.of(exclude)
        self.day_or: bool = day_or
        # In UTC, as Python compares two times of one zone by what clocks show, which is wrong in a fold.
        self._start = None if self.start_date is None else to_utc(self.start_date)
        self._end = None if self.end_date is None else to_utc(self.end_date)
        check_order(self._start, self._end)

        either = day_or and not str(fields["day"]).startswith("*") and not str(fields["day_of_week"]).startswith("*")
        follows_real_time = fields["hour"].is_open
        self._instants = Instants(
            WallTimes(fields, either=either),
            self.timezone,
            skips_gap=follows_real_time or on_gap == "skip",
            repeats_fold=follows_real_time or on_fold == "both",
        )

    @classmethod
    def from_crontab(
        cls,
        expr: str,
        timezone: str | tzinfo | None = None,
        *,
        weekday: WeekdayNumbers = "crontab",
        day_or: bool = False,
        start_date: object = None,
        end_date: object = None,
        jitter: float | None = None,
        on_gap: OnGap = "next",
        on_fold: OnFold = "first",
        exclude: object = None,
    ) -> Self:
        """
        Return the trigger for a line of a crontab.

        Fields may hold whatever the constructor's fields of the same name may. In `day_of_week`, 0 and 7 are Sunday, 1
        is Monday, `*/2` counts from Sunday, and a range may begin or end with Sunday: `sun-tue`, `fri-sun`, `5-7`,
        `0-6`. A range over the end of the week is refused: `sat-mon` is written `sat-sun,mon`.

        Args:
            expr: Minute, hour, day, month and day_of_week with blanks between; or six fields, seconds first; or one of
                `@yearly @annually @monthly @weekly @daily @midnight @hourly`.
            timezone: A name, or a tzinfo; None as in the constructor.
            weekday: `"aps3"` to read the numbers of `day_of_week` as the constructor does, 0 = Monday.
            day_or: Whether it is enough that day or day_of_week fits, if neither begins with `*`. That is what crontab
                does; by default both have to fit, as in APScheduler 3.
            start_date: As in the constructor, like all that follow.
            end_date: Last time that may fire, included.
            jitter: Upper bound of the scheduler's delay, in seconds.
            on_gap: What becomes of a local time that clocks skip.
            on_fold: What becomes of a local time that clocks show twice.
            exclude: What must not fire.

        Raises:
            ValueError: The line has another number of fields, or one of them is not understood.
            TypeError: A value is of a wrong type.

        Source:
            https://man7.org/linux/man-pages/man5/crontab.5.html
        """
        texts = read_crontab(expr, weekday)
        return cls(
            **texts.fields,
            start_date=start_date,
            end_date=end_date,
            timezone=timezone,
            jitter=jitter,
            on_gap=on_gap,
            on_fold=on_fold,
            exclude=exclude,
            day_or=day_or and texts.restricts_both_days,
        )

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """
        Return the next time to fire.

        Args:
            previous_fire_time: The answer is later than this, whatever *now* is; aware, in any zone.
            now: If *previous_fire_time* is None, the answer is not before this; aware, in any zone.

        Returns:
            A time in the trigger's zone, without microseconds and with the right `fold`; None if there is none.

        Raises:
            ValueError: The time that decides is naive.

        Cost:
            A few microseconds, however far away the answer is; the same for expressions that never fire.
        """
        if self.exclude is not None:
            return self.exclude.next_allowed(self._next_by_fields, previous_fire_time, now)
        return self._next_by_fields(previous_fire_time, now)

    def get_last_fire_time(self, previous_fire_time: datetime, until: datetime) -> datetime | None:
        """
        Return the latest fire time after *previous_fire_time* and not after *until*.

        Exact, however many fire times there are between: the span is halved, not walked through.
        """
        if self.exclude is not None:
            return self.exclude.last_allowed(self._last_by_fields, previous_fire_time, until)
        return self._last_by_fields(previous_fire_time, until)

    def _next_by_fields(self, previous: datetime | None, now: datetime) -> datetime | None:
        if previous is None:
            check_aware(now, "now")
            after = to_utc(now) - MICROSECOND
        elif previous.tzinfo is None:
            raise naive("previous_fire_time", previous)
        else:
            after = previous
        if self._start is not None and after < self._start:
            after = self._start - MICROSECOND
        found = self._instants.after(after)
        if found is not None and self._end is not None and found > self._end:
            return None
        return found

    def _last_by_fields(self, previous: datetime, until: datetime) -> datetime | None:
        check_aware(until, "until")
        return find_last(lambda moment: self._next_by_fields(moment, moment), previous, until)

    def __getstate__(self) -> dict[str, Any]:
        """Return the settings as plain JSON values; fields that were not given are left out."""
        return {
            "version": VERSION,
            "fields": {field.name: str(field) for field in self.fields if not field.is_default},
            "start_date": None if self.start_date is None else self.start_date.isoformat(),
            "end_date": None if self.end_date is None else self.end_date.isoformat(),
            "timezone": timezone_text(self.timezone),
            "jitter": self.jitter,
            "on_gap": self.on_gap,
            "on_fold": self.on_fold,
            "day_or": self.day_or,
            "exclude": None if self.exclude is None else self.exclude.state,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """
        Take the settings that `__getstate__` returned.

        Raises:
            ValueError: They were written by a newer release, or do not make a trigger.
        """
        check_version(state, self)
        settings = {name: value for name, value in state.items() if name not in ("version", "fields")}
        settings["exclude"] = Exclusion.from_state(settings["exclude"])
        CronTrigger.__init__(self, **state["fields"], **settings)

    def is_same_schedule(self, other: BaseTrigger) -> bool:
        if type(other) is not type(self):
            return False
        mine, theirs = (
            {**trigger.__getstate__(), "fields": [str(field) for field in trigger.fields]} for trigger in (self, other)
        )
        return mine == theirs  # defaults that are spelled out change nothing

    def __str__(self) -> str:
        return f"cron[{', '.join(self._given_fields())}]"

    def __repr__(self) -> str:
        options = self._given_fields()
        for name in ("start_date", "end_date"):
            if (limit := getattr(self, name)) is not None:
                options.append(f"{name}='{limit:%Y-%m-%d %H:%M:%S %Z}'")
        if self.jitter:
            options.append(f"jitter={self.jitter}")
        options.append(f"timezone='{self.timezone}'")
        for name, default in (("on_gap", "next"), ("on_fold", "first"), ("day_or", False), ("exclude", None)):
            if (value := getattr(self, name)) != default:
                options.append(f"{name}={value!r}")
        return f"<{type(self).__name__} ({', '.join(options)})>"

    def _given_fields(self) -> list[str]:
        return [f"{field.name}='{field}'" for field in self.fields if not field.is_default]


def _zone_for(timezone: str | tzinfo | None, *limits: object) -> tzinfo:
    if timezone is not None:
        return to_timezone(timezone, "timezone")
    for limit in limits:
        if isinstance(limit, datetime) and limit.tzinfo is not None:
            return to_timezone(limit.tzinfo, "timezone")
    return local_timezone()


def _local_limit(value: object, timezone: tzinfo, subject: str) -> datetime | None:
    """Return a start or an end in the trigger's own zone, so that it is the same after a round trip through text."""
    limit = to_datetime(value, timezone, subject)
    try:
        return None if limit is None else limit.astimezone(timezone)
    except OverflowError:
        return limit


def _checked_option(name: str, value: Option, allowed: tuple[str, ...]) -> Option:
    if value not in allowed:
        raise ValueError(f"{name} must be {' or '.join(map(repr, allowed))}, got {value!r}; pass one of these")
    return value
