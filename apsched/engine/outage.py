"""Count failures in a row, and tell of the first and of their end (layer 6)."""

from __future__ import annotations

from apsched.engine.bus import Bus
from apsched.events import EVENT_JOBSTORE_FAILED, EVENT_JOBSTORE_RECOVERED, SchedulerEvent


class Outage:
    """
    How one kind of work with a store fares.

    Args:
        bus: Gets the events.
        alias: That of the store.

    Attributes:
        failures: How many tries in a row have failed.
        last_error: What the last failure was, of this outage or an earlier one.
    """

    def __init__(self, bus: Bus, alias: str) -> None:
        self._bus = bus
        self._alias = alias
        self.failures: int = 0
        self.last_error: str | None = None

    def note_failure(self, exc: Exception) -> None:
        """Note that a try has failed."""
        self.last_error = f"{type(exc).__name__}: {exc}"
        if not self.failures:
            self._bus.publish(SchedulerEvent(EVENT_JOBSTORE_FAILED, self._alias, detail=self.last_error))
        self.failures += 1

    def note_success(self) -> None:
        """Note that a try has not failed."""
        if self.failures:
            self.failures = 0
            self._bus.publish(SchedulerEvent(EVENT_JOBSTORE_RECOVERED, self._alias))
