"""Count which executors are free to take how many runs (layer 6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apsched.engine.health import ExecutorHealth
from apsched.executors.base import Executor

AHEAD = 0.01  # seconds of work that may be claimed before a slot is free, so that no worker idles between two looks
AHEAD_LIMIT = 1000  # runs, at most, that are claimed ahead
SMOOTHING = 0.2  # weight of the newest run in the mean duration


class Slot:
    """How far one executor is in use."""

    __slots__ = ("executor", "in_use", "is_full", "mean_duration", "stuck")

    def __init__(self, executor: Executor) -> None:
        self.executor: Executor = executor
        self.in_use: int = 0
        self.stuck: int = 0  # tasks that were given up and have not ended; they use no slot
        self.mean_duration: float = 1.0  # seconds; nothing is claimed ahead until runs have shown that they are short
        self.is_full: bool = False  # whether somebody was told that nothing is free

    @property
    def ahead(self) -> int:
        """How many runs may be claimed beyond those that can start at once."""
        return min(AHEAD_LIMIT, int(self.executor.capacity * AHEAD / (self.mean_duration + 1e-6)))

    @property
    def free(self) -> int:
        """How many runs may be claimed now, 0 or more."""
        free = max(0, self.executor.capacity + self.ahead - self.in_use)
        self.is_full = self.is_full or not free
        return free

    @property
    def has_room(self) -> bool:
        """Whether it is worth while to claim again: of short runs not one alone."""
        ahead = self.ahead
        return self.executor.capacity + ahead - self.in_use > ahead // 2


class Slots:
    """
    The executors of a scheduler and how many runs each may take.

    Args:
        on_freed: Called when an executor that had no slot left has one again.
    """

    def __init__(self, on_freed: Callable[[], None]) -> None:
        self._slots: dict[str, Slot] = {}
        self._on_freed = on_freed

    def add(self, alias: str, executor: Executor) -> None:
        """Let runs be claimed for *executor*."""
        self._slots[alias] = Slot(executor)

    def remove(self, alias: str) -> None:
        """Let no more runs be claimed for the executor of that alias."""
        del self._slots[alias]

    def __contains__(self, alias: object) -> bool:
        return alias in self._slots

    def free(self, limit: int) -> dict[str, int]:
        """Return alias -> how many runs may be claimed now, from 0 to *limit*."""
        return {alias: min(limit, slot.free) for alias, slot in self._slots.items()}

    def health(self) -> dict[str, ExecutorHealth]:
        """Return alias -> how that executor is in use; may be called from any thread."""
        return {
            alias: ExecutorHealth(
                capacity=slot.executor.capacity, in_use=slot.in_use, stuck=slot.stuck + slot.executor.stuck
            )
            for alias, slot in self._slots.copy().items()
        }

    def check(self, alias: str, func: Callable[..., Any]) -> None:
        """Raise ValueError if the executor of that alias can never call *func*."""
        self._slots[alias].executor.check(func)

    def in_use(self) -> dict[str, int]:
        """Return alias -> how many runs are claimed and not finished."""
        return {alias: slot.in_use for alias, slot in self._slots.items()}

    def take(self, alias: str) -> Slot | None:
        """Use up a slot; None if there is no such executor (any more)."""
        slot = self._slots.get(alias)
        if slot is not None:
            slot.in_use += 1
        return slot

    def give_back(self, slot: Slot, duration: float | None) -> None:
        """Free *slot* after a run of *duration* seconds; None where that does not matter."""
        slot.in_use -= 1
        if duration is not None:
            slot.mean_duration += SMOOTHING * (duration - slot.mean_duration)
        if slot.is_full and slot.has_room:
            slot.is_full = False
            self._on_freed()
