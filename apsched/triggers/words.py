"""Say a trigger in words (layer 1).

The words say what the settings say. They are for people: no program should read them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Final

from apsched._timezones import timezone_text
from apsched.triggers.base import BaseTrigger
from apsched.triggers.cron import CronTrigger, Field
from apsched.triggers.interval import IntervalTrigger

DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
SUFFIXES: Final = {1: "st", 2: "nd", 3: "rd"}  # codespell:ignore nd
CLOCK_TIMES: Final = 6  # that are listed one by one at most

Name = Callable[[str], str]


def describe(trigger: BaseTrigger) -> str:
    """
    Return *trigger* in words, such as `at 03:30 on Monday to Friday`; its zone, limits and exclusions left aside.

    A trigger that is not of this package says its own `str()`.
    """
    if isinstance(trigger, CronTrigger):
        return _cron({field.name: field for field in trigger.fields}, day_or=trigger.day_or)
    if isinstance(trigger, IntervalTrigger):
        return f"every {duration(trigger.interval, one='')}"
    return _other(trigger)


def describe_for(trigger: BaseTrigger, zone: tzinfo, moment: datetime) -> str:
    """
    Return *trigger* in words for who reads times of *zone*: `at 03:30 every day, in Europe/Berlin`.

    Its own zone is named only if clocks there and in *zone* differ at *moment*, and if it counts by a clock.
    """
    own = zone if isinstance(trigger, IntervalTrigger) else getattr(trigger, "timezone", zone)
    if moment.astimezone(own).utcoffset() == moment.astimezone(zone).utcoffset():
        return describe(trigger)
    return f"{describe(trigger)}, in {timezone_text(own)}"


def _other(trigger: BaseTrigger) -> str:
    from apsched.triggers.after import After
    from apsched.triggers.calendarinterval import CalendarIntervalTrigger
    from apsched.triggers.combining import AndTrigger, OrTrigger
    from apsched.triggers.date import DateTrigger

    if isinstance(trigger, DateTrigger):
        return f"once, at {trigger.run_date:%Y-%m-%d %H:%M:%S}"
    if isinstance(trigger, CalendarIntervalTrigger):
        time = trigger._time
        parts = [(getattr(trigger, unit), unit) for unit in ("years", "months", "weeks", "days")]
        length = _and([f"{count} {unit if count > 1 else unit[:-1]}" for count, unit in parts if count])
        return f"every {length.removeprefix('1 ')} at {_clock(time.hour, time.minute, time.second)}"
    if isinstance(trigger, After):
        how = {"success": "has succeeded", "failure": "has failed", "any": "has ended"}[trigger.on]
        return f"when job {trigger.job} {how}"
    if isinstance(trigger, AndTrigger):
        return "when all of these fit: " + "; ".join(map(describe, trigger.triggers))
    if isinstance(trigger, OrTrigger):
        return "; and ".join(map(describe, trigger.triggers))
    return str(trigger)


def duration(length: timedelta, one: str = "1 ") -> str:
    """
    Return *length* in words, such as `1 day and 30 minutes`; exact.

    Args:
        length: From 0 on.
        one: What stands before a single unit that is all there is: `""` for "every minute".
    """
    seconds = length.seconds % 60 + length.microseconds / 1_000_000
    counts = ((length.days, "day"), (length.seconds // 3600, "hour"), (length.seconds // 60 % 60, "minute"))
    parts = [f"{count} {unit}{'s' if count > 1 else ''}" for count, unit in counts if count]
    if seconds or not parts:
        parts.append(f"{seconds:.6f}".rstrip("0").rstrip(".") + (" second" if seconds == 1 else " seconds"))
    text = _and(parts)
    return one + text.removeprefix("1 ") if len(parts) == 1 and text.startswith("1 ") else text


def _cron(fields: dict[str, Field], *, day_or: bool) -> str:
    times = _times(fields)
    days = _days(fields, day_or=day_or)
    if not days and not any(map(_is_stepped, (fields["hour"], fields["minute"], fields["second"]))):
        days = "every day"
    months = "" if _is_any(fields["month"]) else f"in {_named(fields['month'], MONTHS, 1)}"
    weeks = "" if _is_any(fields["week"]) else f"in {_units(fields['week'], 'ISO week')}"
    years = "" if _is_any(fields["year"]) else f"in {_listed(fields['year'])}"
    return " ".join(filter(None, (times, days, months, weeks, years)))


def _times(fields: dict[str, Field]) -> str:
    hour, minute, second = (fields[name] for name in ("hour", "minute", "second"))
    hours, minutes, seconds = (_numbers(field) for field in (hour, minute, second))
    if not any(map(_is_stepped, (hour, minute, second))) and len(hours) * len(minutes) * len(seconds) <= CLOCK_TIMES:
        return "at " + _and([_clock(h, m, s) for h in hours for m in minutes for s in seconds])
    return " ".join(filter(None, (_second(second, minute), _minute(minute, hour, second), _hour(hour, minute, second))))


def _second(second: Field, minute: Field) -> str:
    text = str(second)
    if _step_of(text):
        return f"every {_nth(_step_of(text), 'second')}"
    if text == "0":
        return ""
    return f"at {_units(second, 'second')}"


def _minute(minute: Field, hour: Field, second: Field) -> str:
    text = str(minute)
    if _step_of(text):
        every = f"every {_nth(_step_of(text), 'minute')}"
        if str(second) == "0":
            return every
        if _is_any(minute):
            return "" if _step_of(str(second)) else "of every minute"
        return f"in every {_ordinal(_step_of(text))} minute"
    if text == "0" and str(second) == "0" and _step_of(str(hour)):
        return ""
    return f"{'at' if str(second) == '0' else 'in'} {_units(minute, 'minute')}"


def _hour(hour: Field, minute: Field, second: Field) -> str:
    step = _step_of(str(hour))
    if step:
        if (str(minute), str(second)) == ("0", "0"):
            return f"every {_nth(step, 'hour')}"
        if step == 1:
            return "" if _step_of(str(minute)) else "of every hour"
        return f"in every {_ordinal(step)} hour"
    first, _, last = str(hour).partition("-")
    if last.isdigit() and _step_of(str(minute)):
        return f"from {int(first):02}:00 to {int(last):02}:59"
    return f"in {_units(hour, 'hour')}"


def _days(fields: dict[str, Field], *, day_or: bool) -> str:
    day, weekday = fields["day"], fields["day_of_week"]
    of_month = "" if _is_any(day) else _day_of_month(day)
    of_week = "" if _is_any(weekday) else f"on {_named(weekday, DAYS, 0)}"
    if of_month and of_week:
        return f"{of_month} or {of_week}" if day_or else f"{of_month} if that is {of_week.removeprefix('on ')}"
    return of_month or of_week


def _day_of_month(day: Field) -> str:
    step = _step_of(str(day))
    if step:
        return f"on every {_ordinal(step)} day of the month, from the 1st"
    return f"on the {_listed(day, _month_day)} of the month"


def _month_day(word: str) -> str:
    if word.isdigit():
        return _ordinal(int(word))
    which, _, weekday = word.partition(" ")
    return f"{which} {_weekday(weekday)}" if weekday else "last day"


def _weekday(name: str) -> str:
    return next((day for day in DAYS if day.lower().startswith(name)), name)


def _named(field: Field, names: Sequence[str], lowest: int) -> str:
    def name(word: str) -> str:
        if word.isdigit():
            return names[int(word) - lowest]
        return next((each for each in names if each.lower().startswith(word)), word)

    step = _step_of(str(field))
    unit = "month" if lowest else "day"
    return f"every {_ordinal(step)} {unit}, from {names[0]}" if step else _listed(field, name)


def _units(field: Field, unit: str) -> str:
    """Return `minute 5 and 35`, or `every 2nd hour from 0 to 20`."""
    text = _listed(field, unit=unit)
    return text if text.startswith("every ") else f"{unit} {text}"


def _listed(field: Field, name: Name = str, unit: str = "one") -> str:
    """Return the expressions of *field*, each number or word of which *name* says."""
    return _and([_span(expression.text, name, unit) for expression in field.expressions])


def _span(text: str, name: Name, unit: str) -> str:
    span, _, step = text.partition("/")
    first, dash, last = span.partition("-")
    if step and int(step) > 1:
        every = f"every {_ordinal(int(step))} {unit}"
        if span == "*":
            return every
        return f"{every} from {name(first)}" + (f" to {name(last)}" if dash else "")
    return f"{name(first)} to {name(last)}" if dash else name(first)


def _is_any(field: Field) -> bool:
    return str(field) in ("*", "*/1")


def _is_stepped(field: Field) -> bool:
    return any("*" in expression.text or "/" in expression.text for expression in field.expressions)


def _step_of(text: str) -> int:
    """Return n of `*/n`, 1 of `*`, 0 of all else."""
    if text == "*":
        return 1
    return int(text[2:]) if text.startswith("*/") and text[2:].isdigit() else 0


def _numbers(field: Field) -> list[int]:
    return [number for number in range(60) if field.bits >> number & 1]


def _nth(step: int, unit: str) -> str:
    return unit if step == 1 else f"{step} {unit}s"


def _ordinal(number: int) -> str:
    suffix = "th" if 10 < number % 100 < 14 else SUFFIXES.get(number % 10, "th")
    return f"{number}{suffix}"


def _clock(hour: int, minute: int, second: int) -> str:
    return f"{hour:02}:{minute:02}" + (f":{second:02}" if second else "")


def _and(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
