"""Run calls in threads of our own (layer 7).

Rule 1: all counting is done in the thread of the event loop, so it needs no lock; threads only take from the queue and
put into the delivery.
Rule 2: who enters a call and who gives it up is decided by `Work.taken`, a lock that is acquired once.
Rule 3: not `concurrent.futures`: its exit hook stops the interpreter from ending while a job runs, and refuses work
before the scheduler knows.
Rule 4: a thread that waits holds no call, result or exception.
"""

from __future__ import annotations

import itertools
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any, ClassVar

import anyio

from apsched._eventloop import EventLoop, Waiter
from apsched.exceptions import ExecutorRefusedError
from apsched.executors._delivery import Delivery
from apsched.executors.base import Call, Ending

LEAVE_TIMEOUT = 5.0  # seconds that leaving waits at most for threads that are about to end
LEFT = "the executor takes no calls: it was left"

logger = logging.getLogger(__name__)


class Work:
    """
    A call on its way through a thread.

    Attributes:
        call: What to call.
        end: Called when the call has ended.
        threads: Which have it.
        taken: Acquired once: by the thread that enters the call, or by the loop that gives it up before.
        runner: The runner of the thread that has it; set before *taken* is acquired.
        value: What the call returned.
        error: What it raised.
        is_given_up: Whether nobody waits for it any more.
        is_ending: Whether its runner was told to end it.
    """

    __slots__ = ("call", "end", "error", "is_ending", "is_given_up", "runner", "taken", "threads", "value")

    def __init__(self, call: Call, end: Ending, threads: Threads) -> None:
        self.call = call
        self.end = end
        self.threads = threads
        self.taken = threading.Lock()
        self.runner: Runner
        self.value: Any = None
        self.error: BaseException | None = None
        self.is_given_up = False
        self.is_ending = False

    def give_up(self) -> bool:
        """Stop waiting for it; return whether it was entered."""
        return self.threads.give_up(self)

    def finish(self) -> None:
        """Hand over what came of the call, and keep nothing of it: a traceback has frames that have this object."""
        end, value, error = self.end, self.value, self.error
        self.end, self.value, self.error = _drop, None, None
        end(value, error)


def _settle(waiter: Waiter[tuple[Any, BaseException | None]], value: Any, error: BaseException | None) -> None:
    waiter.set((value, error))


def _drop(value: object, error: object) -> None:
    """Be the end of a call that has ended."""


class Runner(ABC):
    """
    What one thread does with the calls that it takes; nothing here raises.

    Attributes:
        can_end: Whether `end` ends a call that is under way.
    """

    can_end: ClassVar[bool]

    @abstractmethod
    def run(self, work: Work) -> None:
        """Call *work*.call and set its value or error; in the runner's thread."""

    def end(self, work: Work) -> None:
        """End *work*, which is under way, as far as that is possible; in the thread of the loop."""

    def rest(self) -> None:
        """Tidy up after a call was delivered; in the runner's thread."""

    def close(self) -> None:
        """Let go of everything; in the runner's thread, which ends then."""


