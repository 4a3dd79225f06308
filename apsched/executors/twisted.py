"""Run calls in the threads of a Twisted reactor, or in the reactor's own (layer 7)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from apsched.exceptions import MissingExtraError
from apsched.executors._arguments import whole_number
from apsched.executors._calling import is_awaitable
from apsched.executors._elsewhere import ElsewhereExecutor, ForeignLoop, call_there
from apsched.executors.base import Call, Ending

try:
    from twisted.internet.defer import Deferred
    from twisted.python import threadable
    from twisted.python.failure import Failure
except ImportError as exc:
    raise MissingExtraError("TwistedExecutor", "twisted") from exc

THREADS = 10  # of a reactor that was not told otherwise


class ReactorLoop(ForeignLoop):
    """A Twisted reactor: the one that was given, or the global one."""

    def __init__(self) -> None:
        self._reactor: Any = None
        self._watched: Any = None
        self._has_stopped = False

    def give(self, reactor: Any) -> None:
        """Let it be *reactor*."""
        self._reactor = reactor

    def attach(self) -> None:
        if self.reactor is not self._watched:
            self._watched = self.reactor
            self._has_stopped = False
            self.reactor.addSystemEventTrigger("after", "shutdown", self._stop)

    @property
    def reactor(self) -> Any:
        """The reactor; the global one is installed if there is none yet."""
        if self._reactor is None:
            from twisted.internet import reactor

            self._reactor = reactor
        return self._reactor

    @property
    def is_known(self) -> bool:
        return True

    @property
    def is_over(self) -> bool:
        return self._has_stopped

    @property
    def is_running(self) -> bool:
        return bool(self.reactor.running)

    @property
    def is_here(self) -> bool:
        return self.is_running and bool(threadable.isInIOThread())  # type: ignore[no-untyped-call]

    def call_soon(self, callback: Callable[[], object]) -> None:
        if self._has_stopped:
            raise RuntimeError("the reactor has stopped")
        self.reactor.callFromThread(callback)

    def _stop(self) -> None:
        self._has_stopped = True


class TwistedExecutor(ElsewhereExecutor[ReactorLoop]):
    """
    Runs calls in the reactor's thread pool.

    What a call returns is, if it is a Deferred or a coroutine, waited for in the reactor. A call that is given up while
    it runs goes on in its thread; what comes of it is dropped.

    Args:
        max_concurrent: Most calls to run at a time, from 1 on; those beyond the size of the reactor's thread pool,
            which `reactor.suggestThreadPoolSize` sets, wait for a thread.

    Raises:
        TypeError: *max_concurrent* is no whole number.
        ValueError: It is less than 1.
    """

    def __init__(self, max_concurrent: int = THREADS) -> None:
        super().__init__(ReactorLoop(), whole_number("max_concurrent", max_concurrent))

    def _start(self, call: Call, end: Ending) -> Callable[[], object]:
        errand = _Errand(end, self._loop.reactor)
        self._loop.reactor.callInThread(errand.call_in_thread, call)
        return errand.cancel


class TwistedReactorExecutor(ElsewhereExecutor[ReactorLoop]):
    """
    Calls plain functions and awaits coroutine functions in the reactor's own thread, which they must not block.

    What a call returns is, if it is a Deferred or a coroutine, waited for. A coroutine may await Deferreds, and with
    the asyncio reactor also what asyncio has. Giving a call up cancels it.

    Args:
        max_concurrent: Most calls to run at a time, from 1 on.

    Raises:
        TypeError: *max_concurrent* is no whole number.
        ValueError: It is less than 1.
    """

    def __init__(self, max_concurrent: int = 1000) -> None:
        super().__init__(ReactorLoop(), whole_number("max_concurrent", max_concurrent))

    def _start(self, call: Call, end: Ending) -> Callable[[], object]:
        errand = _Errand(end, self._loop.reactor)
        call_there(call, errand.settle_here)
        return errand.cancel


class _Errand:
    """One call, from the moment that it is begun in the reactor until its Deferred, if it returns one, has fired."""

    def __init__(self, end: Ending, reactor: Any) -> None:
        self._end = end
        self._reactor = reactor
        self._deferred: Deferred[Any] | None = None
        self._is_cancelled = False

    def call_in_thread(self, call: Call) -> None:
        if not self._is_cancelled:
            call_there(call, self._settle_from_thread)

    def cancel(self) -> None:
        self._is_cancelled = True
        if self._deferred is not None:
            self._deferred.cancel()

    def settle_here(self, value: Any, error: BaseException | None) -> None:
        """End the call, or wait for the Deferred or coroutine that it returned; in the reactor's thread."""
        if error is None and is_awaitable(value):
            self._deferred = value if isinstance(value, Deferred) else _deferred_of(value)
            self._deferred.addCallbacks(self._fire, self._fail)
        else:
            self._end(value, error)

    def _settle_from_thread(self, value: Any, error: BaseException | None) -> None:
        if error is None and is_awaitable(value):
            self._reactor.callFromThread(self.settle_here, value, None)
        else:
            self._end(value, error)

    def _fire(self, value: Any) -> None:
        self._end(value, None)

    def _fail(self, failure: Failure) -> None:
        self._end(None, failure.value)


def _deferred_of(coroutine: Coroutine[Any, Any, Any]) -> Deferred[Any]:
    """Let *coroutine* run, in the reactor's thread, and return what fires when it has ended."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # another reactor than that of asyncio
        return Deferred.fromCoroutine(coroutine)
    return Deferred.fromFuture(asyncio.ensure_future(_await(coroutine), loop=loop))


async def _await(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return await _AwaitsBoth(coroutine)


class _AwaitsBoth:
    """Awaits a coroutine in an asyncio task, which by itself knows nothing of Deferreds that the coroutine awaits."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, Any]:
        error: BaseException | None = None
        while True:
            try:
                awaited = self._coroutine.send(None) if error is None else self._coroutine.throw(error)
            except StopIteration as stop:
                return stop.value
            error = None
            try:
                if isinstance(awaited, Deferred):
                    yield from _fired(awaited).__await__()
                else:
                    yield awaited
            except BaseException as exc:
                error = exc


def _fired(deferred: Deferred[Any]) -> asyncio.Future[None]:
    """Return a future that is done when *deferred* has fired, whose result it leaves where it is."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def pass_on(result: Any) -> Any:
        if not future.done():
            future.set_result(None)
        return result

    deferred.addBoth(pass_on)
    return future
