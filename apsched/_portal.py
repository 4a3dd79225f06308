"""Call coroutine functions from code that is not asynchronous (layer 5)."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from apsched.exceptions import SchedulerNotRunningError, SchedulerStateError

P = ParamSpec("P")
T = TypeVar("T")


def drive(coro: Coroutine[Any, Any, T]) -> T:
    """
    Run a coroutine that never suspends, without any event loop.

    Raises:
        SchedulerStateError: It does suspend; it is closed then.
    """
    try:
        coro.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coro.close()
    raise SchedulerStateError(
        f"{coro!r} must wait for something, and cannot where it was called: before the start, or in the "
        "scheduler's own event loop; call it from a thread, or use AsyncScheduler and await"
    )


class Portal:
    """
    A thread with an event loop, in which calls from other threads are carried out one beside the other.

    Without a thread, before `start` and after `join`, calls are driven in the calling thread, one at a time; they may
    not wait for anything then. After a fork the child's portal has no thread.

    Args:
        name: The name of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._calls: set[concurrent.futures.Future[Any]] = set()

    @property
    def is_running(self) -> bool:
        """Whether the thread is there."""
        return self._thread is not None

    @property
    def is_inside(self) -> bool:
        """Whether this is the thread of the event loop."""
        return self._thread is threading.current_thread()

    def start(self, main: Callable[[Callable[[], None]], Coroutine[Any, Any, None]], *, daemon: bool) -> None:
        """
        Start the thread and return when *main* has called what it is given.

        Args:
            main: Runs as long as the thread.
            daemon: Whether the interpreter ends without waiting for the thread.

        Raises:
            BaseException: What *main* raised before that.
        """
        started: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._run, args=(main, started), name=self._name, daemon=daemon)
        self._thread.start()
        try:
            started.result()
        except BaseException:
            self.join()
            raise

    def call(self, func: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """
        Call a coroutine function and return what it returns.

        Raises:
            SchedulerNotRunningError: The event loop ended before the call did.
            SchedulerStateError: The call would have to wait where it cannot.
            BaseException: What the function raised.
        """
        loop = self._loop
        if loop is None or self.is_inside:
            with self._lock:
                return drive(func(*args, **kwargs))
        future = self._submit(loop, func(*args, **kwargs))
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise SchedulerNotRunningError("the scheduler was shut down during the call") from None
        finally:
            self._calls.discard(future)

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Run *callback* in the event loop soon, if there is one; from any thread and from signal handlers."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(callback)

    def join(self, timeout: float | None = None) -> None:
        """Wait, at most *timeout* seconds, for the thread to end."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _submit(self, loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        try:
            future = asyncio.run_coroutine_threadsafe(coro, loop)
        except RuntimeError:  # the loop is closed
            coro.close()
            raise SchedulerNotRunningError("the scheduler was shut down before the call") from None
        self._calls.add(future)
        if self._loop is None:  # it ended meanwhile, and has not seen this call
            future.cancel()
        return future

    def _run(
        self,
        main: Callable[[Callable[[], None]], Coroutine[Any, Any, None]],
        started: concurrent.futures.Future[None],
    ) -> None:
        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            await main(lambda: started.set_result(None))

        try:
            asyncio.run(serve())
        except BaseException as exc:
            if started.done():
                raise
            started.set_exception(exc)
        finally:
            self._loop = None
            self._thread = None
            for future in list(self._calls):
                future.cancel()

    def forget(self) -> None:
        """Be a portal without a thread, in a forked child, where the thread does not exist."""
        self._lock = threading.RLock()
        self._thread = None
        self._loop = None
        self._calls = set()
