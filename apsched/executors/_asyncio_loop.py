"""Run coroutines in an asyncio loop of the program (layer 7)."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from types import FrameType

from apsched.executors._elsewhere import ForeignLoop
from apsched.executors._thread_runner import enter
from apsched.executors.base import Call, Ending


class AsyncioForeignLoop(ForeignLoop):
    """
    An asyncio loop, given or found.

    Where none is given, it is the one that runs in the thread of the latest `attach`, as soon as one does.
    """

    def __init__(self) -> None:
        self._given: asyncio.AbstractEventLoop | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.get_ident()

    def give(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let it be *loop*."""
        self._given = self._loop = loop

    def attach(self) -> None:
        self._thread = threading.get_ident()
        self._loop = _running_loop() if self._given is None or self._given.is_closed() else self._given

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop, if it is known; looks for it."""
        if self._loop is None:
            self._loop = _running_loop_of(self._thread)
        return self._loop

    @property
    def is_known(self) -> bool:
        return self.loop is not None

    @property
    def is_over(self) -> bool:
        return self._loop is not None and self._loop.is_closed()

    @property
    def is_running(self) -> bool:
        loop = self.loop
        return loop is not None and loop.is_running()

    @property
    def is_here(self) -> bool:
        loop = _running_loop()
        return loop is not None and loop is self.loop

    def call_soon(self, callback: Callable[[], object]) -> None:
        if (loop := self.loop) is None:
            raise RuntimeError("no event loop runs")
        if loop.is_closed():
            raise RuntimeError("the event loop of the program has closed")
        loop.call_soon_threadsafe(callback)


def start_coroutine(under_way: set[asyncio.Task[None]], call: Call, end: Ending) -> Callable[[], object]:
    """Await what *call* returns in a task of its own, in the loop in which that runs; *under_way* has it till then."""
    task = asyncio.get_running_loop().create_task(_carry_out(call, end), context=call.context)
    _tasks.add(task)
    under_way.add(task)
    task.add_done_callback(partial(_finish, under_way, end))
    return task.cancel


_tasks: set[asyncio.Task[None]] = set()  # the loop itself would not keep them


async def _carry_out(call: Call, end: Ending) -> None:
    """Let nothing out but Ctrl-C: what a job raises, even SystemExit, is for its run and not for the loop."""
    try:
        value = await enter(call)
    except (GeneratorExit, KeyboardInterrupt) as exc:
        end(None, exc)
        raise
    except BaseException as exc:
        end(None, exc)
    else:
        end(value, None)


def _finish(under_way: set[asyncio.Task[None]], end: Ending, task: asyncio.Task[None]) -> None:
    _tasks.discard(task)
    under_way.discard(task)
    if task.cancelled():  # before its first step
        end(None, asyncio.CancelledError())


def _running_loop_of(thread: int) -> asyncio.AbstractEventLoop | None:
    """
    Return the asyncio loop that runs in the thread of that identifier; None if none is seen.

    Python tells only the thread itself, so the callers of what it does at the moment are looked at: a loop is among the
    variables of the one that runs it. A loop of an extension module is seen if a function has it in a variable.
    """
    frame = sys._current_frames().get(thread)
    while frame is not None:
        for loop in _loops_in(frame):
            if loop.is_running():
                return loop
        frame = frame.f_back
    return None


def _loops_in(frame: FrameType) -> Iterator[asyncio.AbstractEventLoop]:
    for value in list(frame.f_locals.values()):
        if isinstance(value, asyncio.Runner):
            with suppress(RuntimeError):  # it is closed
                yield value.get_loop()
        elif isinstance(value, asyncio.AbstractEventLoop):
            yield value


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
