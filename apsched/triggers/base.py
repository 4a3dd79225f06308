"""Say what a trigger is (layer 1).

Rule 1: a trigger is a pure function of its own settings, the previous fire time and *now*; it keeps no state between
calls, reads no clock and draws no random number.
Rule 2: fire times of one trigger, in the order in which they come, strictly increase in UTC.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta
from typing import Any, Self

STEP_LIMIT = 1000  # fire times that the default implementations below walk through before they give up


class BaseTrigger(ABC):
    """
    Computes fire times; the base of the built-in triggers and of your own.

    A subclass must implement `get_next_fire_time`. The other methods have defaults that are correct for any trigger;
    override them where the answer can be computed instead of walked to.

    Attributes:
        jitter: Upper bound, in seconds, of the delay that the scheduler adds to each nominal time; None for none. The
            trigger itself never applies it.
    """

    __slots__ = ("__weakref__",)

    jitter: float | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Let a class that says other times than its base not count and look back by the rules of the base."""
        super().__init_subclass__(**kwargs)
        if "get_next_fire_time" in vars(cls):
            for name in ("get_last_fire_time", "count_fire_times"):
                if name not in vars(cls):
                    setattr(cls, name, vars(BaseTrigger)[name])

    @abstractmethod
    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """
        Return the next time to fire.

        Args:
            previous_fire_time: The nominal time that this trigger returned last, aware; None if it has not fired yet.
                The answer is later than it.
            now: The current time, aware. Decides only where *previous_fire_time* is None: the answer is then the first
                fire time at or after it.

        Returns:
            An aware datetime, or None if the trigger will not fire any more.
        """

    def get_last_fire_time(self, previous_fire_time: datetime, until: datetime) -> datetime | None:
        """
        Return the latest fire time after *previous_fire_time* and not after *until*.

        This is what makes catching up cheap: the scheduler asks it once, however many fire times were missed.

        Args:
            previous_fire_time: A fire time of this trigger, aware.
            until: Aware; included.

        Returns:
            The fire time, or None if there is none in that range. This default walks through at most
            1,000 fire times and then returns the one it has reached; a trigger that may be further behind overrides it.
        """
        last = None
        for _ in range(STEP_LIMIT):
            following = self.get_next_fire_time(previous_fire_time, until)
            if following is None or following.astimezone(UTC) > until.astimezone(UTC):
                break
            last = previous_fire_time = following
        return last

    def count_fire_times(self, first: datetime, last: datetime, limit: int = STEP_LIMIT) -> int | None:
        """
        Count the fire times from *first* to *last*.

        Args:
            first: A fire time of this trigger, aware; counted.
            last: A fire time of this trigger, not before *first*; counted.
            limit: Stop counting here.

        Returns:
            At least 1; None if there are more than *limit*.
        """
        count = 1
        last = last.astimezone(UTC)  # within one zone `<` compares what clocks show, which go back at the end of DST
        while first.astimezone(UTC) < last:
            following = self.get_next_fire_time(first, last)
            if following is None or following.astimezone(UTC) > last:
                break
            first = following
            count += 1
            if count > limit:
                return None
        return count

    def anchored(self, now: datetime) -> BaseTrigger:
        """
        Return this trigger with the start that it takes if none was given.

        The scheduler calls it once, when a job is added or rescheduled, so that the schedule has a fixed grid from
        then on.

        Args:
            now: The current time, aware.
        """
        return self

    def is_same_schedule(self, other: BaseTrigger) -> bool:
        """Tell whether *other* says the same, starts that were not given (see `anchored`) left aside."""
        return self == other

    def _apply_jitter(self, next_fire_time: datetime | None, jitter: float | None, now: datetime) -> datetime | None:
        """
        Delay a fire time at random, as triggers written for APScheduler 3 ask for.

        The scheduler itself adds the delay that the attribute `jitter` asks for, so that one is left out here. Any
        other is derived from the fire time: asked again, a trigger gives the same answer.

        Args:
            next_fire_time: Without the delay; None stays None.
            jitter: Upper bound of the delay in seconds; None or 0 for none.
            now: Has no effect.
        """
        if next_fire_time is None or not jitter or jitter == self.jitter:
            return next_fire_time
        digest = hashlib.blake2b(next_fire_time.astimezone(UTC).isoformat().encode(), digest_size=8).digest()
        delay = timedelta(seconds=jitter) * (int.from_bytes(digest, "big") / 2**64)
        return (next_fire_time.astimezone(UTC) + delay).astimezone(next_fire_time.tzinfo)

    def __getstate__(self) -> dict[str, Any]:
        """Return the settings: plain JSON values in the built-in triggers, all attributes in this default."""
        state = object.__getstate__(self)
        if isinstance(state, tuple):  # (instance dictionary or None, slots)
            attributes, slots = state
            return {**(attributes or {}), **slots}
        return dict(state) if isinstance(state, dict) else {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the settings that `__getstate__` returned."""
        for name, value in state.items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """Build the trigger from what `__getstate__` returned."""
        trigger = cls.__new__(cls)
        trigger.__setstate__(state)
        return trigger

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.__getstate__() == other.__getstate__()

    def __hash__(self) -> int:
        return hash((type(self), str(self)))
