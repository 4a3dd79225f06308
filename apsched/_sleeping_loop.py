"""An asyncio loop whose place another thread may take while it sleeps (layer 5).

Rule 1: the thread of the loop has the lock at all times but while it waits for something to do. Who has the lock is
alone with everything that is used in the thread of the loop.
Rule 2: while the thread of the loop waits for the lock, nobody else takes it who can do without.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar, TypeVarTuple

from apsched._late_pool import LatePool

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class _Selector(selectors.DefaultSelector):
    """Lets go of the lock while it sleeps."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()
        self.lock.acquire()
        self.is_waking = False  # whether the thread of the loop waits for the lock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(timeout)
        self.lock.release()
        try:
            return super().select(timeout)
        finally:
            if not self.lock.acquire(blocking=False):
                self.is_waking = True
                self.lock.acquire()
                self.is_waking = False


class SleepingLoop(asyncio.SelectorEventLoop):
    """An event loop; made in the thread in which it runs."""

    _ready: deque[asyncio.Handle]  # asyncio's own: what runs next

    def __init__(self) -> None:
        self._sleep = _Selector()
        self._guest: int | None = None
        super().__init__(self._sleep)
        self._has_pool = False

    def run_in_executor(self, executor: Any, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        if executor is None and not self._has_pool:  # asyncio's own refuses work once the main thread has ended
            self.set_default_executor(LatePool(thread_name_prefix="asyncio"))
        return super().run_in_executor(executor, func, *args)

    def set_default_executor(self, executor: Any) -> None:
        self._has_pool = True
        super().set_default_executor(executor)

    @property
    def is_guest(self) -> bool:
        """Whether the calling thread has taken the place of the loop's own."""
        return self._guest == threading.get_ident()

    def enter(self) -> bool:
        """
        Take the place of the thread of the loop if it sleeps; never waits.

        Returns:
            Whether the caller may now do what is else done in the thread of the loop, if it does not wait for anything;
            `leave` ends that.
        """
        sleep = self._sleep
        if sleep.is_waking or self.get_debug() or not sleep.lock.acquire(blocking=False):  # debugging forbids it
            return False
        self._guest = threading.get_ident()
        return True

    def leave(self) -> None:
        """Give the place back, and wake the loop if it has got something to do."""
        has_work = bool(self._ready)
        self._guest = None
        self._sleep.lock.release()
        if has_work:
            with suppress(RuntimeError):  # it has ended meanwhile
                self.call_soon_threadsafe(_do_nothing)

    @contextmanager
    def left(self) -> Generator[None]:
        """Give the place back for a while, or until the loop is closed."""
        self.leave()
        try:
            yield
        finally:
            self._sleep.lock.acquire()
            self._guest = threading.get_ident()

    def close(self) -> None:
        super().close()
        with suppress(RuntimeError):  # it was closed before
            self._sleep.lock.release()


def _do_nothing() -> None:
    """Be what a sleeping loop is woken with."""
