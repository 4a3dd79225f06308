"""Find the days on which a cron trigger fires (layer 1).

Rule 1: no search takes a step per day or year. Years come in kinds, of which there are few; the days of one kind are
found once, and so are the years that have any.

Source:
    https://en.wikipedia.org/wiki/ISO_week_date for the weeks, which depend on the year's neighbours, too.
"""

from __future__ import annotations

from calendar import isleap, monthrange
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Final

from apsched.triggers.cron.expressions import bits_of, weekday_days
from apsched.triggers.cron.fields import MAX_YEAR, Field

CYCLE: Final = 400  # years after which the Gregorian calendar repeats, days of the week included

Opening = tuple[int, int]  # month and day
YearDays = tuple[tuple[int, ...], tuple[Opening | None, ...]]
"""The days of each month as bit sets, and the first day that comes after each month; month 0 is before January."""

_ONE: Final = ord("1")
NO_DAYS: Final[YearDays] = ((0,) * 13, (None,) * 13)


def _kind_of(year: int) -> tuple[int, bool, int]:
    """Return what sets the months, days of the week and ISO weeks of a year."""
    new_year = date(year, 1, 1)
    return new_year.weekday(), isleap(year), new_year.isocalendar().week


_EXAMPLES: Final = {_kind_of(year): year for year in range(2000, 2000 + CYCLE)}  # one year of each kind
_KINDS: Final = tuple(_EXAMPLES)
_KIND_IN_CYCLE: Final = tuple(_KINDS.index(_kind_of(2000 + year)) for year in range(CYCLE))


@lru_cache(maxsize=256)
def _possible_years(years: int, kinds: frozenset[int]) -> bytes:
    """Return `_digits` of the years that are in the bit set *years* and of one of *kinds*."""
    in_cycle = sum(1 << year for year, kind in enumerate(_KIND_IN_CYCLE) if kind in kinds)
    of_kinds = sum(in_cycle << start for start in range(0, MAX_YEAR, CYCLE))
    return _digits(years & of_kinds)


@lru_cache(maxsize=256)
def _digits(years: int) -> bytes:
    """Return `1` at the index of each year in the bit set and `0` at the others; shared by all triggers alike."""
    return f"{years:0{MAX_YEAR + 1}b}"[::-1].encode()


class Days:
    """
    The days that fit the fields year, month, day, week and day_of_week.

    Args:
        fields: All fields by name.
        either: A day fits if it fits day or day_of_week, as in crontab; otherwise it has to fit both.
    """

    __slots__ = ("_by_kind", "_either", "_fields", "_possible", "_recent", "_years")

    def __init__(self, fields: Mapping[str, Field], *, either: bool = False) -> None:
        self._fields = fields
        self._either = either
        self._by_kind: list[YearDays | None] = [None] * len(_KINDS)
        self._years = _digits(fields["year"].bits)
        self._possible: bytes | None = None  # of these the years that have a day that fits
        self._recent: tuple[int, YearDays] = (0, NO_DAYS)  # one tuple, so that threads never see half of it

    def includes(self, year: int, month: int, day: int) -> bool:
        """Tell whether a day fits."""
        return self._of_year(year)[0][month] >> day & 1 == 1

    def after(self, year: int, month: int, day: int) -> tuple[int, int, int] | None:
        """Return year, month and day of the first day after the given one; None if there is none."""
        days, openings = self._of_year(year)
        later = days[month] >> day + 1
        if later:
            return year, month, day + (later & -later).bit_length()
        opening = openings[month]
        if opening is None:
            year = self._next_year(year)
            opening = self._of_year(year)[1][0]
            if opening is None:
                return None
        return year, opening[0], opening[1]

    def _of_year(self, year: int) -> YearDays:
        recent = self._recent
        if recent[0] == year:
            return recent[1]
        found = self._of_kind(_KIND_IN_CYCLE[year % CYCLE]) if self._years[year] == _ONE else NO_DAYS
        self._recent = (year, found)
        return found

    def _next_year(self, year: int) -> int:
        """Return the first year after the given one that has a day that fits; 0, which has none, if there is none."""
        if self._possible is None:
            kinds = frozenset(kind for kind, year in enumerate(_EXAMPLES.values()) if self._has_days(year))
            self._possible = _possible_years(self._fields["year"].bits, kinds)
        return max(self._possible.find(_ONE, year + 1), 0)

    def _has_days(self, year: int) -> bool:
        return any(self._of_month(year, month) for month in range(1, 13))

    def _of_kind(self, kind: int) -> YearDays:
        found = self._by_kind[kind]
        if found is None:
            year = _EXAMPLES[_KINDS[kind]]
            days = (0, *(self._of_month(year, month) for month in range(1, 13)))
            found = self._by_kind[kind] = days, _openings_of(days)
        return found

    def _of_month(self, year: int, month: int) -> int:
        if not self._fields["month"].bits >> month & 1:
            return 0
        first_weekday, length = monthrange(year, month)
        by_day = self._fields["day"].days_in(first_weekday, length)
        by_weekday = weekday_days(self._fields["day_of_week"].bits, first_weekday, length)
        days = by_day | by_weekday if self._either else by_day & by_weekday
        weeks = self._fields["week"]
        return days if str(weeks) == "*" else days & _days_in_weeks(weeks.bits, year, month, length)


def _days_in_weeks(weeks: int, year: int, month: int, length: int) -> int:
    """Return the days of a month that are in one of the ISO weeks of a bit set."""
    days = 0
    day = 1
    while day <= length:
        _, week, weekday = date(year, month, day).isocalendar()
        sunday = day + 7 - weekday
        if weeks >> week & 1:
            days |= bits_of(day, min(sunday, length))
        day = sunday + 1
    return days


def _openings_of(days: tuple[int, ...]) -> tuple[Opening | None, ...]:
    openings: list[Opening | None] = [None]
    for month in range(12, 0, -1):
        openings.append((month, _lowest(days[month])) if days[month] else openings[-1])
    return tuple(reversed(openings))


def _lowest(bits: int) -> int:
    """Return the lowest number of a bit set that is not empty."""
    return (bits & -bits).bit_length() - 1
