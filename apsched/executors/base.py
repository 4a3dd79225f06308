"""The port of executors (layer 5)."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextvars import Context, copy_context
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeAlias

from apsched.exceptions import MaxInstancesReachedError
from apsched.executors._base_of_3x import BaseExecutor, run_coroutine_job, run_job
from apsched.job import Job
from apsched.run import Run

__all__ = [  # what executors for APScheduler 3 need is here too, as there
    "BaseExecutor",
    "Call",
    "Ending",
    "Executor",
    "MaxInstancesReachedError",
    "run_coroutine_job",
    "run_job",
]

Ending: TypeAlias = Callable[[Any, BaseException | None], None]
"""(what the callable returned, what it raised or None); called once, in the thread of the event loop."""


class Call:
    """
    One call of a job's callable.

    Attributes:
        func: The callable.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
        job: The job, for executors that were written for APScheduler 3; None outside of a scheduler.
        run: The run, likewise.
        context: The context variables to call it in; taken by `capture`.
        started_at: When the callable was entered, aware UTC; set by `started`, None before.
        ended_at: When it was left, aware UTC; set by `ended`, None before, and where its executor does not say so.
    """

    __slots__ = ("_end_now", "_now", "args", "context", "ended_at", "func", "job", "kwargs", "run", "started_at")

    def __init__(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        now: Callable[[], datetime],
        job: Job | None = None,
        run: Run | None = None,
        end_now: Callable[[], datetime] | None = None,
    ) -> None:
        self.func: Callable[..., Any] = func
        self.args: tuple[Any, ...] = args
        self.kwargs: Mapping[str, Any] = kwargs
        self.job: Job | None = job
        self.run: Run | None = run
        self.context: Context
        self.started_at: datetime | None = None
        self.ended_at: datetime | None = None
        self._now = now
        self._end_now = end_now

    def capture(self) -> None:
        """Take the context variables of the calling task, for an executor that calls the callable elsewhere."""
        self.context = copy_context()

    def started(self) -> None:
        """Note that the callable is being entered; the executor calls it at that moment, from any thread."""
        self.started_at = self._now()

    def ended(self) -> None:
        """
        Note that the callable has just been left, from any thread.

        An executor whose calls end elsewhere than in the event loop should say so there, since the loop may come to it
        much later.
        """
        if self._end_now is not None:
            self.ended_at = self._end_now()


class Executor(ABC):
    """
    Runs calls, in the event loop or elsewhere; knows neither jobs nor schedulers.

    Entered and left in the event loop: entering starts what it needs, leaving ends it, with nothing left behind.

    Attributes:
        capacity: How many calls may be under way at a time, at least 1. The scheduler claims no more runs than that,
            and a few to come next.
        can_submit: Whether `submit` works; it spares a task for each call.
        takes_coroutines: Whether coroutine functions come here where it has the alias `default`; otherwise they go to
            `asyncio` then.
    """

    capacity: int
    can_submit: bool = False
    takes_coroutines: bool = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Warn of methods that APScheduler 3 would call, and this scheduler does not."""
        super().__init_subclass__(**kwargs)
        for name in ("submit_job", "_do_submit_job", "_run_job_success", "_run_job_error"):
            if name in vars(cls):
                warnings.warn(
                    f"{cls.__qualname__} overrides {name}(), which the scheduler does not call; override execute(), or "
                    "derive from BaseExecutor or BasePoolExecutor to keep what was written for APScheduler 3",
                    stacklevel=2,
                )

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

    @property
    def stuck(self) -> int:
        """How many calls were given up and have not ended, as far as is known."""
        return 0

    def check(self, func: Callable[..., Any]) -> None:
        """
        Raise an error if *func* can never be called here; asked when a job is added, so that nobody learns it later.

        Raises:
            ValueError: It cannot; the message says why, and what to do.
        """

    def submit(self, call: Call, end: Ending) -> Callable[[], bool]:
        """
        Run *call* without a task that waits for it; only if `can_submit`.

        Args:
            call: What to call; its context has been taken.
            end: Is called when the call has ended, unless it was given up.

        Returns:
            What gives the call up: False says that it was not entered and never will be.

        Raises:
            ExecutorRefusedError: The call was not and will not be entered.
        """
        raise NotImplementedError(f"{type(self).__name__} executes calls in tasks; use execute")
