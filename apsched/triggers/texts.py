"""Read triggers that people write: lines of crontabs, and intervals such as `every 5 minutes` (layer 1)."""

from __future__ import annotations

import re
from datetime import timedelta, tzinfo

from apsched.triggers.base import BaseTrigger
from apsched.triggers.cron import CronTrigger
from apsched.triggers.interval import IntervalTrigger

UNITS = {
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), timedelta(milliseconds=1)),
    **dict.fromkeys(("s", "sec", "second", "seconds"), timedelta(seconds=1)),
    **dict.fromkeys(("m", "min", "minute", "minutes"), timedelta(minutes=1)),
    **dict.fromkeys(("h", "hour", "hours"), timedelta(hours=1)),
    **dict.fromkeys(("d", "day", "days"), timedelta(days=1)),
    **dict.fromkeys(("w", "week", "weeks"), timedelta(weeks=1)),
}
_PART = re.compile(r"\s*(?:and\s+|,\s*)?(\d+(?:\.\d+)?)?\s*([a-z]+)\s*")
_EVERY = re.compile(r"@?every\s+", re.IGNORECASE)


def read_length(text: str) -> timedelta:
    """
    Return the length in a text such as `5m`, `1h30m`, `90 seconds` or `1 day and 12 hours`.

    Raises:
        ValueError: It is none.
    """
    length, place, lowered = timedelta(0), 0, text.strip().lower()
    while place < len(lowered):
        part = _PART.match(lowered, place)
        if part is None or part[2] not in UNITS:
            raise ValueError(f"a length of time must be a text such as '5m', '1h30m' or '90 seconds', got {text!r}")
        length += UNITS[part[2]] * float(part[1] or 1)
        place = part.end()
    if not length:
        raise ValueError(f"a length of time must be more than 0, got {text!r}; write one such as '5m'")
    return length


def read_trigger(text: str, zone: tzinfo) -> BaseTrigger | None:
    """
    Return the trigger that a text describes: a line of a crontab, or an interval such as `every 5 minutes` or `90s`.

    Args:
        text: The text.
        zone: Of the trigger.

    Returns:
        The trigger; None if the text does not look like one at all.

    Raises:
        ValueError: It looks like one and is wrong.
    """
    every = _EVERY.match(text)
    if every is not None or re.fullmatch(r"(\d+(\.\d+)?\s*[a-z]+\s*)+", text):
        return IntervalTrigger(seconds=read_length(text[every.end() if every else 0 :]).total_seconds(), timezone=zone)
    if text.startswith("@") or len(text.split()) in (5, 6):
        return CronTrigger.from_crontab(text, zone)
    return None
