"""Run calls in an event loop that is not the scheduler's own (layer 7).

Rule 1: a call is begun there, by a callback; nobody here waits for that loop but by awaiting.
Rule 2: who begins a call and who gives it up is decided by `_Errand.taken`, a lock that is acquired once.
Rule 3: that loop may stop, close or stand still at any time; no run hangs because of it once the loop has closed.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Generic, Self, TypeAlias, TypeVar

import anyio

from apsched import _eventloop
from apsched._eventloop import Waiter
from apsched.exceptions import ExecutorRefusedError
from apsched.executors._calling import is_awaitable
from apsched.executors._thread_runner import enter
from apsched.executors.base import Call, Ending, Executor

LOOK = 0.5  # seconds between two looks whether a loop in which a call is under way has closed
SEARCH = 0.05  # seconds between two looks whether a loop runs that calls wait for
PATIENCE = 100  # looks after which it is worth a warning that there is none

logger = logging.getLogger(__name__)

Start: TypeAlias = Callable[[Call, Ending], Callable[[], object] | None]
"""Begins a call in the other loop; gets what to call there when it has ended; returns what cancels it there."""


class ForeignLoop(ABC):
    """The event loop of a framework, in which callables may be called from the scheduler's own."""

    @property
    @abstractmethod
    def is_known(self) -> bool:
        """Whether there is a loop yet; where there is none, calls wait for one."""

    @property
    @abstractmethod
    def is_over(self) -> bool:
        """Whether it will never call anything any more."""

    @property
    @abstractmethod
    def is_running(self) -> bool:
        """Whether it calls what is due."""

    @property
    @abstractmethod
    def is_here(self) -> bool:
        """Whether it runs in the calling thread, so that it stands still while the calling code blocks."""

    @abstractmethod
    def attach(self) -> None:
        """Be the loop of the calling thread from now on, where none was named."""

    @abstractmethod
    def call_soon(self, callback: Callable[[], object]) -> None:
        """Call *callback* there soon; from any thread. Raises RuntimeError if it is over."""


L = TypeVar("L", bound=ForeignLoop)


class UsesForeignLoop(ABC):
    """What the executors have in common that run calls in the event loop of a framework."""

    @abstractmethod
    def use_loop(self, loop: ForeignLoop) -> None:
        """Run calls in *loop* from the next entering on, if it is one of the right kind."""

    @abstractmethod
    def refuse(self) -> None:
        """Begin no more calls in that loop, until the next entering."""


class _Errand:
    """One call on its way through the other loop; what came of it is set in the scheduler's own."""

    __slots__ = ("call", "cancel", "result", "taken", "waiter")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.taken = threading.Lock()
        self.cancel: Callable[[], object] | None = None  # used in the other loop
        self.result: tuple[Any, BaseException | None] | None = None
        self.waiter: Waiter[None]

    def settle(self, value: Any, error: BaseException | None) -> None:
        if self.result is None:
            self.result = (value, error)
            self.waiter.set(None)

    def cancel_there(self) -> None:
        if self.cancel is not None:
            self.cancel()


class Elsewhere:
    """
    Calls in another event loop; made in the scheduler's own, in which it is used.

    Args:
        there: The other loop.
        start: Begins a call there.

    Attributes:
        is_closed: Whether it takes no more calls.
    """

    def __init__(self, there: ForeignLoop, start: Start) -> None:
        self._there = there
        self._start = start
        self._here = _eventloop.current()
        self.is_closed = False

    async def execute(self, call: Call) -> Any:
        """
        Run *call* there and return what it returns; cancelling cancels it there, and does not wait for that.

        Raises:
            ExecutorRefusedError: It was closed, or the loop is over.
            RuntimeError: The loop was closed while the call was under way.
            BaseException: Whatever the call raised.
        """
        await self._wait_until_known()
        errand = _Errand(call)
        errand.waiter = self._here.waiter()
        call.capture()
        if self.is_closed:
            raise ExecutorRefusedError("the executor takes no calls: it is being left")
        try:
            self._there.call_soon(partial(self._begin, errand))
        except RuntimeError as exc:
            raise ExecutorRefusedError(f"the executor takes no calls: {exc}; start the scheduler again") from None
        try:
            await self._wait_for(errand)
        except BaseException:
            if not errand.taken.acquire(blocking=False):
                with suppress(RuntimeError):
                    self._there.call_soon(errand.cancel_there)
            raise
        assert errand.result is not None  # noqa: S101  # for type checkers
        value, error = errand.result
        del errand  # no circle may stay: the traceback of an error has this frame
        if error is None:
            return value
        try:
            raise error
        finally:
            del error

    async def _wait_until_known(self) -> None:
        looks = 0
        while not self._there.is_known:
            looks += 1
            if looks == PATIENCE:
                logger.warning("jobs wait for the event loop of the program, and none runs yet")
            await anyio.sleep(SEARCH)

    async def _wait_for(self, errand: _Errand) -> None:
        while errand.result is None:
            await errand.waiter.wait_for(LOOK, None)
            if errand.result is None:
                if self._there.is_over:
                    raise self._lost(errand)
                errand.waiter = self._here.waiter()

    def _lost(self, errand: _Errand) -> Exception:
        if errand.taken.acquire(blocking=False):
            return ExecutorRefusedError("the executor takes no calls: its event loop has closed")
        return RuntimeError("the event loop in which the job was under way was closed before the job had ended")

    def _begin(self, errand: _Errand) -> None:
        """Begin the call; in the other loop."""
        if not errand.taken.acquire(blocking=False):
            return
        try:
            errand.cancel = self._start(errand.call, partial(self._end, errand))
        except BaseException as exc:
            self._end(errand, None, exc)

    def _end(self, errand: _Errand, value: Any, error: BaseException | None) -> None:
        """Bring back what came of the call; from any thread."""
        with suppress(RuntimeError):  # the scheduler has ended: nobody waits
            self._here.call_soon_threadsafe(partial(errand.settle, value, error))


class ElsewhereExecutor(Executor, UsesForeignLoop, Generic[L]):
    """
    Runs each call in the event loop of a framework; awaitables that calls return are awaited in the scheduler's own.

    Args:
        loop: The loop, unless the scheduler has one of the same kind.
        capacity: Most calls to run at a time.
    """

    def __init__(self, loop: L, capacity: int) -> None:
        self.capacity: int = capacity
        self._loop = loop
        self._elsewhere: Elsewhere | None = None

    def use_loop(self, loop: ForeignLoop) -> None:
        if isinstance(loop, type(self._loop)):
            self._loop = loop

    def refuse(self) -> None:
        if self._elsewhere is not None:
            self._elsewhere.is_closed = True

    async def __aenter__(self) -> Self:
        self._elsewhere = Elsewhere(self._loop, self._start)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.refuse()

    async def execute(self, call: Call) -> Any:
        if self._elsewhere is None:
            raise ExecutorRefusedError("the executor takes no calls: it was not entered")
        value = await self._elsewhere.execute(call)
        return await value if is_awaitable(value) else value

    @abstractmethod
    def _start(self, call: Call, end: Ending) -> Callable[[], object] | None:
        """Begin *call*, in the loop; return what cancels it there, if anything does."""


def call_there(call: Call, end: Ending) -> None:
    """Make *call* in its context and tell how it ended; let nothing out but Ctrl-C, not even SystemExit."""
    try:
        value = call.context.run(enter, call)
    except KeyboardInterrupt as exc:
        end(None, exc)
        raise
    except BaseException as exc:
        end(None, exc)
    else:
        end(value, None)