class Threads:
    """
    Daemon threads that are started one by one, when a call comes and none is idle.

    Used in one event loop, from construction to `close`.

    Attributes:
        is_closed: Whether it takes no more calls.

    Args:
        loop: The running event loop.
        limit: Most threads.
        spare: Most threads beyond *limit* that stand in for those held by calls that were given up.
        name: Prefix of the threads' names.
        make_runner: Called once in each thread.
    """

    def __init__(
        self, loop: EventLoop, *, limit: int, spare: int, name: str, make_runner: Callable[[], Runner]
    ) -> None:
        self._loop = loop
        self._limit = limit
        self._spare = spare
        self._name = name
        self._make_runner = make_runner
        self._numbers = itertools.count(1)
        self._queue: SimpleQueue[Work | None] = SimpleQueue()  # None ends the thread that takes it
        self._delivery: Delivery[Work | threading.Thread] = Delivery(loop, self._receive)
        self._under_way: set[Work] = set()  # queued or running; given up ones only if they run
        self._threads: set[threading.Thread] = set()
        self._ending = 0  # how many None are in the queue or on their way
        self._stuck = 0
        self.is_closed = False
        self._ended: Waiter[None] = loop.waiter()

    @property
    def stuck(self) -> int:
        """How many calls were given up and have not ended."""
        return self._stuck

    async def execute(self, call: Call) -> Any:
        """
        Run *call* in a thread and return what it returns.

        Cancelling lets go at once; a call that runs already goes on in its thread and what comes of it is dropped.

        Raises:
            ExecutorRefusedError: It was closed, or no thread can be started.
            BaseException: Whatever the call raised.
        """
        waiter: Waiter[tuple[Any, BaseException | None]] = self._loop.waiter()
        call.capture()
        give_up = self.submit(call, partial(_settle, waiter))
        try:
            value, error = await waiter.wait()
        except BaseException:
            give_up()
            raise
        del waiter, give_up  # no circle may stay: the traceback of an error has this frame
        if error is None:
            return value
        try:
            raise error
        finally:
            del error

    def submit(self, call: Call, end: Ending) -> Callable[[], bool]:
        """
        Run *call* in a thread and then call *end*, in the thread of the loop.

        Returns:
            What gives the call up: False says that it was not entered and never will be. *end* is not called then.

        Raises:
            ExecutorRefusedError: It was closed, or no thread can be started.
        """
        if self.is_closed:
            raise ExecutorRefusedError(LEFT)
        work = Work(call, end, self)
        count = len(self._threads) - self._ending
        if count <= len(self._under_way) and (
            count < self._limit or self._stuck
        ):  # none is idle, and there may be more
            self._start_thread()
        self._under_way.add(work)
        self._queue.put(work)
        return work.give_up

    def give_up(self, work: Work) -> bool:
        """Stop waiting for *work*; return whether it was entered."""
        if work not in self._under_way:  # it has ended meanwhile
            return True
        if work.taken.acquire(blocking=False):  # it has not begun and never will
            self._under_way.discard(work)
            return False
        if not work.is_given_up:
            work.is_given_up = True
            self._stuck += 1
            work.runner.end(work)
            if not work.runner.can_end:
                logger.debug("gave up %r, which goes on in its thread; such calls: %d", work.call.func, self._stuck)
                if self._stuck == self._limit + self._spare:
                    logger.warning("all %d threads are held by calls that were given up; others wait", self._stuck)
        return True

    async def close(self) -> None:
        """
        End the threads and wait for them, but not for calls that cannot be ended; those are logged.

        Calls that still wait in the queue are refused.
        """
        self.is_closed = True
        for work in list(self._under_way):
            if work.taken.acquire(blocking=False):
                self._refuse(work)
            else:
                work.runner.end(work)
        for _ in range(len(self._threads) - self._ending):
            self._end_thread()
        if not self._are_idle_ended():
            with anyio.CancelScope(shield=True):
                await self._ended.wait_for(LEAVE_TIMEOUT, None)
        if self._under_way:
            logger.warning(
                "left %d threads that still run: %s",
                len(self._under_way),
                ", ".join(sorted(repr(work.call.func) for work in self._under_way)),
            )

    def _start_thread(self) -> None:
        """Start one more thread, unless there are enough."""
        if len(self._threads) - self._ending >= self._limit + min(self._stuck, self._spare):
            return
        thread = threading.Thread(target=self._work, name=f"{self._name}-{next(self._numbers)}", daemon=True)
        try:
            thread.start()
        except RuntimeError as exc:  # out of threads, or the interpreter is ending
            if len(self._threads) - self._ending <= self._stuck:
                raise ExecutorRefusedError(f"the executor takes no calls: no thread can be started ({exc})") from exc
            return  # another thread will come to it
        self._threads.add(thread)

    def _end_thread(self) -> None:
        self._ending += 1
        self._queue.put(None)

    def _work(self) -> None:
        """Take and run calls until told to end; the main function of each thread."""
        runner = self._make_runner()
        while (work := self._queue.get()) is not None:
            work.runner = runner
            if work.taken.acquire(blocking=False):
                runner.run(work)
                self._delivery.put(work)
            del work
            runner.rest()
        runner.close()
        self._delivery.put(threading.current_thread())

    def _receive(self, item: Work | threading.Thread) -> None:
        """Take a call or a thread that has ended."""
        if isinstance(item, Work):
            self._under_way.discard(item)
            if item.is_given_up:
                self._forget(item)
            else:
                item.finish()
        else:
            item.join()  # it has nothing more to do
            self._threads.discard(item)
            self._ending -= 1
        if self.is_closed and self._are_idle_ended():
            self._ended.set(None)

    def _forget(self, work: Work) -> None:
        """Drop what became of *work*, which nobody waits for, and the thread that stood in for its own."""
        work.value = work.error = None
        self._stuck -= 1
        if len(self._threads) - self._ending > self._limit + min(self._stuck, self._spare):
            self._end_thread()

    def _refuse(self, work: Work) -> None:
        work.error = ExecutorRefusedError(LEFT)
        self._under_way.discard(work)
        work.finish()

    def _are_idle_ended(self) -> bool:
        return len(self._threads) <= sum(not work.runner.can_end for work in self._under_way)
