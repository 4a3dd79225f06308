"""Let time pass by hand (layer 10)."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import anyio
from anyio.lowlevel import checkpoint

from apsched import _eventloop
from apsched.clock import Clock, Wakeup

START = datetime(2026, 1, 1, tzinfo=UTC)
PATIENCE = 30.0  # seconds of real time that one instant of virtual time may take
SPINS = 200  # passes through the event loop before real time is waited for, which threads and processes need


class _Sleeper:
    """Somebody who waits for this clock."""

    __slots__ = ("deadline", "is_expired", "wakeup")

    def __init__(self, wakeup: Wakeup, deadline: timedelta | None) -> None:
        self.wakeup = wakeup
        self.deadline = deadline  # how much time will have passed by then
        self.is_expired = False

    @property
    def is_asleep(self) -> bool:
        return not self.is_expired and not self.wakeup.is_set


class VirtualClock(Clock):
    """
    A clock that stands still until `advance` is called; hours pass in milliseconds.

    `advance` goes from one deadline to the next and lets everything that is due at an instant happen before it goes on:
    looks at the stores, runs, history and listeners. It knows that all is done by what the engine tells it
    (`Clock.work_began`), not by waiting for a while, so the same test takes the same course every time (on trio, which
    shuffles its tasks, but for the order within one instant).

    A run counts as work until it ends. A job that waits for time does so by `await clock.sleep(seconds)`; one that
    waits for something else that the test will do later says so by `with clock.parked():`. Otherwise `advance` waits
    for it in real time and fails after 10 seconds. Leaving a scheduler on this clock cancels what is under way.

    Args:
        start: The first instant, aware.
    """

    is_real = False

    def __init__(self, start: datetime = START) -> None:
        if start.tzinfo is None:
            raise ValueError(f"start must be an aware datetime, got {start!r}; give it a tzinfo")
        self._now = start.astimezone(UTC)
        self._passed = timedelta()  # exact, so that deadlines meet; the wall clock may be moved beside it
        self._sleepers: list[_Sleeper] = []
        self._at_work = 0
        self._lock = threading.Lock()  # threads park too

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._passed.total_seconds()

    def work_began(self) -> None:
        with self._lock:
            self._at_work += 1

    def work_ended(self) -> None:
        with self._lock:
            self._at_work -= 1

    async def wait(self, wakeup: Wakeup, until: datetime | None) -> bool:
        if wakeup.is_set:
            return True
        if until is not None and until <= self._now:
            return False
        deadline = None if until is None else self._passed + (until - self._now)
        sleeper = _Sleeper(wakeup, deadline)
        self._sleepers.append(sleeper)
        try:
            with self.parked():
                return await wakeup.wait(_eventloop.current(), None)
        finally:
            self._sleepers.remove(sleeper)

    async def sleep(self, seconds: float) -> None:
        """Wait for virtual time to pass, however the wall clock is moved meanwhile; for the callables of jobs."""
        end = self._passed + timedelta(seconds=seconds)
        await checkpoint()
        while self._passed < end:
            await self.wait(Wakeup(), self._now + (end - self._passed))

    @contextmanager
    def parked(self) -> Generator[None]:
        """Count the run that this is in as idle for a while; for callables that wait for something else than time."""
        self.work_ended()
        try:
            yield
        finally:
            self.work_began()

    async def advance(
        self, seconds: float | timedelta = 0, *, minutes: float = 0, hours: float = 0, days: float = 0
    ) -> None:
        """
        Let time pass.

        Args:
            seconds: How much, 0 or more; or a `timedelta`. The other arguments are added.
            minutes: Minutes to add.
            hours: Hours to add.
            days: Days to add, of 24 hours.

        Raises:
            ValueError: That is less than nothing.
            TimeoutError: At some instant there was work left after 30 s of real time.
        """
        delta = seconds if isinstance(seconds, timedelta) else timedelta(seconds=seconds)
        delta += timedelta(minutes=minutes, hours=hours, days=days)
        if delta < timedelta():
            raise ValueError(f"advance needs 0 seconds or more, got {delta!r}; use jump to move the clock back")
        end = self._passed + delta
        await self.run_until_idle()
        while (deadline := self._next_deadline()) is not None and deadline <= end:
            self._pass_to(deadline)
            await self.run_until_idle()
        self._pass_to(end)
        await self.run_until_idle()

    async def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back by *seconds*, as an administrator would, while no time passes."""
        self._now += timedelta(seconds=seconds)
        for sleeper in self._sleepers:
            self._expire(sleeper)
        await self.run_until_idle()

    async def suspend(self, seconds: float) -> None:
        """
        Let time pass at once, as a machine does that sleeps meanwhile: what was due comes afterwards, late.

        The monotonic clock goes on. Where it stands still while the machine sleeps, as on Linux, that is a `jump`.

        Args:
            seconds: How much, 0 or more.

        Raises:
            ValueError: That is less than nothing.
        """
        if not seconds >= 0:
            raise ValueError(f"suspend needs 0 seconds or more, got {seconds!r}; use jump to move the clock back")
        await self.run_until_idle()
        self._pass_to(self._passed + timedelta(seconds=seconds))
        await self.run_until_idle()

    async def run_until_idle(self) -> None:
        """
        Return when nothing is left to do at this instant.

        Raises:
            TimeoutError: There is something left after 30 s of real time.
        """
        began = time.monotonic()
        spins = 0
        await checkpoint()  # lets in who was parked and has what it waited for
        while not self._is_idle:
            spins += 1
            await checkpoint()
            if spins > SPINS:
                await anyio.sleep(0.001)
            if time.monotonic() - began > PATIENCE:
                raise TimeoutError(
                    f"{self._at_work} pieces of work were left at {self._now} after {PATIENCE:g} s of real time; a job "
                    "that waits for time does so by clock.sleep(), one that waits for anything else in clock.parked()"
                )

    @property
    def _is_idle(self) -> bool:
        at_work = self._at_work > 0  # less than 0: a run was given up while its thread was parked
        return not at_work and all(sleeper.is_asleep for sleeper in self._sleepers)

    def _next_deadline(self) -> timedelta | None:
        return min((sleeper.deadline for sleeper in self._sleepers if sleeper.deadline is not None), default=None)

    def _pass_to(self, deadline: timedelta) -> None:
        if deadline > self._passed:
            self._now += deadline - self._passed
            self._passed = deadline
        for sleeper in self._sleepers:
            if sleeper.deadline is not None and sleeper.deadline <= self._passed:
                self._expire(sleeper)

    @staticmethod
    def _expire(sleeper: _Sleeper) -> None:
        if sleeper.is_asleep:
            sleeper.is_expired = True
            sleeper.wakeup.expire()


class SkewedClock(Clock):
    """
    The clock of a machine that shows another time than a virtual clock, with which it goes.

    Its monotonic clock counts from when it was made, as that of a machine counts from when that was started.

    Args:
        clock: With which time passes.
        ahead: By how many seconds it is fast; less than 0: slow.
    """

    is_real = False

    def __init__(self, clock: VirtualClock, ahead: float = 0) -> None:
        self._clock = clock
        self._ahead = timedelta(seconds=ahead)
        self._made = clock.monotonic()

    def now(self) -> datetime:
        return self._clock.now() + self._ahead

    def monotonic(self) -> float:
        return self._clock.monotonic() - self._made

    def work_began(self) -> None:
        self._clock.work_began()

    def work_ended(self) -> None:
        self._clock.work_ended()

    async def wait(self, wakeup: Wakeup, until: datetime | None) -> bool:
        return await self._clock.wait(wakeup, None if until is None else until - self._ahead)

    async def jump(self, seconds: float) -> None:
        """Set this clock forward or back by *seconds*, and no other, while no time passes."""
        self._ahead += timedelta(seconds=seconds)
        await self._clock.jump(0)  # whoever waits looks again
