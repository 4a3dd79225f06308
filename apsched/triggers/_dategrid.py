"""Compute the days of a calendar interval (layer 1)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final

import attrs

DAYS_END: Final = date.max.toordinal() + 1
MONTHS_END: Final = (date.max.year + 1) * 12


@attrs.frozen
class DateGrid:
    """
    Days that are so many months, and then so many days, apart.

    Months keep the day of the month and pass over months that lack it.

    Attributes:
        start: The first day.
        months: Not negative.
        days: Not negative; more than 0 if *months* is 0.
    """

    start: date
    months: int
    days: int

    def days_from(self, first: date) -> Iterator[date]:
        """Iterate over the days that are not before *first*, to the end of the calendar."""
        if self.months and self.days:
            return (day for day in self._walk() if day >= first)
        if self.days:
            missed = max(first.toordinal() - self.start.toordinal(), 0)
            begin = self.start.toordinal() + -(-missed // self.days) * self.days
            return map(date.fromordinal, range(begin, DAYS_END, self.days))
        missed = max(_month(first) - _month(self.start), 0)
        begin = _month(self.start) + -(-missed // self.months) * self.months
        days = (_date(month, self.start.day) for month in range(begin, MONTHS_END, self.months))
        return (day for day in days if day is not None and day >= first)

    def day_until(self, last: date) -> date | None:
        """Return the latest day that is not after *last*; None if the first one is."""
        if last < self.start:
            return None
        if self.months and self.days:
            found = self.start
            for day in self._walk():
                if day > last:
                    break
                found = day
            return found
        if self.days:
            return last - timedelta(days=(last - self.start).days % self.days)
        begin = _month(last) - (_month(last) - _month(self.start)) % self.months
        days = (_date(month, self.start.day) for month in range(begin, _month(self.start) - 1, -self.months))
        return next((day for day in days if day is not None and day <= last), None)

    def _walk(self) -> Iterator[date]:
        day: date | None = self.start
        while day is not None:
            yield day
            months = range(_month(day) + self.months, MONTHS_END, self.months)
            found = next((there for month in months if (there := _date(month, day.day)) is not None), date.max)
            ordinal = found.toordinal() + self.days
            day = date.fromordinal(ordinal) if ordinal < DAYS_END else None


def _month(day: date) -> int:
    return day.year * 12 + day.month - 1


def _date(month: int, day: int) -> date | None:
    try:
        return date(month // 12, month % 12 + 1, day)
    except ValueError:  # the month lacks that day
        return None
