"""A scheduler for Tornado programs (layer 9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from apsched import _refs
from apsched._configuration import PREFIXES, configurable
from apsched.exceptions import MissingExtraError
from apsched.executors._asyncio_loop import AsyncioForeignLoop
from apsched.schedulers._framework import FrameworkScheduler

try:
    from tornado.ioloop import IOLoop
    from tornado.platform.asyncio import BaseAsyncIOLoop
except ImportError as exc:
    raise MissingExtraError("TornadoScheduler", "tornado") from exc


class TornadoScheduler(FrameworkScheduler[AsyncioForeignLoop]):
    """
    Awaits coroutine functions in the I/O loop of the program, and runs plain functions in threads.

    It keeps time in a thread of its own, so its verbs are plain calls, as in APScheduler 3; they take well under a
    millisecond with a store in memory. The loop may begin to run after `start`: coroutine functions wait for it.
    """

    _executors_of_framework: ClassVar[Mapping[str, str]] = {"asyncio": "tornado"}

    @configurable
    def __init__(
        self,
        gconfig: Mapping[str, Any] | None = None,
        *,
        prefix: str | Sequence[str] | None = PREFIXES,
        io_loop: IOLoop | str | None = None,
        **options: Any,
    ) -> None:
        """
        Make a scheduler that has not started.

        Args:
            gconfig: A dictionary of all options with dotted keys and texts, as in APScheduler 3.
            prefix: What its keys begin with.
            io_loop: The loop in which coroutine functions are awaited, or the reference `"package.module:name"` of
                one; None: the one that runs in the thread of `start`, then or later.
            **options: As in `BaseScheduler`.

        Raises:
            LookupError: An alias is not known, or a reference leads to nothing.
            TypeError: A value is of the wrong type, or there is no such parameter.
            ValueError: A value is out of range.
        """
        del gconfig, prefix  # `configurable` has read them
        self._loop = AsyncioForeignLoop()
        self._use(io_loop)
        super().__init__(**options)

    @configurable
    def configure(
        self,
        gconfig: Mapping[str, Any] | None = None,
        prefix: str | Sequence[str] | None = PREFIXES,
        *,
        io_loop: IOLoop | str | None = None,
        **options: Any,
    ) -> None:
        """
        Change what the constructor was given, before the start.

        Jobs that were added already have the defaults of the start, and keep the zones of their triggers.

        Args:
            gconfig: A dictionary of all options, as in the constructor.
            prefix: What its keys begin with.
            io_loop: As in the constructor.
            **options: As in `AsyncScheduler.configure`.

        Raises:
            SchedulerAlreadyRunningError: The scheduler runs.
            LookupError: An alias is not known, or a reference leads to nothing.
            TypeError: A value is of the wrong type.
            ValueError: A value is out of range.
        """
        del gconfig, prefix  # `configurable` has read them
        super().configure(**options)
        self._use(io_loop)

    def _use(self, io_loop: object) -> None:
        if isinstance(io_loop, str):
            io_loop = _refs.resolve(io_loop)
        if isinstance(io_loop, BaseAsyncIOLoop):
            self._loop.give(io_loop.asyncio_loop)
        elif io_loop is not None:
            raise TypeError(f"io_loop must be a Tornado IOLoop or the reference of one, got {io_loop!r}")
