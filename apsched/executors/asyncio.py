"""Run coroutine functions in an event loop (layer 7)."""

from __future__ import annotations

from asyncio import Task
from copy import copy
from functools import partial
from types import TracebackType
from typing import Any, Self

from apsched._eventloop import EventLoop
from apsched._refs import is_coroutine_callable
from apsched.exceptions import ExecutorRefusedError
from apsched.executors._arguments import whole_number
from apsched.executors._asyncio_loop import AsyncioForeignLoop, start_coroutine
from apsched.executors._calling import is_awaitable
from apsched.executors._elsewhere import Elsewhere, ForeignLoop, UsesForeignLoop
from apsched.executors._thread_runner import ThreadRunner, enter
from apsched.executors._threaded import ThreadedExecutor
from apsched.executors._threads import Threads
from apsched.executors.base import Call

MAX_THREADS = 40  # for plain functions, which are the exception here; as many as anyio has by default


class AsyncIOExecutor(ThreadedExecutor, UsesForeignLoop):
    """
    Awaits coroutine functions in an event loop and runs plain functions in threads.

    The event loop is that of the program in `AsyncIOScheduler`, and otherwise the scheduler's own, asyncio or trio. A
    coroutine function must not block it. Plain functions run in at most 40 daemon threads, and what they return is, if
    awaitable, awaited in the event loop. Giving a call up cancels a coroutine function; a plain function goes on in its
    thread, as with `ThreadPoolExecutor`, and counts in `stuck`.

    Args:
        max_concurrent: Most calls to run at a time, from 1 on.

    Raises:
        TypeError: *max_concurrent* is no whole number.
        ValueError: It is less than 1.
    """

    can_submit = False  # coroutine functions need a task
    takes_coroutines = True

    def __init__(self, max_concurrent: int = 1000) -> None:
        self.capacity: int = whole_number("max_concurrent", max_concurrent)
        self._max_threads = min(self.capacity, MAX_THREADS)
        self._program_loop: AsyncioForeignLoop | None = None
        self._elsewhere: Elsewhere | None = None
        self._pending_futures: set[Task[None]] = set()  # the name in APScheduler 3: python-telegram-bot awaits them

    def use_loop(self, loop: ForeignLoop) -> None:
        if isinstance(loop, AsyncioForeignLoop):
            self._program_loop = loop

    def refuse(self) -> None:
        if self._elsewhere is not None:
            self._elsewhere.is_closed = True

    async def __aenter__(self) -> Self:
        if self._program_loop is not None:
            self._elsewhere = Elsewhere(self._program_loop, partial(start_coroutine, self._pending_futures))
        return await super().__aenter__()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.refuse()
        await super().__aexit__(exc_type, exc, traceback)

    async def execute(self, call: Call) -> Any:
        threads = self._threads
        if threads is None or threads.is_closed:
            raise ExecutorRefusedError("the executor takes no calls: it was not entered, or left")
        if is_coroutine_callable(call.func):
            if self._elsewhere is not None:
                return await self._elsewhere.execute(call)
            call.started()
            return await call.func(*call.args, **call.kwargs)
        value = await threads.execute(call)
        if not is_awaitable(value):
            return value
        if self._elsewhere is not None:
            rest = copy(call)
            rest.func, rest.args, rest.kwargs = (lambda: value), (), {}
            return await self._elsewhere.execute(rest)
        return await value

    def _make_threads(self, loop: EventLoop) -> Threads:
        limit = self._max_threads
        return Threads(loop, limit=limit, spare=limit, name="apsched", make_runner=partial(ThreadRunner, enter))
