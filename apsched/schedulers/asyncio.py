"""A scheduler for programs that run an asyncio loop (layer 9)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from apsched import _refs
from apsched._configuration import PREFIXES, configurable
from apsched.executors._asyncio_loop import AsyncioForeignLoop
from apsched.schedulers._framework import FrameworkScheduler


class AsyncIOScheduler(FrameworkScheduler[AsyncioForeignLoop]):
    """
    Awaits coroutine functions in the asyncio loop of the program, and runs plain functions in threads.

    It keeps time in a thread of its own, so its verbs are plain calls, as in APScheduler 3; they take well under a
    millisecond with a store in memory. The loop may begin to run after `start`: coroutine functions wait for it.
    """

    @configurable
    def __init__(
        self,
        gconfig: Mapping[str, Any] | None = None,
        *,
        prefix: str | Sequence[str] | None = PREFIXES,
        event_loop: asyncio.AbstractEventLoop | str | None = None,
        **options: Any,
    ) -> None:
        """
        Make a scheduler that has not started.

        Args:
            gconfig: A dictionary of all options with dotted keys and texts, as in APScheduler 3.
            prefix: What its keys begin with.
            event_loop: The loop in which coroutine functions are awaited, or the reference `"package.module:name"` of
                one; None: the one that runs in the thread of `start`, then or later.
            **options: As in `BaseScheduler`.

        Raises:
            LookupError: An alias is not known, or a reference leads to nothing.
            TypeError: A value is of the wrong type, or there is no such parameter.
            ValueError: A value is out of range.
        """
        del gconfig, prefix  # `configurable` has read them
        self._loop = AsyncioForeignLoop()
        self._use(event_loop)
        super().__init__(**options)

    @configurable
    def configure(
        self,
        gconfig: Mapping[str, Any] | None = None,
        prefix: str | Sequence[str] | None = PREFIXES,
        *,
        event_loop: asyncio.AbstractEventLoop | str | None = None,
        **options: Any,
    ) -> None:
        """
        Change what the constructor was given, before the start.

        Jobs that were added already have the defaults of the start, and keep the zones of their triggers.

        Args:
            gconfig: A dictionary of all options, as in the constructor.
            prefix: What its keys begin with.
            event_loop: As in the constructor.
            **options: As in `AsyncScheduler.configure`.

        Raises:
            SchedulerAlreadyRunningError: The scheduler runs.
            LookupError: An alias is not known, or a reference leads to nothing.
            TypeError: A value is of the wrong type.
            ValueError: A value is out of range.
        """
        del gconfig, prefix  # `configurable` has read them
        super().configure(**options)
        self._use(event_loop)

    @property
    def _eventloop(self) -> asyncio.AbstractEventLoop | None:
        """The name of the loop in APScheduler 3, by which programs set it before the start."""
        return self._loop.loop

    @_eventloop.setter
    def _eventloop(self, event_loop: asyncio.AbstractEventLoop) -> None:
        self._use(event_loop)

    def _use(self, event_loop: object) -> None:
        if isinstance(event_loop, str):
            event_loop = _refs.resolve(event_loop)
        if isinstance(event_loop, asyncio.AbstractEventLoop):
            self._loop.give(event_loop)
        elif event_loop is not None:
            raise TypeError(f"event_loop must be an asyncio event loop or the reference of one, got {event_loop!r}")
