"""Connect a scheduler with the event loop of a framework (layer 9)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Generic

from apsched.async_scheduler import AsyncScheduler, check_wait
from apsched.exceptions import SchedulerStateError
from apsched.executors._elsewhere import ForeignLoop, L, UsesForeignLoop
from apsched.executors.base import Executor
from apsched.schedulers.base import BaseScheduler


class FrameworkCore(AsyncScheduler):
    """
    The core of a scheduler whose jobs may run in the event loop of a framework.

    Args:
        loop: That event loop.
        executors_of_framework: Alias -> plugin of the executors that it has beside or instead of the usual ones.
        **options: As in `AsyncScheduler`.
    """

    def __init__(self, loop: ForeignLoop, executors_of_framework: Mapping[str, str], **options: Any) -> None:
        self._loop_of_framework = loop
        self._own_executors = {**AsyncScheduler._own_executors, **executors_of_framework}  # type: ignore[misc]  # each its own
        super().__init__(**options)

    def _make_executor(self, value: object, options: Mapping[str, Any] | None = None) -> Executor:
        executor = super()._make_executor(value, options)
        if isinstance(executor, UsesForeignLoop):
            executor.use_loop(self._loop_of_framework)
        return executor

    async def shutdown_in_loop(self, wait: bool | float) -> None:
        """Shut down where the framework's event loop stands still meanwhile: its runs are cancelled at once."""
        check_wait(wait)
        self._check_serving()
        self.request_stop(wait)
        for alias, executor in self._executors.items():
            if isinstance(executor, UsesForeignLoop) and self._runner is not None:
                executor.refuse()
                self._runner.cancel_all("the scheduler was shut down where the run could not go on meanwhile", alias)
        await self.shutdown(wait)


class FrameworkScheduler(BaseScheduler, Generic[L]):
    """The base of the schedulers that know the event loop of a framework: that of the thread of `start`."""

    _executors_of_framework: ClassVar[Mapping[str, str]] = {}

    _loop: L  # set before the rest of the constructor

    def start(self, paused: bool = False) -> None:
        if not self.running:
            self._loop.attach()
        super().start(paused)

    def shutdown(self, wait: bool | float = True) -> None:
        """
        Shut the scheduler down; no thread of it is left when this returns, but those of jobs that were given up.

        Called where the framework's event loop cannot go on meanwhile, in its thread or after its end, it cancels the
        runs in that loop at once and waits for the others. From another thread, of a coroutine function for example by
        `await asyncio.to_thread(scheduler.shutdown)`, it waits for them all. Called from a job or a listener with
        `wait=False`, it returns at once and the scheduler ends by itself.

        Args:
            wait: True: wait for runs under way, however long; a number: so many seconds, from 0 on; False: not at all.

        Raises:
            SchedulerNotRunningError: It is not running.
            SchedulerStateError: It is called from a job or a listener and would wait for that.
            TypeError: *wait* is neither a truth value nor a number.
            ValueError: *wait* is negative or not a number (nan).
        """
        stands_still = self._loop.is_here or not self._loop.is_running
        if not stands_still or self._core.is_inside or not isinstance(self._core, FrameworkCore):
            super().shutdown(wait)
            return
        self._portal.call(self._core.shutdown_in_loop, wait)
        self._portal.join()

    def _make_core(self, **options: Any) -> AsyncScheduler:
        return FrameworkCore(self._loop, self._executors_of_framework, **options)

    def _check_may_wait(self, verb: str) -> None:
        if self.running and self._loop.is_here:
            raise SchedulerStateError(
                f"{verb} must wait for runs, and those in the event loop of this thread cannot go on meanwhile; "
                "call it from another thread, for example by await asyncio.to_thread(...)"
            )
