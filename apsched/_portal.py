"""Call coroutine functions from code that is not asynchronous (layer 5)."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import os
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Generic, ParamSpec, TypeVar

import anyio

from apsched._sleeping_loop import SleepingLoop
from apsched.exceptions import SchedulerNotRunningError, SchedulerStateError

INTERRUPTIBLE = None if os.name == "posix" else 0.5  # seconds; on Windows nothing interrupts a wait, not even Ctrl-C

NOT_RUNNING = "the call must wait for something, and the scheduler is not running; start it first"

P = ParamSpec("P")
T = TypeVar("T")

_driven: ContextVar[bool] = ContextVar("apsched_driven", default=False)


def is_driven() -> bool:
    """Whether the calling coroutine is run by `drive`, so that it must not suspend."""
    return _driven.get()


def drive(coro: Coroutine[Any, Any, T], error: SchedulerStateError | None = None) -> T:
    """
    Run a coroutine that never suspends, without any event loop.

    Args:
        coro: The coroutine.
        error: What to raise if it does suspend.

    Raises:
        SchedulerStateError: It does suspend; it is closed then.
    """
    token = _driven.set(True)
    try:
        coro.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    except anyio.NoEventLoopError as exc:  # it was about to
        if error is not None:
            raise error from exc
        raise
    finally:
        _driven.reset(token)
    coro.close()
    raise error or SchedulerStateError(
        f"{coro!r} must wait for something, and cannot where it was called: before the start, or in the "
        "scheduler's own event loop; call it from a thread, or use AsyncScheduler and await"
    )


class _Call(Generic[T]):
    """A call that another thread waits for while the event loop carries it out."""

    def __init__(self, func: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._func = func
        self.future: concurrent.futures.Future[T] = concurrent.futures.Future()
        self.task: asyncio.Task[None]  # the event loop itself would not keep it

    async def carry_out(self) -> None:
        try:
            value = await self._func()
        except asyncio.CancelledError:
            self.give_up()
        except BaseException as exc:  # SystemExit too: it is for the caller, not for the event loop
            self.future.set_exception(exc)
        else:
            self.future.set_result(value)

    def give_up(self) -> None:
        """Let the caller know that the event loop has ended."""
        if not self.future.done():
            self.future.set_exception(SchedulerNotRunningError("the scheduler was shut down during the call"))


def _future(result: T) -> concurrent.futures.Future[T]:
    future: concurrent.futures.Future[T] = concurrent.futures.Future()
    future.set_result(result)
    return future


class Portal:
    """
    A thread with an event loop, in which calls from other threads are carried out one beside the other.

    Without a thread, before `start` and after its end, calls are driven in the calling thread, one at a time; they may
    not wait for anything then. After a fork the child's portal has no thread.

    Args:
        name: The name of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.RLock()  # a call is driven, or the event loop takes calls: never both
        self._thread: threading.Thread | None = None  # kept after its end, to be joined
        self._ended = _future(None)  # waited for instead: an interrupted Thread.join takes the thread for ended
        self._is_serving = False
        self._loop: asyncio.AbstractEventLoop | None = None  # only while it takes calls
        self._main: asyncio.Task[Any] | None = None
        self._calls: set[_Call[Any]] = set()

    @property
    def is_running(self) -> bool:
        """Whether what `start` was given runs."""
        return self._is_serving

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
            BaseException: What *main* raised before that. If this thread is interrupted meanwhile, *main* is cancelled.
        """
        self.join()
        started: concurrent.futures.Future[None] = concurrent.futures.Future()
        thread = threading.Thread(target=self._run, args=(main, started), name=self._name, daemon=daemon)
        self._thread, self._is_serving = thread, True
        self._ended = concurrent.futures.Future()
        try:
            thread.start()
            self._wait_for(started)
        except BaseException:
            if not thread.is_alive() and not started.done():  # it was not started: out of threads
                self._thread, self._is_serving = None, False
                raise
            if (task := self._main) is not None:
                self.call_soon(task.cancel)
            self.join()
            raise

    def call(self, func: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """
        Call a coroutine function and return what it returns.

        Raises:
            SchedulerNotRunningError: The event loop ended before the call did, or the call must wait and there is none.
            SchedulerStateError: The call must wait and this is the thread of the event loop.
            BaseException: What the function raised.
        """
        loop = self._loop
        if isinstance(loop, SleepingLoop) and loop.is_guest:  # a signal handler within `call_here`, for example
            token = _driven.set(False)
            try:
                with loop.left():
                    return self.call(func, *args, **kwargs)
            finally:
                _driven.reset(token)
        with self._lock:
            loop = self._loop
            if loop is None:
                return drive(func(*args, **kwargs), SchedulerNotRunningError(NOT_RUNNING))
            if self.is_inside:
                return drive(func(*args, **kwargs))
            call = _Call(functools.partial(func, *args, **kwargs))
            self._calls.add(call)
            loop.call_soon_threadsafe(self._begin, loop, call)
        return self._wait_for(call.future)

    def call_here(self, func: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """
        Call a coroutine function that never waits, in this thread if the event loop sleeps.

        That spares two changes of threads, which take longer than the call.

        Raises:
            BaseException: What `call` raises.
        """
        loop = self._loop
        if isinstance(loop, SleepingLoop):
            if loop.is_guest:
                return drive(func(*args, **kwargs))
            if loop.enter():
                try:
                    if self._loop is loop:  # it did not end before it was entered
                        return drive(func(*args, **kwargs))
                finally:
                    loop.leave()
        return self.call(func, *args, **kwargs)

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Run *callback* in the event loop soon, if there is one; from any thread and from signal handlers."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # it has ended meanwhile
                loop.call_soon_threadsafe(callback)

    def join(self, timeout: float | None = None) -> None:
        """Wait, at most *timeout* seconds, for the thread to end."""
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return
        while not self._ended.done():
            with suppress(TimeoutError):
                self._wait_for(self._ended, INTERRUPTIBLE if timeout is None else timeout)
            if timeout is not None:
                break
        if self._ended.done():
            thread.join()

    def _make_loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        if type(loop) is not asyncio.SelectorEventLoop:  # Windows has another, and a program may set a policy
            return loop
        loop.close()
        return SleepingLoop()

    def _wait_for(self, future: concurrent.futures.Future[T], timeout: float | None = None) -> T:
        """Return the result of *future*; raise TimeoutError after so many seconds."""
        return future.result(timeout)

    def forget(self) -> None:
        """Be a portal without a thread, in a forked child, where the thread does not exist."""
        self._lock = threading.RLock()
        self._thread = None
        self._ended = _future(None)
        self._is_serving = False
        self._loop = self._main = None
        self._calls = set()

    def _run(
        self,
        main: Callable[[Callable[[], None]], Coroutine[Any, Any, None]],
        started: concurrent.futures.Future[None],
    ) -> None:
        try:
            with asyncio.Runner(loop_factory=self._make_loop) as runner:
                runner.run(self._serve(main, started))
        except BaseException as exc:
            if not started.done():
                started.set_exception(exc)
            elif not isinstance(exc, asyncio.CancelledError):  # `start` was interrupted
                raise
        finally:
            self._is_serving = False
            for call in list(self._calls):
                call.give_up()
            self._calls.clear()
            self._ended.set_result(None)

    async def _serve(
        self,
        main: Callable[[Callable[[], None]], Coroutine[Any, Any, None]],
        started: concurrent.futures.Future[None],
    ) -> None:
        self._main = asyncio.current_task()
        with self._lock:
            self._loop = asyncio.get_running_loop()
        try:
            await main(lambda: started.set_result(None))
        finally:
            with self._lock:
                self._loop = self._main = None
            self._is_serving = False

    def _begin(self, loop: asyncio.AbstractEventLoop, call: _Call[Any]) -> None:
        if self._loop is None:  # a task that is begun now would not be cancelled when the event loop closes
            self._calls.discard(call)
            call.give_up()
            return
        call.task = loop.create_task(call.carry_out())
        call.task.add_done_callback(lambda task: self._calls.discard(call))
