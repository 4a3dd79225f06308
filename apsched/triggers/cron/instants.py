"""Turn nominal local times into instants, through gaps and folds of the clock (layer 1).

A gap is a span of local time that clocks skip, a fold one that they show twice; both come with DST and with changes of
a zone's offset (https://peps.python.org/pep-0495/).

Rule 1: instants strictly increase; nominal times that fall on one instant are one fire time.
Rule 2: local times are searched on the naive calendar and only then turned into instants. Stepping days or months in
UTC loses the runs of the day after a change.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, NamedTuple

from apsched.triggers.cron.fields import MAX_YEAR, MIN_YEAR
from apsched.triggers.cron.walltimes import WallTimes

GAP_LIMIT: Final = 200  # gaps passed over in one search; by then every kind of year has been seen and will recur
RESOLUTION: Final = timedelta(microseconds=1)
SECOND: Final = timedelta(seconds=1)

_EARLIEST: Final = datetime(MIN_YEAR - 1, 12, 1, tzinfo=UTC)  # before the first nominal time in any zone
_LATEST: Final = datetime.max.replace(tzinfo=UTC)


class Change(NamedTuple):
    """
    A gap or a fold.

    Attributes:
        start: First local time that clocks skip or show twice, naive.
        end: First local time after that, naive.
    """

    start: datetime
    end: datetime


class Instants:
    """
    The fire times of a cron trigger.

    Args:
        walltimes: The nominal local times.
        timezone: Whose clocks show them.
        skips_gap: Whether a nominal time in a gap has no instant; otherwise the first instant after the gap is its.
        repeats_fold: Whether a nominal time in a fold has two instants; otherwise the first is its.
    """

    __slots__ = ("_calm_date", "_is_fixed", "_repeats_fold", "_skips_gap", "_timezone", "_walltimes")

    def __init__(self, walltimes: WallTimes, timezone: tzinfo, *, skips_gap: bool, repeats_fold: bool) -> None:
        self._walltimes = walltimes
        self._timezone = timezone
        self._skips_gap = skips_gap
        self._repeats_fold = repeats_fold
        self._is_fixed = timezone.utcoffset(None) is not None
        self._calm_date: tuple[int, int, int] | None = None  # the last date found to have no change of the clock

    def after(self, moment: datetime) -> datetime | None:
        """Return the first fire time after *moment*, which is aware; None if there is none."""
        timezone = self._timezone
        local = moment if moment.tzinfo is timezone else self._to_local(moment)
        if local is None:
            return None
        year, month, day = local.year, local.month, local.day
        is_fixed = self._is_fixed
        if is_fixed or self._is_calm((year, month, day)):
            found = self._walltimes.after(year, month, day, local.hour, local.minute, local.second)
            if found is None:
                return None
            year, month, day, hour, minute, second = found
            if (is_fixed and year < MAX_YEAR) or self._is_calm((year, month, day)):
                return datetime(year, month, day, hour, minute, second, 0, timezone)
        return self._after_change(local)

    def _is_calm(self, date: tuple[int, int, int]) -> bool:
        """Tell whether every local time of a date is one instant, and one that UTC has, too."""
        if date == self._calm_date:
            return True
        if date[0] >= MAX_YEAR:
            return False
        timezone = self._timezone
        year, month, day = date
        start = datetime(year, month, day, 0, 0, 0, 0, timezone)
        end = datetime(year, month, day, 23, 59, 59, 0, timezone, fold=1)
        if start.utcoffset() != end.utcoffset():
            return False
        self._calm_date = date
        return True

    def _to_local(self, moment: datetime) -> datetime | None:
        try:
            return to_utc(moment).astimezone(self._timezone)
        except OverflowError:  # the year 10000 has begun there
            return None

    def _after_change(self, moment: datetime) -> datetime | None:
        local = self._to_local(moment)  # also if it was local: the time given may be one that clocks skip
        if local is None:
            return None
        wall = local.replace(tzinfo=None, fold=0)
        fold = _fold_around(wall, self._timezone)
        if fold is None:
            return self._instant_of(self._walltimes.after_wall(wall))
        return self._after_in_fold(wall, fold, is_second=local.fold == 1)

    def _after_in_fold(self, wall: datetime, fold: Change, *, is_second: bool) -> datetime | None:
        if is_second and not self._repeats_fold:
            return self._instant_of(self._walltimes.after_wall(fold.end - RESOLUTION))
        nominal = self._walltimes.after_wall(wall)
        if nominal is not None and nominal < fold.end:
            return nominal.replace(tzinfo=self._timezone, fold=is_second)
        if not is_second and self._repeats_fold:
            again = self._walltimes.after_wall(fold.start - RESOLUTION)
            if again is not None and again < fold.end:
                return again.replace(tzinfo=self._timezone, fold=1)
        return self._instant_of(nominal)

    def _instant_of(self, nominal: datetime | None) -> datetime | None:
        """Return the first instant of a nominal time or, if the policy gives it none, of one of those after it."""
        for _ in range(GAP_LIMIT):
            if nominal is None:
                return None
            before, after = _offsets_of(nominal, self._timezone)
            if before >= after:
                instant = nominal.replace(tzinfo=self._timezone)
                return instant if to_utc(instant) < _LATEST else None
            if not self._skips_gap:
                return _find_change(nominal, before, after, self._timezone).end.replace(tzinfo=self._timezone)
            following = self._walltimes.after_wall(nominal)
            if following is not None and following - nominal < after - before:  # perhaps in the same gap
                gap = _find_change(nominal, before, after, self._timezone)
                following = self._walltimes.after_wall(gap.end - RESOLUTION)
            nominal = following
        return None


def to_utc(moment: datetime) -> datetime:
    """
    Return an aware time in UTC, moved to the years in which triggers fire if it is outside of them.

    Raises:
        ValueError: The time is naive.
    """
    if moment.tzinfo is None:
        raise ValueError(f"a fire time is computed from an aware datetime, got {moment!r}; give it a tzinfo")
    if moment.year < _EARLIEST.year:
        return _EARLIEST
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return _LATEST


def _fold_around(wall: datetime, timezone: tzinfo) -> Change | None:
    """Return the fold that a local time is in, if it is in one."""
    before, after = _offsets_of(wall, timezone)
    return None if before <= after else _find_change(wall, before, after, timezone)


def _offsets_of(wall: datetime, timezone: tzinfo) -> tuple[timedelta, timedelta]:
    """Return the offsets before and after the change that skips or repeats a local time; equal if none does."""
    before = wall.replace(tzinfo=timezone, fold=0).utcoffset()
    after = wall.replace(tzinfo=timezone, fold=1).utcoffset()
    return before or timedelta(), after or timedelta()


def _find_change(wall: datetime, before: timedelta, after: timedelta, timezone: tzinfo) -> Change:
    """Return the change that skips or repeats a local time, by halving the span of UTC in which it lies."""
    wall = wall.replace(microsecond=0)
    low, high = wall - max(before, after), wall - min(before, after)
    while high - low > SECOND:
        middle = low + (high - low) // (2 * SECOND) * SECOND
        if _offset_at(middle, timezone) == before:
            low = middle
        else:
            high = middle
    return Change(high + min(before, after), high + max(before, after))


def _offset_at(utc: datetime, timezone: tzinfo) -> timedelta | None:
    return utc.replace(tzinfo=UTC).astimezone(timezone).utcoffset()


def find_last(after: Callable[[datetime], datetime | None], previous: datetime, until: datetime) -> datetime | None:
    """
    Return the latest fire time after *previous* and not after *until*; None if there is none.

    Args:
        after: Returns the first fire time after a moment.
        previous: Aware.
        until: Aware.

    Cost:
        Two calls of *after* for each halving of the span, until the rest of it holds no fire time.
    """
    limit = end = to_utc(until)
    last, following = None, after(previous)
    while following is not None and following <= limit:
        start = to_utc(following)
        middle = start + (end - start) / 2
        later = after(middle)
        if later is not None and later <= limit:
            last = later
        else:
            last, end = following, middle
        following = after(last)
    return last
