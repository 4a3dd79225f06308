"""Run coroutine functions in the event loop (layer 7)."""

from __future__ import annotations

from functools import partial
from typing import Any

from apsched._eventloop import EventLoop
from apsched._refs import is_coroutine_callable
from apsched.exceptions import ExecutorRefusedError
from apsched.executors._arguments import whole_number
from apsched.executors._calling import is_awaitable
from apsched.executors._thread_runner import ThreadRunner, enter
from apsched.executors._threaded import ThreadedExecutor
from apsched.executors._threads import Threads
from apsched.executors.base import Call

MAX_THREADS = 40  # for plain functions, which are the exception here; as many as anyio has by default


class AsyncIOExecutor(ThreadedExecutor):
    """
    Awaits coroutine functions in the scheduler's own event loop, asyncio or trio, and runs plain functions in threads.

    A coroutine function is awaited right in the task that executes it, so it must not block. Plain functions run in at
    most 40 daemon threads, and what they return is, if awaitable, awaited in the event loop. Giving a call up cancels a
    coroutine function; a plain function goes on in its thread, as with `ThreadPoolExecutor`, and counts in `stuck`.

    Args:
        max_concurrent: Most calls to run at a time, from 1 on.

    Raises:
        TypeError: *max_concurrent* is no whole number.
        ValueError: It is less than 1.
    """

    can_submit = False  # coroutine functions need a task

    def __init__(self, max_concurrent: int = 1000) -> None:
        self.capacity: int = whole_number("max_concurrent", max_concurrent)

    async def execute(self, call: Call) -> Any:
        threads = self._threads
        if threads is None or threads.is_closed:
            raise ExecutorRefusedError("the executor takes no calls: it was not entered, or left")
        if is_coroutine_callable(call.func):
            call.started()
            return await call.func(*call.args, **call.kwargs)
        value = await threads.execute(call)
        return await value if is_awaitable(value) else value

    def _make_threads(self, loop: EventLoop) -> Threads:
        limit = min(self.capacity, MAX_THREADS)
        return Threads(loop, limit=limit, spare=limit, name="apsched", make_runner=partial(ThreadRunner, enter))
