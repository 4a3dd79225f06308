"""Carry out one run: call the callable through its executor and tell how it ended (layer 6)."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from contextvars import ContextVar
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Any, TypeAlias

import anyio

from apsched import _eventloop, _refs
from apsched._eventloop import TaskPool, Waiter
from apsched.clock import Clock, Wakeup
from apsched.engine.lease import Lease
from apsched.engine.results import Finished
from apsched.engine.slots import Slot, Slots
from apsched.exceptions import ExecutorRefusedError, SchedulerStateError
from apsched.executors.base import Call, Executor
from apsched.job import Job
from apsched.run import Outcome, Run

logger: logging.Logger = logging.getLogger("apsched.runs")

REFUSED = timedelta(seconds=1)  # after which a run that its executor refused goes back to its store

Sink: TypeAlias = Callable[[Finished], None]


class _UnderWay:
    """A run that was claimed and has not ended."""

    __slots__ = (
        "call",
        "cancel",
        "give_up",
        "goes_back",
        "is_entered",
        "job",
        "lease",
        "reason",
        "removes_job",
        "run",
        "sink",
        "slot",
    )

    def __init__(self, job: Job, run: Run, removes_job: bool, slot: Slot, sink: Sink, lease: Lease | None) -> None:
        self.job = job
        self.run = run
        self.lease = lease
        self.removes_job = removes_job
        self.slot = slot
        self.sink = sink
        self.call: Call | None = None
        self.cancel: Callable[[], object] | None = None  # cancels its task
        self.give_up: Callable[[], bool] | None = (
            None  # where it has no task: lets go of it, and says if it was entered
        )
        self.reason: str | None = None  # why it is being cancelled
        self.goes_back = False  # to its store, if it is cancelled before it has been started
        self.is_entered = False


_current: ContextVar[tuple[Runner, Run] | None] = ContextVar("apsched_current_run", default=None)


def current_run() -> Run:
    """
    Return the run that the calling code belongs to.

    Works in coroutine functions and in threads of the built-in executors, not in worker processes.

    Raises:
        SchedulerStateError: The calling code is not part of a run.
    """
    current = _current.get()
    if current is None:
        raise SchedulerStateError("current_run() was called outside of a run; call it from a job's callable")
    return current[1]


class Runner:
    """
    The runs under way on this node.

    Args:
        clock: Gives the times of the runs, and is told what is under way.
        slots: Where the executors are, and where each run takes and frees a slot.
        tasks: Where each run has its task.
    """

    def __init__(self, clock: Clock, slots: Slots, tasks: TaskPool) -> None:
        self._clock = clock
        self._slots = slots
        self._tasks = tasks
        self._under_way: dict[Run, _UnderWay] = {}
        self._idle_waiters: list[tuple[Executor | None, Waiter[None]]] = []

    def __len__(self) -> int:
        return len(self._under_way)

    @property
    def current_job(self) -> Job | None:
        """The job to whose run the calling code belongs; None outside of runs that are under way here."""
        current = _current.get()
        under_way = None if current is None else self._under_way.get(current[1])
        return None if under_way is None else under_way.job

    @property
    def is_inside(self) -> bool:
        """Whether the calling code belongs to a run that is under way here."""
        return self.current_job is not None

    def start(self, job: Job, run: Run, sink: Sink, *, removes_job: bool = False, lease: Lease | None = None) -> None:
        """
        Start *run*, which this node has claimed.

        Args:
            job: Its job.
            run: Claimed.
            sink: Gets the finished run, in the thread of the event loop.
            removes_job: Whether the run is the job's last.
            lease: Keeps the claim: while it cannot be trusted the callable is not entered, and the run goes back to its
                store. None: nothing can take the claim away.
        """
        self._clock.work_began()
        slot = self._slots.take(job.executor)
        if slot is None:
            reason = f"no executor has the alias {job.executor!r} any more"
            sink(Finished(_closed(run, Outcome.FAILED, self._clock, None, reason=reason), None, removes_job))
            return
        under_way = self._under_way[run] = _UnderWay(job, run, removes_job, slot, sink, lease)
        if slot.executor.can_submit and not isinstance(job.func, str):
            self._submit(under_way, job.func)
        else:
            under_way.cancel = self._tasks.start(self._run, under_way)

    def cancel(self, run: Run, reason: str) -> bool:
        """Cancel *run*, started or not; False if it is not under way here."""
        run_id = run.id
        under_way = next((known for known in self._under_way.values() if known.run.id == run_id), None)
        if under_way is None:
            return False
        self._cancel(under_way, reason)
        return True

    def forfeit(self, lease: Lease, reason: str) -> None:
        """Cancel every run whose claim *lease* kept, which is lost; what becomes of them is not stored."""
        for under_way in list(self._under_way.values()):
            if under_way.lease is lease:
                self._cancel(under_way, reason)

    def ids(self) -> set[str]:
        """Return the ids of the runs under way."""
        return {run.id for run in self._under_way}

    def cancel_all(self, reason: str, executor: str | None = None) -> None:
        """Cancel every run, or those on the executor of that alias; what has not started goes back to its store."""
        for under_way in list(self._under_way.values()):
            if executor in (None, under_way.job.executor):
                under_way.goes_back = True
                self._cancel(under_way, reason)

    async def wait_until_idle(self, executor: Executor | None = None) -> None:
        """Return when no run is under way, or none on *executor*."""
        if self._is_idle(executor):
            return
        waiter: Waiter[None] = _eventloop.current().waiter()
        self._idle_waiters.append((executor, waiter))
        await waiter.wait()

    def _is_idle(self, executor: Executor | None) -> bool:
        if executor is None:
            return not self._under_way
        return not any(under_way.slot.executor is executor for under_way in self._under_way.values())

    def _submit(self, under_way: _UnderWay, func: Callable[..., Any]) -> None:
        """Run it without a task of its own."""
        call = self._make_call(under_way, func)
        call.capture()
        call.context.run(_current.set, (self, under_way.run))
        try:
            under_way.give_up = under_way.slot.executor.submit(call, partial(self._end_submitted, under_way))
        except Exception as exc:  # refused; or an executor of somebody else's that is broken
            self._end_submitted(under_way, None, exc)

    def _end_submitted(self, under_way: _UnderWay, value: Any, exception: BaseException | None) -> None:
        if exception is None:
            outcome, error = Outcome.SUCCEEDED, None
        elif isinstance(exception, ExecutorRefusedError):
            under_way.give_up = None
            under_way.cancel = self._tasks.start(self._end_refused, under_way, str(exception))
            return
        else:
            outcome, error = Outcome.FAILED, _describe(exception)
        run = _closed(under_way.run, outcome, self._clock, under_way.call, retval=value, error=error)
        self._end(under_way, Finished(run, exception, under_way.removes_job))

    def _make_call(self, under_way: _UnderWay, func: Callable[..., Any]) -> Call:
        job, run = under_way.job, under_way.run
        args = job.args if run.args is None else run.args
        kwargs = job.kwargs if run.kwargs is None else run.kwargs
        enter = self._clock.now if under_way.lease is None else under_way.lease.enter
        call = under_way.call = Call(func, args, kwargs, enter, job, run)
        return call

    async def _run(self, under_way: _UnderWay) -> None:
        if under_way.reason is not None:  # cancelled before this first step, which trio takes nevertheless
            return
        under_way.is_entered = True
        job, run = under_way.job, under_way.run
        _current.set((self, run))
        outcome = Outcome.SUCCEEDED
        retval = error = None
        exception: BaseException | None = None
        try:
            func = job.func if not isinstance(job.func, str) else _refs.resolve(job.func)
            retval = await under_way.slot.executor.execute(self._make_call(under_way, func))
        except ExecutorRefusedError as exc:
            await self._end_refused(under_way, str(exc))
            return
        except BaseException as exc:
            if under_way.reason is not None and _is_cancellation(exc):
                self._end_cancelled(under_way)
                return
            outcome, exception, error = Outcome.FAILED, exc, _describe(exc)
        finished_run = _closed(run, outcome, self._clock, under_way.call, retval=retval, error=error)
        self._end(under_way, Finished(finished_run, exception, under_way.removes_job))

    def _cancel(self, under_way: _UnderWay, reason: str) -> None:
        if under_way.reason is None:
            under_way.reason = reason
            if under_way.give_up is not None:
                self._end_cancelled(under_way, was_entered=under_way.give_up())
            elif not under_way.is_entered:  # its task will end without having run a line
                self._end_cancelled(under_way, was_entered=False)
        if under_way.cancel is not None:
            under_way.cancel()

    def _end_cancelled(self, under_way: _UnderWay, *, was_entered: bool | None = None) -> None:
        call = under_way.call
        if was_entered is None:
            was_entered = call is not None and call.started_at is not None
        outcome = Outcome.CANCELLED if was_entered or not under_way.goes_back else Outcome.PENDING
        run = _closed(under_way.run, outcome, self._clock, call, reason=under_way.reason)
        self._end(under_way, Finished(run, None, under_way.removes_job))

    async def _end_refused(self, under_way: _UnderWay, reason: str) -> None:
        """Hand the run back after a pause, so that an executor which goes on refusing does not keep the node busy."""
        if under_way.reason is not None:  # cancelled before this first step
            return
        under_way.is_entered = True
        try:
            await self._clock.wait(Wakeup(), self._clock.now() + REFUSED)
        except anyio.get_cancelled_exc_class():
            self._end_cancelled(under_way)
            return
        self._end(under_way, Finished(_closed(under_way.run, Outcome.PENDING, self._clock, None, reason=reason)))

    def _end(self, under_way: _UnderWay, finished: Finished) -> None:
        del self._under_way[under_way.run]
        if under_way.lease is not None and under_way.lease.is_lost:
            finished.is_forfeit = finished.run.outcome is not Outcome.SUCCEEDED  # cancelled by that, one way or another
        under_way.sink(finished)
        slot = under_way.slot  # an event loop has so many slots that none needs to be claimed ahead
        self._slots.give_back(slot, finished.run.duration if slot.executor.can_submit else None)
        if self._idle_waiters:
            for executor, waiter in self._idle_waiters:
                if self._is_idle(executor):
                    waiter.set(None)


def _closed(
    run: Run,
    outcome: Outcome,
    clock: Clock,
    call: Call | None,
    *,
    retval: Any = None,
    error: str | None = None,
    reason: str | None = None,
) -> Run:
    """Return *run* as it ended; written out because `attrs.evolve` costs as much as the rest of a run."""
    is_final = outcome is not Outcome.PENDING
    return Run(
        job_id=run.job_id,
        nominal_time=run.nominal_time,
        outcome=outcome,
        due_time=run.due_time,
        first_nominal_time=run.first_nominal_time,
        count=run.count,
        is_manual=run.is_manual,
        epoch=run.epoch,
        node=run.node,
        claimed_at=run.claimed_at,
        started_at=call.started_at if is_final and call is not None else None,
        finished_at=clock.now() if is_final else None,
        retval=retval,
        error=error,
        reason=reason,
        args=run.args,
        kwargs=run.kwargs,
    )


def _is_cancellation(exc: BaseException) -> bool:
    """Whether *exc* is that of a task which was cancelled; a trio nursery gives a group of them."""
    cancelled = anyio.get_cancelled_exc_class()
    if isinstance(exc, BaseExceptionGroup):
        return exc.split(cancelled)[1] is None
    return isinstance(exc, cancelled)


def _describe(exc: BaseException) -> str:
    """Return the traceback of *exc* from the callable on, without the frames that led there."""
    frames = exc.__traceback__
    while frames is not None and frames.tb_next is not None and _is_own(frames):
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(exc), exc, frames))


def _is_own(frame: TracebackType) -> bool:
    module: str = frame.tb_frame.f_globals.get("__name__", "")
    return module.startswith(("apsched.engine.", "apsched.executors."))
