"""Call plain listeners in a thread of their own (layer 6)."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from contextvars import copy_context
from queue import SimpleQueue
from typing import TypeAlias

import anyio

from apsched import _eventloop
from apsched._eventloop import Waiter

Work: TypeAlias = tuple[Callable[[], object], Waiter[None]]


class ListenerThread:
    """
    One daemon thread, started with the first call; what runs in it may block and call the blocking face.

    Used in one event loop, from construction to `close`. What it is given to call must not raise.
    """

    def __init__(self) -> None:
        self._loop = _eventloop.current()
        self._queue: SimpleQueue[Work | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    async def call(self, func: Callable[[], object]) -> None:
        """Call *func* in the thread, in a copy of this context, and return when it has returned."""
        if self._thread is None and not self._start():
            func()  # in the event loop rather than not at all
            return
        waiter: Waiter[None] = self._loop.waiter()
        context = copy_context()
        self._queue.put((lambda: context.run(func), waiter))
        with anyio.CancelScope(shield=True):  # nothing else may be called while it runs
            await waiter.wait()

    def close(self) -> None:
        """End the thread and wait for that; nothing is being called."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _start(self) -> bool:
        thread = threading.Thread(target=self._work, name="apsched-listeners", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # out of threads, or the interpreter is ending
            return False
        self._thread = thread
        return True

    def _work(self) -> None:
        while (work := self._queue.get()) is not None:
            func, waiter = work
            func()
            with contextlib.suppress(RuntimeError):  # the event loop has ended: nobody waits
                self._loop.call_soon_threadsafe(lambda waiter=waiter: waiter.set(None))  # type: ignore[misc]
            del work, func, waiter
