"""Read time; the only module that does (layer 0)."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime

from anyio.lowlevel import checkpoint

from apsched import _eventloop


class Wakeup:
    """
    Ends the wait of one loop.

    Armed before the loop looks at what there is to do and set whenever that changes, so that no change between looking
    and sleeping is lost. Used in the thread of the event loop.
    """

    __slots__ = ("_is_set", "_waiter")

    def __init__(self) -> None:
        self._is_set = False
        self._waiter: _eventloop.Waiter[bool] | None = None

    @property
    def is_set(self) -> bool:
        """Whether it was set since it was armed."""
        return self._is_set

    def arm(self) -> None:
        """Forget earlier calls of `set`."""
        self._is_set = False

    def set(self) -> None:
        """End the wait, or the next one if there is none now."""
        if not self._is_set:
            self._is_set = True
            if self._waiter is not None:
                self._waiter.set(True)

    def expire(self) -> None:
        """End the wait as if its time had come."""
        if self._waiter is not None:
            self._waiter.set(False)

    async def wait(self, loop: _eventloop.EventLoop, seconds: float | None) -> bool:
        """Return True as soon as it is set, False after *seconds* (None: never)."""
        if self._is_set:
            return True
        self._waiter = loop.waiter()
        try:
            return await self._waiter.wait_for(seconds, False)
        finally:
            self._waiter = None


class Clock(ABC):
    """
    Tells the time and waits for it.

    The engine gets all time from one clock, so that a virtual one (`apsched.testing.VirtualClock`) can stand for it. So
    that such a clock knows when there is nothing left to do at one instant, whoever works says so: between `work_began`
    and `work_ended`, except while it is inside `wait`.

    Attributes:
        is_real: Whether time passes by itself, and may be moved by somebody else.
    """

    is_real: bool = True

    @abstractmethod
    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""

    @abstractmethod
    def monotonic(self) -> float:
        """Return seconds from an arbitrary point; never goes back, whatever is done to the wall clock."""

    @abstractmethod
    async def wait(self, wakeup: Wakeup, until: datetime | None) -> bool:
        """
        Sleep until *wakeup* is set or *until* has come.

        Args:
            wakeup: Set by whoever has news for the waiting loop.
            until: Aware; None waits for *wakeup* alone.

        Returns:
            True if *wakeup* was set, False if it is time.
        """

    def work_began(self) -> None:
        """Note that a piece of work has begun; to be called in the thread of the event loop."""

    def work_ended(self) -> None:
        """Note that a piece of work is over; to be called in the thread of the event loop."""

    @contextmanager
    def at_work(self) -> Generator[None]:
        """Let what is done inside count as a piece of work."""
        self.work_began()
        try:
            yield
        finally:
            self.work_ended()


class SystemClock(Clock):
    """The time of this machine. Lateness of a wait: what the event loop's timer takes, about a millisecond."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def wait(self, wakeup: Wakeup, until: datetime | None) -> bool:
        seconds = None if until is None else (until - datetime.now(UTC)).total_seconds()
        if seconds is not None and seconds <= 0:
            await checkpoint()  # whoever waits lets others in
            return wakeup.is_set
        return await wakeup.wait(_eventloop.current(), seconds)
