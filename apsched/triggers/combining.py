"""Combine triggers: fire when all do, or when any does (layer 1).

Rule 1: a member is never told a fire time that another member said; it is asked for its first one from an instant on.
Rule 2: every search is bounded, and says so in the log when it gives up.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final, Self

from apsched._timezones import UTC
from apsched.triggers._settings import (
    MICROSECOND,
    VERSION,
    check_aware,
    check_jitter,
    check_version,
    deciding,
    trigger_from_state,
    trigger_to_state,
)
from apsched.triggers.after import After
from apsched.triggers.base import STEP_LIMIT, BaseTrigger
from apsched.triggers.exclusion import Exclusion
from apsched.triggers.interval import IntervalTrigger

logger: logging.Logger = logging.getLogger(__name__)

SEARCH_LIMIT: Final = 20_000  # questions to members in one search for a common fire time: a fraction of a second


class BaseCombiningTrigger(BaseTrigger):
    """
    What `AndTrigger` and `OrTrigger` share.

    Attributes:
        triggers: The members, in the order in which they were given. Their own `jitter` has no effect.
    """

    __slots__ = ("exclude", "jitter", "triggers")

    triggers: tuple[BaseTrigger, ...]

    def __init__(self, triggers: Iterable[BaseTrigger], jitter: float | None = None, *, exclude: object = None) -> None:
        self._take(tuple(triggers))
        self.jitter = check_jitter(jitter)
        self.exclude = Exclusion.of(exclude)

    def _take(self, triggers: tuple[BaseTrigger, ...]) -> None:
        for trigger in triggers:
            if not isinstance(trigger, BaseTrigger):
                raise TypeError(f"triggers must be a list of triggers, got {trigger!r} in it; pass trigger objects")
            if isinstance(trigger, After):
                raise TypeError(f"triggers must be triggers that have times, got {trigger!r}; give it a job of its own")
        if not triggers:
            raise ValueError(f"triggers must be a list of at least one trigger, got {list(triggers)!r}; add one")
        self.triggers = triggers

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        whole = self.anchored(deciding(previous_fire_time, now))
        if self.exclude is not None:
            return self.exclude.next_allowed(whole._next, previous_fire_time, now)
        return whole._next(previous_fire_time, now)

    def _next(self, previous: datetime | None, now: datetime) -> datetime | None:
        return self._first_from(_instant(now) if previous is None else _instant(previous) + MICROSECOND)

    @abstractmethod
    def _first_from(self, moment: datetime) -> datetime | None:
        """Return the first fire time at or after *moment*, which is in UTC."""

    def get_last_fire_time(self, previous_fire_time: datetime, until: datetime) -> datetime | None:
        check_aware(previous_fire_time, "previous_fire_time")
        check_aware(until, "until")
        whole = self.anchored(previous_fire_time)
        if self.exclude is not None:
            return self.exclude.last_allowed(whole._last, previous_fire_time, until)
        return whole._last(previous_fire_time, until)

    @abstractmethod
    def _last(self, previous: datetime, until: datetime) -> datetime | None:
        """Return the last fire time after *previous* and not after *until*, whatever `exclude` says."""

    def count_fire_times(self, first: datetime, last: datetime, limit: int = STEP_LIMIT) -> int | None:
        return super().count_fire_times(_instant(first), _instant(last), limit)

    def anchored(self, now: datetime) -> Self:
        members = tuple(trigger.anchored(now) for trigger in self.triggers)
        if all(member is trigger for member, trigger in zip(members, self.triggers, strict=True)):
            return self
        return type(self)(members, self.jitter, exclude=self.exclude)

    def is_same_schedule(self, other: BaseTrigger) -> bool:
        return (
            isinstance(other, BaseCombiningTrigger)
            and type(other) is type(self)
            and (self.jitter, self.exclude) == (other.jitter, other.exclude)
            and len(self.triggers) == len(other.triggers)
            and all(mine.is_same_schedule(its) for mine, its in zip(self.triggers, other.triggers, strict=True))
        )

    def __getstate__(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "triggers": [trigger_to_state(trigger) for trigger in self.triggers],
            "jitter": self.jitter,
            "exclude": self.exclude and self.exclude.state,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        check_version(state, self)
        self._take(tuple(trigger_from_state(stored) for stored in state["triggers"]))
        self.jitter = state["jitter"]
        self.exclude = Exclusion.from_state(state["exclude"])

    def __repr__(self) -> str:
        jitter = f", jitter={self.jitter}" if self.jitter else ""
        exclude = "" if self.exclude is None else f", exclude={self.exclude!r}"
        return f"<{type(self).__name__}({list(self.triggers)}{jitter}{exclude})>"


class OrTrigger(BaseCombiningTrigger):
    """
    Fires whenever one of its members does; once, where several do at the same instant.

    It has no more fire times when all members have none.

    Args:
        triggers: The members, at least one.
        jitter: Upper bound, in seconds, of the delay that the scheduler adds to each time.
        exclude: Times at which not to fire; see `Exclusion`.

    Raises:
        ValueError: The list is empty.
        TypeError: Something in it is no trigger.
    """

    __slots__ = ()

    def _next(self, previous: datetime | None, now: datetime) -> datetime | None:
        if previous is None:
            return self._first_from(_instant(now))
        return _earliest(_first_after(trigger, _instant(previous)) for trigger in self.triggers)

    def _first_from(self, moment: datetime) -> datetime | None:
        return _earliest(_first_from(trigger, moment) for trigger in self.triggers)

    def _last(self, previous: datetime, until: datetime) -> datetime | None:
        found = (trigger.get_last_fire_time(previous, until) for trigger in self.triggers)
        return max((time for time in found if time is not None), key=_instant, default=None)

    def __str__(self) -> str:
        return f"or[{', '.join(map(str, self.triggers))}]"


class AndTrigger(BaseCombiningTrigger):
    """
    Fires at the instants at which all its members do.

    It has no more fire times when one member has none. Interval members are combined exactly, so that grids that never
    meet are known to; among other members, a search that has asked 20,000 questions ends with a warning in the log, and
    the trigger is taken to have no more fire times.

    Args:
        triggers: The members, at least one.
        jitter: Upper bound, in seconds, of the delay that the scheduler adds to each time.
        exclude: Times at which not to fire; see `Exclusion`.

    Raises:
        ValueError: The list is empty.
        TypeError: Something in it is no trigger.
    """

    __slots__ = ("_meeting",)

    _meeting: tuple[BaseTrigger, ...] | None
    """The members, the grids of intervals made one; None if these never meet."""

    def _take(self, triggers: tuple[BaseTrigger, ...]) -> None:
        super()._take(triggers)
        self._meeting = _meet(triggers)

    def _first_from(self, moment: datetime) -> datetime | None:
        return self._agree(_first_from, moment)

    def _last(self, previous: datetime, until: datetime) -> datetime | None:
        return self._agree(lambda trigger, moment: trigger.get_last_fire_time(previous, moment), _instant(until))

    def _agree(self, ask: Callable[[BaseTrigger, datetime], datetime | None], candidate: datetime) -> datetime | None:
        """Ask the members in turn, each about the answer of the one before, until all give the same."""
        if self._meeting is None:
            return None
        first_answer = candidate
        agreed = 0
        for asked in range(SEARCH_LIMIT):
            answer = ask(self._meeting[asked % len(self._meeting)], candidate)
            if answer is None:
                return None
            instant = _instant(answer)
            agreed = agreed + 1 if instant == candidate else 1
            candidate = instant
            if asked % len(self._meeting) == 0:
                first_answer = answer  # decides about the zone
            if agreed == len(self._meeting):
                return first_answer
        logger.warning(
            "%s: no common fire time was found up to %s in %d steps; the trigger is taken to have no more",
            self,
            candidate,
            SEARCH_LIMIT,
        )
        return None

    def __str__(self) -> str:
        return f"and[{', '.join(map(str, self.triggers))}]"


def _instant(moment: datetime) -> datetime:
    return moment.astimezone(UTC)  # times of one zone compare by what clocks show, which is wrong in a fold


def _first_from(trigger: BaseTrigger, moment: datetime) -> datetime | None:
    found = trigger.get_next_fire_time(None, moment)
    if found is None or found >= moment:
        return found
    # A date answers with its time even when that has passed.
    found = trigger.get_next_fire_time(moment - MICROSECOND, moment)
    return None if found is None or found < moment else found


def _first_after(trigger: BaseTrigger, previous: datetime) -> datetime | None:
    """
    Return the first fire time of *trigger* after *previous*, which is in UTC.

    A trigger whose answer moves with the time that it is asked about has no times of its own: it counts from its
    previous one, as triggers written for APScheduler 3 may do, and is told that of the whole.
    """
    moment = previous + MICROSECOND
    found = _first_from(trigger, moment)
    if found is None or not found.microsecond:  # times of their own are mostly whole seconds
        return found
    if trigger.get_next_fire_time(None, moment + MICROSECOND) == found + MICROSECOND:
        return trigger.get_next_fire_time(previous, moment)
    return found


def _earliest(moments: Iterable[datetime | None]) -> datetime | None:
    return min((moment for moment in moments if moment is not None), key=_instant, default=None)


def _meet(triggers: tuple[BaseTrigger, ...]) -> tuple[BaseTrigger, ...] | None:
    grid: IntervalTrigger | None = None
    position = 0
    meeting: list[BaseTrigger] = []
    for trigger in triggers:
        if type(trigger) is not IntervalTrigger or trigger.start_date is None or trigger.exclude is not None:
            meeting.append(trigger)
        elif grid is None:
            grid, position = trigger, len(meeting)
            meeting.append(trigger)
        else:
            common = grid.meet(trigger)
            if common is None:
                return None
            meeting[position], grid = common, common
    return tuple(meeting)
