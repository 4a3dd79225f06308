"""Tell what becomes of a schedule when clocks change (layer 1)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo

import attrs

from apsched.triggers.base import BaseTrigger
from apsched.triggers.cron import CronTrigger, Field
from apsched.triggers.interval import IntervalTrigger

AHEAD = timedelta(days=370)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
NAMED = 3  # local times that a remark names at most


@attrs.frozen
class Change:
    """
    A change of what clocks show.

    Attributes:
        at: The first instant after it, in its zone.
        shift: By how much clocks are put on (or back, if negative).
    """

    at: datetime
    shift: timedelta

    @property
    def begin(self) -> datetime:
        """The first local time that is skipped, or shown twice; naive."""
        wall = self.at.replace(tzinfo=None)
        return wall - self.shift if self.shift > timedelta(0) else wall

    @property
    def end(self) -> datetime:
        """The local time at which that is over; naive."""
        return self.begin + abs(self.shift)


def changes(zone: tzinfo, begin: datetime) -> Iterator[Change]:
    """Yield the changes of clocks in *zone* within a year from *begin*, which is aware, on."""
    moment = begin.astimezone(UTC).replace(microsecond=0)
    end = moment + AHEAD
    while moment < end:
        following = moment + DAY
        before, after = _offset(moment, zone), _offset(following, zone)
        if before != after:
            low, high = moment, following
            while high - low > SECOND:
                middle = (low + (high - low) / 2).replace(microsecond=0)
                low, high = (middle, high) if _offset(middle, zone) == before else (low, middle)
            yield Change(high.astimezone(zone), after - before)
        moment = following


def _offset(moment: datetime, zone: tzinfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def remarks(trigger: BaseTrigger, begin: datetime, zone: tzinfo) -> list[str]:
    """
    Return a sentence for each change of clocks within a year that *trigger* meets.

    Args:
        trigger: The trigger.
        begin: From when on, aware.
        zone: Its zone.
    """
    if isinstance(trigger, CronTrigger):
        return [text for change in changes(zone, begin) for text in [_of_cron(trigger, change)] if text]
    if isinstance(trigger, IntervalTrigger) and trigger.interval >= timedelta(hours=12):
        change = next(changes(zone, begin), None)
        if change is not None:
            day = f"{change.at:%Y-%m-%d}"
            return [f"Clocks change on {day}: from then on it comes at another local time, since intervals are exact."]
    return []


def _of_cron(trigger: CronTrigger, change: Change) -> str | None:
    """Return what becomes of the local times that this change skips or shows twice; None if there are none."""
    walls = _walls(trigger, change)
    if not walls:
        return None
    named = ", ".join(f"{wall:%H:%M}" + (f":{wall:%S}" if wall.second else "") for wall in walls[:NAMED])
    what = named + (" and others" if len(walls) > NAMED else "")
    if change.shift > timedelta(0):
        first = trigger.get_next_fire_time(None, change.at)
        moved = first == change.at and trigger.on_gap == "next" and not _hour(trigger).is_open
        fate = f"it comes at {change.at:%H:%M} instead" if moved else "it does not come then"
        return f"On {change.at:%Y-%m-%d} clocks skip {what}: {fate}."
    fate = "both times" if _hour(trigger).is_open or trigger.on_fold == "both" else "the first time only"
    return f"On {change.at:%Y-%m-%d} clocks show {what} twice: it comes {fate}."


def _hour(trigger: CronTrigger) -> Field:
    return next(field for field in trigger.fields if field.name == "hour")


def _walls(trigger: CronTrigger, change: Change) -> list[datetime]:
    """Return the first local times of *trigger* that the change skips or shows twice, naive."""
    state = {**trigger.__getstate__(), "timezone": "UTC", "start_date": None, "end_date": None, "exclude": None}
    plain = CronTrigger.from_state(state)
    walls: list[datetime] = []
    moment = plain.get_next_fire_time(None, change.begin.replace(tzinfo=UTC))
    while moment is not None and moment < change.end.replace(tzinfo=UTC) and len(walls) <= NAMED:
        walls.append(moment.replace(tzinfo=None))
        moment = plain.get_next_fire_time(moment, moment)
    return walls
