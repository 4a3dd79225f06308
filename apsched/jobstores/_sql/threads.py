"""Carry out calls that block in a few threads, none of which outlives its store (layer 7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import anyio

from apsched._one_thread import OneThread

PATIENCE = 1.0  # seconds; the calls that go on have outlasted their timeouts already

T = TypeVar("T")
Args = TypeVarTuple("Args")


class Threads:
    """
    Daemon threads, each of which is made when a call finds no other one idle.

    Args:
        limit: How many calls are under way at most; further ones wait.
    """

    def __init__(self, limit: int) -> None:
        self._slots = anyio.Semaphore(limit, fast_acquire=True)
        self._idle: list[OneThread] = []
        self._left: list[OneThread] = []  # they end when their calls do, for which nobody waits

    async def call(self, func: Callable[[*Args], T], *args: *Args) -> T:
        """
        Call *func* in a thread, and return what it returns.

        Cancelling lets go at once; the call goes on, in a thread that ends with it.

        Raises:
            BaseException: What *func* raises.
        """
        async with self._slots:
            thread = self._idle.pop() if self._idle else OneThread("apsched-jobstore")
            try:
                value = await thread.call(func, *args)
            except anyio.get_cancelled_exc_class():
                thread.end()
                self._left = [*(left for left in self._left if left.is_alive), thread]
                raise
            except BaseException:
                self._idle.append(thread)
                raise
            self._idle.append(thread)
            return value

    async def close(self) -> None:
        """End all threads when no call is waited for; one whose call does not end in a second is left to itself."""
        async with anyio.create_task_group() as tasks:
            for thread in (*self._idle, *self._left):
                tasks.start_soon(thread.close, PATIENCE)
        self._idle.clear()
        self._left.clear()
