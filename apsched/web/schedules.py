"""Read from a text when a job is to run, and tell what that means (layer 10)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo

import attrs

from apsched._timezones import timezone_text
from apsched.triggers.base import BaseTrigger
from apsched.triggers.clock_changes import remarks
from apsched.triggers.date import DateTrigger
from apsched.triggers.texts import read_trigger
from apsched.triggers.upcoming import times_from
from apsched.triggers.words import describe

SHOWN = 5  # next times


@attrs.frozen(kw_only=True)
class Schedule:
    """
    What a trigger means.

    Attributes:
        trigger: The trigger; an interval begins at the time from which on it was asked for.
        timezone: The zone in which it is read.
        words: What it says, in English.
        times: Its next times, aware; never empty.
        remarks: What becomes of it when clocks change within a year, a sentence each.
    """

    trigger: BaseTrigger
    timezone: str
    words: str
    times: Sequence[datetime]
    remarks: Sequence[str]


def read_schedule(text: str, zone: tzinfo, now: datetime, count: int = SHOWN) -> Schedule:
    """
    Return what a line of a crontab, an interval such as `every 5 minutes`, or a time such as `2026-12-24 18:00` means.

    Args:
        text: The text.
        zone: In which it is read.
        now: From when on it counts, aware.
        count: How many next times are told, from 1 on.

    Raises:
        ValueError: It is none of those, or its time has passed, or it has none.
    """
    try:
        trigger = (read_trigger(text, zone) or _read_time(text, zone)).anchored(now)
        times = times_from(trigger, now, count)
    except OverflowError:
        raise ValueError(f"{text!r} leads beyond the year 9999; write a shorter time") from None
    if not times or times[0] < now:
        raise ValueError(f"{text!r} has no time to come; write one that has")
    return Schedule(
        trigger=trigger,
        timezone=timezone_text(zone),
        words=describe(trigger),
        times=times,
        remarks=remarks(trigger, now, zone),
    )


def _read_time(text: str, zone: tzinfo) -> DateTrigger:
    try:
        return DateTrigger(datetime.fromisoformat(text), zone)
    except ValueError:
        raise ValueError(
            f"{text!r} is no line of a crontab such as '30 3 * * mon-fri', no interval such as 'every 5 minutes', "
            "and no time such as '2026-12-24 18:00'"
        ) from None
