"""Say when runs have taken longer than they may: one task and one heap for all of them (layer 6).

Rule 1: a deadline is never moved in the heap. When its time comes it is looked at, and put back if the callable was
entered later than that, or is not entered yet.
Rule 2: time is that of the monotonic clock, so that a wall clock which is set costs no run its time.
"""

from __future__ import annotations

import heapq
import itertools
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from anyio.lowlevel import checkpoint

from apsched._eventloop import TaskPool
from apsched.clock import Clock, Wakeup

logger: logging.Logger = logging.getLogger("apsched.runs")

TICK = 1e-6  # seconds; the least that clocks tell apart
KEPT = 64  # deadlines that are over and may stay in the heap, besides as many as are not


class Deadline:
    """
    How long one call may take.

    Attributes:
        timeout: Seconds.
        entered: When the callable was entered, by the monotonic clock; None while it is not under way. Set from any
            thread.
        expire: Called when it has taken longer; None when that does not matter any more.
    """

    __slots__ = ("entered", "expire", "timeout")

    def __init__(self, timeout: float, expire: Callable[[], object]) -> None:
        self.timeout: float = timeout
        self.entered: float | None = None
        self.expire: Callable[[], object] | None = expire


class Deadlines:
    """
    The deadlines of the runs under way on this node.

    Args:
        clock: Time.
        tasks: Where the task is started that waits for the next one, with the first that is added.
    """

    def __init__(self, clock: Clock, tasks: TaskPool) -> None:
        self._clock = clock
        self._tasks = tasks
        self._heap: list[tuple[float, int, Deadline]] = []
        self._numbers = itertools.count()
        self._over = 0  # how many in the heap are over
        self._wakeup = Wakeup()
        self._is_started = False
        self._is_closing = False

    def add(self, timeout: float, expire: Callable[[], object]) -> Deadline:
        """Call *expire* when more than *timeout* seconds have passed since the deadline was entered."""
        deadline = Deadline(timeout, expire)
        self._put(deadline, self._clock.monotonic())
        if not self._is_started:
            self._is_started = True
            self._clock.work_began()
            self._tasks.start(self._run)
        elif self._heap[0][2] is deadline:
            self._wakeup.set()
        return deadline

    def discard(self, deadline: Deadline) -> None:
        """Do not call it any more."""
        if deadline.expire is None:
            return
        deadline.expire = None
        self._over += 1
        if self._over > KEPT and 2 * self._over > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].expire is not None]
            heapq.heapify(self._heap)
            self._over = 0

    def close(self) -> None:
        """End the task."""
        self._is_closing = True
        self._wakeup.set()

    def _put(self, deadline: Deadline, start: float) -> None:
        heapq.heappush(self._heap, (start + deadline.timeout, next(self._numbers), deadline))

    async def _run(self) -> None:
        try:
            while not self._is_closing:
                self._wakeup.arm()
                await checkpoint()  # a call that has ended in time, and of which the loop hears only now, comes first
                self._look()
                await self._clock.wait(self._wakeup, self._next())
        finally:
            self._clock.work_ended()

    def _look(self) -> None:
        now = self._clock.monotonic()
        while self._heap and self._heap[0][0] <= now + TICK:
            _, _, deadline = heapq.heappop(self._heap)
            expire, entered = deadline.expire, deadline.entered
            if expire is None:
                self._over -= 1
            elif entered is None or entered + deadline.timeout > now + TICK:
                self._put(deadline, now if entered is None else entered)
            else:
                deadline.expire = None
                try:
                    expire()
                except Exception:  # of an executor of somebody else's
                    logger.exception("a run that timed out cannot be given up")

    def _next(self) -> datetime | None:
        if not self._heap:
            return None
        return self._clock.now() + timedelta(seconds=self._heap[0][0] - self._clock.monotonic())
