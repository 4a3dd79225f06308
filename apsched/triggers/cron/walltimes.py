"""Find the next time on a calendar and a clock that know no time zone (layer 1).

Rule 1: found by carrying, like an odometer: second, minute, hour, day. The work is the same for every expression.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Final

from apsched.triggers.cron.days import Days
from apsched.triggers.cron.fields import Field

WallTime = tuple[int, int, int, int, int, int]  # year to second
NONE: Final = -1


@lru_cache(maxsize=1024)
def _at_or_after(bits: int, size: int) -> tuple[int, ...]:
    """Return, for each number from 0 to *size*, the lowest one of the bit set that is not less, or `NONE`."""
    table = [NONE]
    for number in reversed(range(size)):
        table.append(number if bits >> number & 1 else table[-1])
    return tuple(reversed(table))


class WallTimes:
    """
    The nominal local times of a cron trigger.

    Args:
        fields: All fields by name.
        either: See `Days`.
    """

    __slots__ = ("_days", "_first_minute", "_first_second", "_first_time", "_hours", "_minutes", "_seconds")

    def __init__(self, fields: Mapping[str, Field], *, either: bool = False) -> None:
        self._days = Days(fields, either=either)
        self._hours = _at_or_after(fields["hour"].bits, 24)
        self._minutes = _at_or_after(fields["minute"].bits, 60)
        self._seconds = _at_or_after(fields["second"].bits, 60)
        self._first_minute = self._minutes[0]
        self._first_second = self._seconds[0]
        self._first_time = self._hours[0], self._first_minute, self._first_second

    def after(self, year: int, month: int, day: int, hour: int, minute: int, second: int) -> WallTime | None:
        """Return the first nominal time after the given one; None if there is none."""
        days = self._days
        if days.includes(year, month, day):
            minutes = self._minutes
            if self._hours[hour] == hour:
                if minutes[minute] == minute:
                    later = self._seconds[second + 1]
                    if later != NONE:
                        return year, month, day, hour, minute, later
                later = minutes[minute + 1]
                if later != NONE:
                    return year, month, day, hour, later, self._first_second
            later = self._hours[hour + 1]
            if later != NONE:
                return year, month, day, later, self._first_minute, self._first_second
        date = days.after(year, month, day)
        return None if date is None else date + self._first_time

    def after_wall(self, wall: datetime) -> datetime | None:
        """Return the first nominal time after *wall*; both naive."""
        found = self.after(wall.year, wall.month, wall.day, wall.hour, wall.minute, wall.second)
        return None if found is None else datetime(*found)
