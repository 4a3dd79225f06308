"""Do on asyncio and on trio what anyio has no cheap form of (layer 0).

Three things are on the path of every run: starting a task, waiting for one value, and waking the loop from a thread.
anyio's own forms cost more than the rest of a run together (`benchmarks/RESULTS.md`), so each of the two event loops
has one small class here. Everything that is not on that path uses anyio.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

T = TypeVar("T")

logger = logging.getLogger(__name__)


class Waiter(ABC, Generic[T]):
    """One value that one task waits for; used once, in the thread of the loop."""

    __slots__ = ()

    @abstractmethod
    def set(self, value: T) -> None:
        """Hand over *value*; the first one counts, later ones are dropped."""

    @abstractmethod
    async def wait(self) -> T:
        """Return the value as soon as it is there."""

    @abstractmethod
    async def wait_for(self, seconds: float | None, default: T) -> T:
        """Return the value, or *default* after *seconds* (None: never)."""


class Started(Protocol):
    """A task that was started; what can cancel it is kept for every run, and so is nothing made for that."""

    def cancel(self) -> object:
        """Cancel the task, if it has not ended."""


class TaskPool(ABC):
    """Starts tasks and waits, on leaving, for all of them; a task must not let an exception out."""

    @abstractmethod
    async def __aenter__(self) -> Self: ...

    @abstractmethod
    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    @abstractmethod
    def start(self, func: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> Started:
        """Run *func* in a task of its own, at once where the event loop can; return what cancels it."""

    @abstractmethod
    def cancel(self) -> None:
        """Cancel every task."""

    @abstractmethod
    def abandon(self) -> None:
        """Wait no more for the tasks that are left, where the event loop allows that; trio does not."""


class EventLoop(ABC):
    """The running event loop."""

    @abstractmethod
    def waiter(self) -> Waiter[Any]:
        """Make a waiter; cheap."""

    @abstractmethod
    def task_pool(self) -> TaskPool:
        """Make a task pool."""

    @abstractmethod
    def call_soon_threadsafe(self, callback: Callable[[], object]) -> None:
        """Run *callback* in the loop soon; from any thread. Raises RuntimeError when the loop has ended."""


class AsyncioWaiter(Waiter[T]):
    """A future."""

    __slots__ = ("_future", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._future: asyncio.Future[T] = loop.create_future()

    def set(self, value: T) -> None:
        if not self._future.done():
            self._future.set_result(value)

    async def wait(self) -> T:
        return await self._future

    async def wait_for(self, seconds: float | None, default: T) -> T:
        if seconds is None:
            return await self._future
        timer = self._loop.call_later(seconds, self.set, default)
        try:
            return await self._future
        finally:
            timer.cancel()


_abandoned: set[asyncio.Task[None]] = set()  # kept, since collecting a coroutine that ends in no way makes it go on


class AsyncioTaskPool(TaskPool):
    """
    Bare tasks; started eagerly from Python 3.12 on.

    Each leaves the pool in its last step. A callback when it is done would cost as much as starting it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._numbers = itertools.count()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc_type is not None:
            self.cancel()
        while self._tasks:
            try:
                await asyncio.wait(self._tasks.values())
            except asyncio.CancelledError:
                self.cancel()
                raise
            for number, task in list(self._tasks.items()):
                if task.done():  # it was cancelled before its first step
                    del self._tasks[number]

    def start(self, func: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> Started:
        number = next(self._numbers)
        task = self._start(self._run(number, func, args))
        if not task.done():
            self._tasks[number] = task
        return task

    def cancel(self) -> None:
        for task in list(self._tasks.values()):
            task.cancel()

    def abandon(self) -> None:
        for task in self._tasks.values():
            _abandoned.add(task)
            task.add_done_callback(_abandoned.discard)
            asyncio._unregister_task(task)  # so that asyncio.run, at its end, does not wait for it either
        self._tasks.clear()

    if sys.version_info >= (3, 12):

        def _start(self, coro: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
            return asyncio.Task(coro, loop=self._loop, eager_start=True)

    else:

        def _start(self, coro: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
            return self._loop.create_task(coro)

    async def _run(self, number: int, func: Callable[..., Coroutine[Any, Any, None]], args: tuple[Any, ...]) -> None:
        try:
            await func(*args)
        except Exception:
            logger.critical("a run ended with an error of the engine", exc_info=True)
        finally:
            self._tasks.pop(number, None)


class AsyncioLoop(EventLoop):
    """The running asyncio loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def waiter(self) -> Waiter[Any]:
        return AsyncioWaiter(self._loop)

    def task_pool(self) -> TaskPool:
        return AsyncioTaskPool(self._loop)

    def call_soon_threadsafe(self, callback: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(callback)


def current() -> EventLoop:
    """
    Return the running event loop.

    Raises:
        RuntimeError: No event loop runs in this thread.
    """
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_task():
        from apsched._trioloop import TrioLoop

        return TrioLoop()
    return AsyncioLoop()
