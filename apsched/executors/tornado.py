"""Run coroutine functions in a Tornado I/O loop (layer 7)."""

from __future__ import annotations

from apsched.executors._arguments import whole_number
from apsched.executors.asyncio import AsyncIOExecutor


class TornadoExecutor(AsyncIOExecutor):
    """
    Awaits coroutine functions in the I/O loop of a `TornadoScheduler`, and runs plain functions in threads.

    A Tornado I/O loop is an asyncio loop. In other schedulers it does what `AsyncIOExecutor` does.

    Args:
        max_workers: Most threads for plain functions, from 1 on.

    Raises:
        TypeError: *max_workers* is no whole number.
        ValueError: It is less than 1.
    """

    def __init__(self, max_workers: int = 10) -> None:
        super().__init__()
        self._max_threads = whole_number("max_workers", max_workers)
