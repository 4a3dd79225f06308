"""Run calls in a pool of threads, or in a pool of processes (layer 7)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import Any, Self

from apsched import _eventloop
from apsched.exceptions import ExecutorRefusedError
from apsched.executors._arguments import pool_options, whole_number
from apsched.executors._thread_runner import ThreadRunner, enter_to_end
from apsched.executors._threads import Threads
from apsched.executors.base import Call, Executor

__all__ = ["ThreadPoolExecutor"]

NOT_ENTERED = "the executor takes no calls: it was not entered"


class ThreadPoolExecutor(Executor):
    """
    Runs calls in daemon threads, which are started one by one as calls come.

    A coroutine function runs in an asyncio loop made for it, in its thread. Whatever the callable raises, even
    SystemExit, is what `execute` raises; the thread goes on to the next call.

    A thread can not be killed. A call that is given up while it runs goes on; what comes of it is dropped, it counts in
    `stuck`, and one more thread is started in place of its own where needed. There are at most twice *max_workers*
    threads; when all are held, calls wait until one is free. Leaving does not wait for calls that are stuck.

    Args:
        max_workers: Most calls to run at a time, from 1 on.
        pool_kwargs: As in APScheduler 3.x: `thread_name_prefix`, `initializer`, `initargs`. The initializer is called
            in each thread before its first call; what it raises fails that call, and the next call tries again.

    Raises:
        TypeError: An argument is of a wrong kind, or *pool_kwargs* has an unknown key.
        ValueError: *max_workers* is less than 1.
    """

    def __init__(self, max_workers: int = 10, pool_kwargs: Mapping[str, Any] | None = None) -> None:
        self.capacity = whole_number("max_workers", max_workers)
        options = pool_options(pool_kwargs, ("thread_name_prefix", "initializer", "initargs"))
        self._name = options.get("thread_name_prefix") or "apsched"
        initializer = options.get("initializer")
        self._initialize = initializer and partial(initializer, *options.get("initargs", ()))
        self._threads: Threads | None = None

    @property
    def stuck(self) -> int:
        """How many calls were given up and still run."""
        return 0 if self._threads is None else self._threads.stuck

    async def __aenter__(self) -> Self:
        self._threads = Threads(
            _eventloop.current(),
            limit=self.capacity,
            spare=self.capacity,
            name=self._name,
            make_runner=lambda: ThreadRunner(enter_to_end, self._initialize),
        )
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._threads is not None:
            await self._threads.close()

    async def execute(self, call: Call) -> Any:
        if self._threads is None:
            raise ExecutorRefusedError(NOT_ENTERED)
        return await self._threads.execute(call)
