"""A virtual clock for programs that are not asynchronous (layer 10)."""

from __future__ import annotations

from datetime import datetime, timedelta

from apsched.schedulers.base import BaseScheduler
from apsched.testing.clock import VirtualClock


class BlockingClock:
    """
    Lets time pass for a `BackgroundScheduler` on a virtual clock, and returns when all is done that is due by then.

        scheduler = BackgroundScheduler(clock=VirtualClock(), timezone="UTC")
        scheduler.start()
        BlockingClock(scheduler).advance(hours=1)
        scheduler.shutdown(wait=False)

    A job that waits for time does so by `await clock.sleep(seconds)` of the virtual clock, in a coroutine function.

    Args:
        scheduler: The scheduler; its methods here may be called while it runs, from any thread but its own.

    Attributes:
        virtual: The virtual clock of the scheduler.

    Raises:
        TypeError: The clock of *scheduler* is no `VirtualClock`.
    """

    def __init__(self, scheduler: BaseScheduler) -> None:
        clock = scheduler._core.clock
        if not isinstance(clock, VirtualClock):
            raise TypeError(f"the clock of the scheduler must be a VirtualClock, got {clock!r}; pass clock= to it")
        self.virtual: VirtualClock = clock
        self._portal = scheduler._portal

    def now(self) -> datetime:
        """Return the virtual time, aware, in UTC."""
        return self.virtual.now()

    def advance(self, seconds: float | timedelta = 0, *, minutes: float = 0, hours: float = 0, days: float = 0) -> None:
        """
        Let time pass.

        Args:
            seconds: How much, 0 or more; or a `timedelta`. The other arguments are added.
            minutes: Minutes to add.
            hours: Hours to add.
            days: Days to add, of 24 hours.

        Raises:
            SchedulerNotRunningError: The scheduler is not running.
            ValueError: That is less than nothing.
            TimeoutError: At some instant there was work left after 30 s of real time.
        """
        self._portal.call(self.virtual.advance, seconds, minutes=minutes, hours=hours, days=days)

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back by *seconds*, while no time passes; the scheduler runs."""
        self._portal.call(self.virtual.jump, seconds)

    def run_until_idle(self) -> None:
        """Return when nothing is left to do at this instant; the scheduler runs."""
        self._portal.call(self.virtual.run_until_idle)
