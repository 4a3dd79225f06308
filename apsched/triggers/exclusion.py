"""Say when a trigger must not fire: `exclude=` (layer 1).

Rule 1: an exclusion consists of values that can be stored; functions are kept by reference.
Rule 2: the work of looking for a time that is allowed is bounded; whole days are left in one step.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from apsched import _refs
from apsched._timezones import UTC, at_wall_time
from apsched.triggers._settings import EPOCH, MICROSECOND, trigger_from_state, trigger_to_state
from apsched.triggers.base import BaseTrigger

logger: logging.Logger = logging.getLogger(__name__)

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
TRY_LIMIT: Final = 100_000  # excluded times that are passed over; a day of a trigger that fires every second
_FORMS: Final = (
    "a date, an ISO date text, a weekday such as 'sat', a trigger, a function or its reference 'module:function', "
    "or a list of these"
)


class Exclusion:
    """
    Times at which a trigger must not fire.

    Built by `Exclusion.of` from what users pass as `exclude=`:

    * a `date`, or text such as `"2026-12-25"`: that day, from midnight to midnight on the trigger's clock;
    * a weekday such as `"sat"` or `"saturday"`: these days;
    * a trigger: every instant at which that trigger fires, not the day around it;
    * a function of a module, or its reference `"module:function"`: called with the fire time, aware and in the
      trigger's zone; a true answer excludes it. It is stored by reference and must be pure;
    * a list, tuple or set of these: whatever one of them excludes.
    """

    __slots__ = ("_callables", "_dates", "_triggers", "_weekdays", "state")

    state: list[Any]
    """JSON values from which `from_state` builds an equal exclusion."""

    def __init__(self, state: list[Any]) -> None:
        self.state = sorted(state, key=_order)
        self._weekdays = frozenset(WEEKDAYS.index(value) for kind, value in state if kind == "weekday")
        self._dates = frozenset(date.fromisoformat(value) for kind, value in state if kind == "date")
        self._triggers = tuple(trigger_from_state(value) for kind, value in self.state if kind == "trigger")
        self._callables = tuple(value for kind, value in self.state if kind == "callable")

    @classmethod
    def of(cls, value: object) -> Exclusion | None:
        """
        Return the exclusion that *value* says; None if it excludes nothing.

        Raises:
            TypeError: The value is of none of the kinds above.
            ValueError: The text is none of the forms above; or a function has no importable name; or a trigger takes
                its start from the time when a job is added.
            LookupError: A reference leads to nothing.
        """
        if value is None or isinstance(value, Exclusion):
            return value
        entries = _entries(value)
        return cls([entry for index, entry in enumerate(entries) if entry not in entries[:index]]) if entries else None

    @classmethod
    def from_state(cls, state: list[Any] | None) -> Exclusion | None:
        """Build the exclusion whose `state` this is; None for None."""
        return None if state is None else cls(state)

    def excludes(self, moment: datetime) -> bool:
        """
        Tell whether a trigger must not fire at *moment*.

        Args:
            moment: Aware; its own zone decides about the day.

        Raises:
            LookupError: The function of a reference is not found.
        """
        return (
            self._excludes_day(moment)
            or any(_fires_at(trigger, moment.astimezone(UTC)) for trigger in self._triggers)
            or any(_refs.resolve(ref)(moment) for ref in self._callables)
        )

    def _excludes_day(self, moment: datetime) -> bool:
        return moment.weekday() in self._weekdays or (bool(self._dates) and moment.date() in self._dates)

    def next_allowed(
        self,
        next_fire: Callable[[datetime | None, datetime], datetime | None],
        previous: datetime | None,
        now: datetime,
    ) -> datetime | None:
        """
        Return the first fire time that is not excluded.

        Args:
            next_fire: `get_next_fire_time` without the exclusion. Asked with previous time None, too, so what it
                answers then must be on the same grid.
            previous: As in `get_next_fire_time`.
            now: As in `get_next_fire_time`.

        Returns:
            None if there is none; also, with a warning in the log, if the next 100,000 fire times (days, where
            whole days are excluded) are all excluded.
        """
        candidate = next_fire(previous, now)
        for _ in range(TRY_LIMIT):
            if candidate is None or not self.excludes(candidate):
                return candidate
            if not self._excludes_day(candidate):
                candidate = next_fire(candidate, now)
            elif (midnight := _midnight(candidate, days=1)) is not None:
                candidate = next_fire(None, midnight)
            else:
                return None
        self._give_up(candidate)
        return None

    def last_allowed(
        self,
        last_fire: Callable[[datetime, datetime], datetime | None],
        previous: datetime,
        until: datetime,
    ) -> datetime | None:
        """
        Return the last fire time after *previous* and not after *until* that is not excluded.

        Args:
            last_fire: `get_last_fire_time` without the exclusion.
            previous: As in `get_last_fire_time`.
            until: As in `get_last_fire_time`.

        Returns:
            None if there is none; also, with a warning in the log, if the last 100,000 are all excluded.
        """
        candidate = last_fire(previous, until)
        for _ in range(TRY_LIMIT):
            if candidate is None or not self.excludes(candidate):
                return candidate
            before = _midnight(candidate, days=0) if self._excludes_day(candidate) else candidate
            if before is None or (before := before.astimezone(UTC) - MICROSECOND) <= previous:
                return None
            candidate = last_fire(previous, before)
        self._give_up(candidate)
        return None

    def _give_up(self, candidate: datetime | None) -> None:
        logger.warning(
            "%d fire times in a row, the last one %s, are excluded by %r; the trigger is taken to have no more",
            TRY_LIMIT,
            candidate,
            self,
        )

    def __eq__(self, other: object) -> bool:
        return self.state == other.state if isinstance(other, Exclusion) else NotImplemented

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        plain = [value for kind, value in self.state if kind != "trigger"]
        return repr([*plain, *self._triggers])


def _fires_at(trigger: BaseTrigger, moment: datetime) -> bool:
    found = trigger.get_next_fire_time(None, moment)
    return found is not None and found.astimezone(UTC) == moment  # in one zone: others are never equal in a fold


def _order(entry: list[Any]) -> str:
    return json.dumps(entry, sort_keys=True, default=repr)  # triggers of your own may have a state that is no JSON


def _entries(value: object) -> list[list[Any]]:
    match value:
        case list() | tuple() | set() | frozenset():
            return [entry for member in value for entry in _entries(member)]
        case str():
            return [_entry_of_text(value)]
        case BaseTrigger():
            return [["trigger", _state_of_trigger(value)]]
        case date() if not isinstance(value, datetime):
            return [["date", value.isoformat()]]
        case _ if callable(value):
            ref = _refs.ref_of(value)
            if ref is None:
                raise ValueError(
                    f"a function in exclude must have an importable name, got {value!r}; define it at module level"
                )
            return [["callable", ref]]
        case _:
            raise TypeError(f"exclude must be {_FORMS}, got {value!r}; pass one of these")


def _entry_of_text(text: str) -> list[Any]:
    lower = text.strip().lower()
    for name in WEEKDAYS:
        if lower in (name, name[:3]):
            return ["weekday", name]
    if ":" in text:
        if not callable(found := _refs.resolve(text)):
            raise ValueError(f"a reference in exclude must lead to a function, got {text!r}, which is {found!r}")
        return ["callable", text]
    try:
        return ["date", date.fromisoformat(text.strip()).isoformat()]
    except ValueError:
        raise ValueError(f"exclude must be {_FORMS}, got {text!r}; correct it") from None


def _state_of_trigger(trigger: BaseTrigger) -> list[Any]:
    if trigger.anchored(EPOCH) != trigger:
        raise ValueError(f"a trigger in exclude must have a start of its own, got {trigger!r}; give it a start_date")
    return trigger_to_state(trigger)


def _midnight(moment: datetime, days: int) -> datetime | None:
    """Return the begin of the day of *moment*, so many *days* later; None behind the end of the calendar."""
    try:
        day = moment.date() + timedelta(days=days)
    except OverflowError:
        return None
    return None if moment.tzinfo is None else at_wall_time(datetime.combine(day, time.min), moment.tzinfo)
