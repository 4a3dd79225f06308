"""Let an executor that was written for APScheduler 3 be one of this scheduler's (layer 7).

Rule 1: everything that the scheduler asks of that executor is done in one thread, as there; how runs end is told from
any thread.
Rule 2: a run ends with the event that tells of it, or where that executor says that it has ended in another way.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial, update_wrapper
from types import TracebackType
from typing import Any, Self, SupportsIndex

import anyio

from apsched import _eventloop
from apsched._eventloop import EventLoop, Waiter
from apsched._one_thread import OneThread
from apsched._refs import is_coroutine_callable, name_of
from apsched.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_MISSED
from apsched.exceptions import ExecutorRefusedError, MaxInstancesReachedError
from apsched.executors._base_of_3x import BaseExecutor
from apsched.executors._thread_runner import loop_name
from apsched.executors.base import Call, Executor
from apsched.job import Job
from apsched.triggers.date import DateTrigger

logger: logging.Logger = logging.getLogger("apsched.executors")

CAPACITY = 1000  # runs that an executor is given at a time if it does not say how many it can take
CLOSE_PATIENCE = 5.0  # seconds
NO_RUN = datetime(1970, 1, 1, tzinfo=UTC)  # the run time of a call that belongs to no run
ENDS = (EVENT_JOB_EXECUTED, EVENT_JOB_ERROR, EVENT_JOB_MISSED)


class SubmittedJob(Job):
    """
    A job as it is submitted: its callable notes when it is entered, and that job and that run alone.

    Pickled, it becomes a plain job with the callable itself; that counts as being entered.

    Attributes:
        call: What to call.
    """

    __slots__ = ("call",)

    call: Call

    @classmethod
    def of(cls, call: Call) -> SubmittedJob:
        """Make the job of *call*."""
        job = cls.__new__(cls)
        name = name_of(call.func)
        job.become(call.job or Job(id=f"{name}-{id(call)}", name=name, func=call.func, trigger=DateTrigger(NO_RUN)))
        job.call = call
        job.args, job.kwargs = call.args, call.kwargs
        job.misfire_grace_time = None  # the scheduler has decided about that
        if job.overlap == "allow":
            job.max_instances = CAPACITY
        job.func = update_wrapper(_entering(call), call.func)
        return job

    def __getstate__(self) -> dict[str, Any]:
        if self.call.started_at is None:
            self.call.started()
        plain = Job.__new__(Job)
        plain.become(self)
        plain.func = self.call.func
        return plain.__getstate__()

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        return _plain_job, (self.__getstate__(),)


def _plain_job(state: dict[str, Any]) -> Job:
    job = Job.__new__(Job)
    job.__setstate__(state)
    return job


def _entering(call: Call) -> Callable[..., Any]:
    """Return what calls the callable of *call* in its context, and notes that; of the same kind as that."""
    if not is_coroutine_callable(call.func):
        return lambda *args, **kwargs: call.context.run(_enter, call, args, kwargs)

    async def enter_coroutine(*args: Any, **kwargs: Any) -> Any:
        return await _enter_coroutine(call, args, kwargs)

    return enter_coroutine


def _enter(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    loop_name.set(None)  # a thread has no loop of that name
    call.started()
    return call.func(*args, **kwargs)


async def _enter_coroutine(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    for variable, value in call.context.items():
        if variable is not loop_name:  # it runs in a loop of its own
            variable.set(value)
    call.started()
    return await call.func(*args, **kwargs)


class _Errand:
    """A call that the executor has been given."""

    def __init__(self, call: Call, loop: EventLoop) -> None:
        self.job = SubmittedJob.of(call)
        self.run_time = NO_RUN if call.run is None else call.run.nominal_time
        self.is_given_up = False
        self.end: Waiter[tuple[Any, BaseException | None]] = loop.waiter()
        self._loop = loop

    def settle(self, value: Any, error: BaseException | None) -> None:
        try:
            self._loop.call_soon_threadsafe(partial(self.end.set, (value, error)))
        except RuntimeError:  # the scheduler has ended: nobody waits
            logger.debug("job %r ended after its scheduler", self.job.id)


class SchedulerOf3X:
    """
    What the executor is given as its scheduler: that, and what executors of APScheduler 3 use of theirs.

    Args:
        scheduler: The scheduler; None outside of one.
        bridge: Gets what the executor tells.
    """

    def __init__(self, scheduler: Any, bridge: BridgedExecutor) -> None:
        self._scheduler = scheduler
        self._dispatch_event = bridge.take_event
        self._job_ended = bridge.end_one

    def _create_lock(self) -> Any:
        return threading.RLock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scheduler, name)


class BridgedExecutor(Executor):
    """
    An executor for APScheduler 3.

    A run that is given up goes on there, as far as it has been submitted, and what comes of it is dropped.

    Args:
        executor: The executor.
    """

    def __init__(self, executor: BaseExecutor) -> None:
        self._executor = executor
        self._scheduler: Any = None
        self._alias = "default"
        self._thread: OneThread | None = None
        self._errands: list[_Errand] = []  # submitted and not ended
        self._lock = threading.Lock()  # for that list

    @property
    def capacity(self) -> int:  # type: ignore[override]  # it may be known only when the executor has started
        """What the executor says in `capacity`, the size of its pool, or 1000."""
        said = getattr(self._executor, "capacity", None)
        size = getattr(getattr(self._executor, "_pool", None), "_max_workers", None)
        return next((number for number in (said, size) if isinstance(number, int) and number > 0), CAPACITY)

    @property
    def behind(self) -> BaseExecutor:
        """The executor itself."""
        return self._executor

    def belong_to(self, scheduler: object, alias: str) -> None:
        """Let the executor know its scheduler, and its alias there, when it is entered."""
        self._scheduler = scheduler
        self._alias = alias

    async def __aenter__(self) -> Self:
        self._thread = OneThread("apsched-executor")
        try:
            await self._thread.call(self._executor.start, SchedulerOf3X(self._scheduler, self), self._alias)
        except BaseException:
            await self._thread.close()
            self._thread = None
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._thread is None:
            return
        thread, self._thread = self._thread, None
        try:
            with anyio.fail_after(CLOSE_PATIENCE, shield=True):
                await thread.call(self._executor.shutdown, not self._errands)
        except Exception:
            logger.warning("executor %r cannot be shut down", self._alias, exc_info=True)
        await thread.close()

    async def execute(self, call: Call) -> Any:
        if self._thread is None:
            raise ExecutorRefusedError("the executor takes no calls: it was not entered, or left")
        call.capture()
        errand = _Errand(call, _eventloop.current())
        try:
            await self._thread.call(self._submit, errand)
            value, error = await errand.end.wait()
        except BaseException:
            errand.is_given_up = True
            raise
        del errand  # no circle may stay: the traceback of an error has this frame
        if error is None:
            return value
        try:
            raise error
        finally:
            del error

    def _submit(self, errand: _Errand) -> None:
        if errand.is_given_up:
            return
        with self._lock:
            self._errands.append(errand)
        try:
            self._executor.submit_job(errand.job, [errand.run_time])
        except BaseException as exc:
            self._forget(errand)
            if isinstance(exc, MaxInstancesReachedError):  # of a run that was given up, and goes on
                raise ExecutorRefusedError(f"the executor takes no calls of job {errand.job.id!r}: {exc}") from exc
            raise

    # what the executor tells, from any thread

    def take_event(self, event: Any) -> None:
        """Let the run end that *event* tells of; other events have no effect."""
        if getattr(event, "code", None) not in ENDS:
            return
        errand = self._find(event.job_id, event.scheduled_run_time)
        if errand is None:
            return
        self._forget(errand)
        if event.code == EVENT_JOB_EXECUTED:
            errand.settle(event.retval, None)
        else:
            errand.settle(None, _error_of(event))

    def end_one(self, job_id: str, error: BaseException | None) -> None:
        """Let the oldest run of a job end, of which there is no event."""
        errand = self._find(job_id, None)
        if errand is not None:
            self._forget(errand)
            errand.settle(None, error)

    def _find(self, job_id: str, run_time: datetime | None) -> _Errand | None:
        with self._lock:
            errands = [errand for errand in self._errands if errand.job.id == job_id]
        exact = (errand for errand in errands if errand.run_time == run_time)
        return next(exact, errands[0] if errands else None)

    def _forget(self, errand: _Errand) -> None:
        with self._lock:
            if errand in self._errands:
                self._errands.remove(errand)

    def __repr__(self) -> str:
        return f"<BridgedExecutor ({self._executor!r})>"


def _error_of(event: Any) -> BaseException:
    error: BaseException | None = event.exception
    if error is None:
        what = "took the run for too late" if event.code == EVENT_JOB_MISSED else "told of an error"
        return RuntimeError(f"the executor {what}, and of no exception\n{event.traceback or ''}".rstrip())
    if error.__traceback__ is None and event.traceback:  # it comes from another process
        error.add_note(f"where it was raised:\n{event.traceback}")
    return error
