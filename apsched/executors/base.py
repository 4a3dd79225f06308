"""The port of executors (layer 5)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextvars import Context, copy_context
from datetime import datetime
from types import TracebackType
from typing import Any, Self


class Call:
    """
    One call of a job's callable.

    Attributes:
        func: The callable.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
        context: The context variables to call it in; taken by `capture`.
        started_at: When the callable was entered, aware UTC; set by `started`, None before.
    """

    __slots__ = ("_now", "args", "context", "func", "kwargs", "started_at")

    def __init__(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        now: Callable[[], datetime],
    ) -> None:
        self.func = func
        self.args = args
        self.kwargs = kwargs
        self.context: Context
        self.started_at: datetime | None = None
        self._now = now

    def capture(self) -> None:
        """Take the context variables of the calling task, for an executor that calls the callable elsewhere."""
        self.context = copy_context()

    def started(self) -> None:
        """Note that the callable is being entered; the executor calls it at that moment, from any thread."""
        self.started_at = self._now()


class Executor(ABC):
    """
    Runs calls, in the event loop or elsewhere; knows neither jobs nor schedulers.

    Entered and left in the event loop: entering starts what it needs, leaving ends it, with nothing left behind.

    Attributes:
        capacity: How many calls may be under way at a time, at least 1. The scheduler claims no more runs than that,
            and a few to come next.
    """

    capacity: int

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    @abstractmethod
    async def execute(self, call: Call) -> Any:
        """
        Run *call* and return what it returns; cancelling gives it up.

        Args:
            call: What to call; `call.started()` is called when that happens.

        Raises:
            ExecutorRefusedError: The call was not and will not be entered; it may be given to another node.
            WorkerDiedError: The process that ran it ended.
            BaseException: Whatever the callable raised.
        """
