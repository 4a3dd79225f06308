"""Carry out calls that block in one thread, one after the other (layer 5)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeAlias, TypeVar, TypeVarTuple

import anyio

from apsched import _eventloop
from apsched._eventloop import EventLoop, Waiter

logger: logging.Logger = logging.getLogger(__name__)

CLOSE_PATIENCE = 5.0  # seconds that closing waits for a call that is under way

T = TypeVar("T")
Args = TypeVarTuple("Args")
Answer: TypeAlias = "tuple[Any, BaseException | None]"
Errand: TypeAlias = "tuple[Callable[[], Any], Callable[[Answer], None]]"


class OneThread:
    """
    A daemon thread, which starts at once.

    Args:
        name: Its name.
    """

    def __init__(self, name: str) -> None:
        self._queue: SimpleQueue[Errand | None] = SimpleQueue()
        self._last: Waiter[Answer | None] | None = None
        self._thread = threading.Thread(target=_work, args=(self._queue,), name=name, daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._thread.is_alive()

    async def call(self, func: Callable[[*Args], T], *args: *Args) -> T:
        """
        Call *func* when all earlier calls have ended, and return what it returns.

        Cancelling lets go at once; the call is made, or goes on, all the same.

        Raises:
            BaseException: What *func* raises.
        """
        answer: Waiter[Answer] = self._post(partial(func, *args))
        value, error = await answer.wait()
        if error is None:
            return value  # type: ignore[no-any-return]  # what func returned
        try:
            raise error
        finally:
            del error  # no circle may stay: the traceback of an error has this frame

    def end(self) -> Waiter[Answer | None]:
        """Let the thread end when all calls have ended, and wait for nothing; only `close` may come after it."""
        self._last = self._post(int)
        self._queue.put(None)
        return self._last

    async def close(self, patience: float | None = None) -> None:
        """
        End the thread when all calls have ended.

        Args:
            patience: Seconds after which one that has not ended is left to itself; None for 5.
        """
        last = self._last or self.end()
        with anyio.CancelScope(shield=True):
            if await last.wait_for(CLOSE_PATIENCE if patience is None else patience, None) is None:
                logger.warning("left thread %s, which is in a call that does not end", self._thread.name)
            else:
                self._thread.join()

    def _post(self, func: Callable[[], Any]) -> Waiter[Any]:
        loop = _eventloop.current()
        answer = loop.waiter()
        self._queue.put((func, partial(_hand_over, loop, answer)))
        return answer


def _hand_over(loop: EventLoop, answer: Waiter[Answer], value: Answer) -> None:
    with suppress(RuntimeError):  # the loop has ended: nobody waits
        loop.call_soon_threadsafe(partial(answer.set, value))


def _work(queue: SimpleQueue[Errand | None]) -> None:
    while (errand := queue.get()) is not None:
        func, hand_over = errand
        try:
            answer: Answer = (func(), None)
        except BaseException as exc:
            answer = (None, exc)
        hand_over(answer)
        del errand, func, hand_over, answer  # a thread that waits holds no result
