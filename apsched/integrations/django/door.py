"""Keep a job store open for code that waits for it, outside of any scheduler (layer 10).

Rule 1: nothing here joins as a node, so nothing is ever claimed or run.
Rule 2: the store is opened by the first call, once for each process, forked ones too.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Coroutine
from datetime import tzinfo
from typing import Any, TypeVar

import anyio

from apsched._portal import Portal
from apsched.engine.desk import Desk, opened
from apsched.jobstores.base import JobStore

T = TypeVar("T")

PATIENCE = 5.0  # seconds that the end of the interpreter waits for the store to close


class Door:
    """
    The way to a job store, from any thread.

    Args:
        make_store: Returns the store, not open.
        timezone: Of triggers that do not name their own.
    """

    def __init__(self, make_store: Callable[[], JobStore], timezone: tzinfo) -> None:
        self._make_store = make_store
        self._timezone = timezone
        self._portal = Portal("apsched-door")
        self._opening = threading.Lock()
        self._process = os.getpid()
        self._desk: Desk
        self._closing: anyio.Event
        atexit.register(self.close)

    def call(self, work: Callable[[Desk], Coroutine[Any, Any, T]]) -> T:
        """
        Let *work* be done on the open store, and return what it returns.

        Raises:
            JobStoreUnavailableError: The server does not answer.
            BaseException: What *work* raised.
        """
        if self._process != os.getpid():  # a fork has no thread but its own
            self._opening = threading.Lock()
            self._portal.forget()
            self._process = os.getpid()
        with self._opening:
            if not self._portal.is_running:
                self._portal.start(self._serve, daemon=True)
        return self._portal.call(work, self._desk)

    def close(self) -> None:
        """Close the store, if it is open."""
        if self._process == os.getpid() and self._portal.is_running:
            self._portal.call_soon(self._closing.set)
            self._portal.join(PATIENCE)

    async def _serve(self, started: Callable[[], None]) -> None:
        async with opened(self._make_store(), self._timezone) as self._desk:
            self._closing = anyio.Event()
            started()
            await self._closing.wait()
