"""Carry out one run: call the callable through its executor and tell how it ended (layer 6)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeAlias

import anyio
import anyio.to_thread

from apsched import _eventloop, _refs
from apsched._current import current, job_of_current
from apsched._eventloop import Started, TaskPool, Waiter
from apsched.clock import Clock, Wakeup
from apsched.engine.attempts import after_failure
from apsched.engine.deadlines import Deadline, Deadlines
from apsched.engine.ended import closed, describe, is_cancellation
from apsched.engine.lease import Lease
from apsched.engine.middleware import Inside, Middleware, call_through, enter_around
from apsched.engine.results import Finished
from apsched.engine.slots import Slot, Slots
from apsched.engine.watchdog import Watchdog
from apsched.exceptions import ExecutorRefusedError, JobTimeoutError
from apsched.executors.base import Call, Executor
from apsched.job import Job
from apsched.run import Outcome, Run

logger: logging.Logger = logging.getLogger("apsched.runs")

REFUSED = timedelta(seconds=1)  # after which a run that its executor refused goes back to its store

NOT_CALLED = "a middleware answered in place of the callable"
LEAVE_TIMEOUT = 10.0  # seconds that leaving waits at most for tasks that were cancelled

Sink: TypeAlias = Callable[[Finished], None]
SubmittedEnding: TypeAlias = Callable[["_UnderWay", Any, BaseException | None], None]


class _UnderWay:
    """A run that was claimed and has not ended."""

    __slots__ = (
        "call",
        "deadline",
        "give_up",
        "goes_back",
        "is_entered",
        "is_left",
        "job",
        "lease",
        "reason",
        "refusal",
        "removes_job",
        "run",
        "sink",
        "slot",
        "task",
        "when_ended",
    )

    def __init__(
        self,
        job: Job,
        run: Run,
        removes_job: bool,
        slot: Slot,
        sink: Sink,
        lease: Lease | None,
        when_ended: SubmittedEnding,
    ) -> None:
        self.job = job
        self.run = run
        self.lease = lease
        self.removes_job = removes_job
        self.slot = slot
        self.sink = sink
        self.when_ended = when_ended
        self.call: Call | None = None
        self.task: Started | None = None
        self.give_up: Callable[[], bool] | None = (
            None  # where it has no task: lets go of it, and says if it was entered
        )
        self.deadline: Deadline | None = None
        self.reason: str | None = None  # why it is being cancelled
        self.refusal: str | None = None  # of its executor, within middleware
        self.goes_back = False  # to its store, if it is cancelled before it has been started
        self.is_entered = False
        self.is_left = False  # it has ended for everybody but its own task, which goes on

    def end_submitted(self, value: Any, exception: BaseException | None) -> None:
        """Be the end of its call, where it has no task; one object where a partial consists of four."""
        self.when_ended(self, value, exception)


class Runner:
    """
    The runs under way on this node.

    Args:
        clock: Gives the times of the runs, and is told what is under way.
        slots: Where the executors are, and where each run takes and frees a slot.
        tasks: Where each run has its task.
        middleware: What is around each run, the first one outermost.
        watchdog: Watches the event loop while runs are under way.
    """

    def __init__(
        self,
        clock: Clock,
        slots: Slots,
        tasks: TaskPool,
        middleware: Sequence[Middleware] = (),
        watchdog: Watchdog | None = None,
    ) -> None:
        self._clock = clock
        self._now = clock.now  # these two are made once, not for each run
        self._when_ended = self._end_submitted
        self._slots = slots
        self._tasks = tasks
        self._middleware = middleware
        self._watchdog = watchdog
        if watchdog is not None:
            watchdog.is_busy = self.__len__
        self._under_way: dict[Run, _UnderWay] = {}
        self._idle_waiters: list[tuple[Executor | None, Waiter[None]]] = []
        self._deadlines = Deadlines(clock, tasks)
        self._left: set[_UnderWay] = set()
        self._for_work: list[Wakeup] = []
        self._rest: Waiter[None] | None = None  # set when no task is left

    def __len__(self) -> int:
        return len(self._under_way)

    @property
    def current_job(self) -> Job | None:
        """The job to whose run the calling code belongs; None outside of runs that are under way here."""
        under_way = self._under_way.get(current.get())
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
        if self._watchdog is not None and not self._watchdog.is_awake:
            self._watchdog.wake()
        slot = self._slots.take(job.executor)
        if slot is None:
            reason = f"no executor has the alias {job.executor!r} any more"
            sink(Finished(closed(run, Outcome.FAILED, self._clock, None, reason=reason), None, removes_job))
            return
        if not self._under_way:
            for wakeup in self._for_work:
                wakeup.set()
        under_way = self._under_way[run] = _UnderWay(job, run, removes_job, slot, sink, lease, self._when_ended)
        if job.timeout is not None:
            under_way.deadline = self._deadlines.add(job.timeout, partial(self._time_out, under_way, job.timeout))
        if slot.executor.can_submit and not isinstance(job.func, str) and not self._middleware:
            self._submit(under_way, job.func)
        else:
            under_way.task = self._tasks.start(self._run, under_way)
            if under_way.reason is not None:  # its first step has cancelled it, which asyncio takes at once since 3.12
                under_way.task.cancel()

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

    def claims(self) -> set[tuple[str, int]]:
        """Return the ids of the runs under way, each with the epoch of its claim."""
        return {(run.id, run.epoch) for run in self._under_way}

    def wake_for_work(self, wakeup: Wakeup) -> None:
        """Set *wakeup* whenever a run begins after there was none."""
        self._for_work.append(wakeup)

    def leave_asleep(self, wakeup: Wakeup) -> None:
        """Set *wakeup* no more."""
        self._for_work.remove(wakeup)

    def under(self, lease: Lease) -> list[Run]:
        """Return the runs under way whose claims *lease* keeps."""
        return [run for run, under_way in self._under_way.items() if under_way.lease is lease]

    def cancel_all(self, reason: str, executor: str | None = None) -> None:
        """Cancel every run, or those on the executor of that alias; what has not started goes back to its store."""
        for under_way in list(self._under_way.values()):
            if executor in (None, under_way.job.executor):
                under_way.goes_back = True
                self._cancel(under_way, reason)

    async def leave(self) -> None:
        """
        Wait for tasks that were cancelled, at most 10 seconds; what does not end then is left alone and logged.

        On trio a task cannot be left alone; there it is the last word of whoever shields itself from cancellation.
        """
        self._deadlines.close()
        if self._under_way or self._left:
            self._rest = _eventloop.current().waiter()
            with anyio.CancelScope(shield=True):
                await self._rest.wait_for(LEAVE_TIMEOUT, None)
        for under_way in list(self._under_way.values()):
            self._leave_task(under_way)
            self._end_cancelled(under_way)
        if self._left:
            logger.warning(
                "left %d runs that go on although they were cancelled: %s",
                len(self._left),
                ", ".join(sorted(under_way.run.id for under_way in self._left)),
            )
            self._tasks.abandon()

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
        call.context.run(_make_current, under_way.run, under_way.job)
        try:
            under_way.give_up = under_way.slot.executor.submit(call, under_way.end_submitted)
        except Exception as exc:  # refused; or an executor of somebody else's that is broken
            self._end_submitted(under_way, None, exc)

    def _end_submitted(self, under_way: _UnderWay, value: Any, exception: BaseException | None) -> None:
        if exception is None:
            outcome, error = Outcome.SUCCEEDED, None
        elif isinstance(exception, ExecutorRefusedError):
            under_way.give_up = None
            under_way.task = self._tasks.start(self._end_refused, under_way, str(exception))
            return
        else:
            outcome, error = Outcome.FAILED, describe(exception)
        run = closed(under_way.run, outcome, self._clock, under_way.call, retval=value, error=error)
        if exception is not None:
            run = after_failure(under_way.job, run, exception, self._clock.now())
        self._end(under_way, Finished(run, exception, under_way.removes_job))

    def _make_call(self, under_way: _UnderWay, func: Callable[..., Any]) -> Call:
        job, run = under_way.job, under_way.run
        args = job.args if run.args is None else run.args
        kwargs = job.kwargs if run.kwargs is None else run.kwargs
        enter = self._now if under_way.lease is None else under_way.lease.enter
        if under_way.deadline is not None:
            enter = partial(self._enter, under_way.deadline, enter)
        call = under_way.call = Call(func, args, kwargs, enter, job, run, None if self._middleware else self._now)
        return call

    def _enter(self, deadline: Deadline, enter: Callable[[], datetime]) -> datetime:
        moment = enter()
        deadline.entered = self._clock.monotonic()
        return moment

    async def _run(self, under_way: _UnderWay) -> None:
        try:
            await self._carry_out(under_way)
        finally:
            if under_way.is_left:
                self._task_ended(under_way)

    async def _carry_out(self, under_way: _UnderWay) -> None:
        if under_way.reason is not None:  # cancelled before this first step, which trio takes nevertheless
            return
        under_way.is_entered = True
        job, run = under_way.job, under_way.run
        _make_current(run, job)
        outcome = Outcome.SUCCEEDED
        retval = error = None
        exception: BaseException | None = None
        try:
            func = job.func if not isinstance(job.func, str) else await _resolved(job.func)
            if self._middleware:
                retval = await call_through(self._middleware, run, partial(self._execute, under_way, func))
            else:
                retval = await under_way.slot.executor.execute(self._make_call(under_way, func))
        except ExecutorRefusedError as exc:
            await self._end_refused(under_way, str(exc))
            return
        except BaseException as exc:
            if under_way.is_left:
                return
            if under_way.reason is not None and is_cancellation(exc):
                self._end_cancelled(under_way)
                return
            outcome, exception, error = Outcome.FAILED, exc, describe(exc)
        if under_way.is_left:
            return
        if under_way.refusal is not None:  # whatever the middleware made of it
            await self._end_refused(under_way, under_way.refusal)
            return
        reason = NOT_CALLED if under_way.call is None and exception is None else None
        finished_run = closed(run, outcome, self._clock, under_way.call, retval=retval, error=error, reason=reason)
        if exception is not None:
            finished_run = after_failure(job, finished_run, exception, self._clock.now())
        self._end(under_way, Finished(finished_run, exception, under_way.removes_job))

    async def _execute(self, under_way: _UnderWay, func: Callable[..., Any], insides: tuple[Inside, ...]) -> Any:
        """Make the call, within middleware, which may do so again."""
        under_way.refusal = None
        try:
            return await under_way.slot.executor.execute(self._make_call(under_way, enter_around(func, insides)))
        except ExecutorRefusedError as exc:
            under_way.refusal = str(exc)
            raise
        finally:
            if under_way.deadline is not None:
                under_way.deadline.entered = None

    def _cancel(self, under_way: _UnderWay, reason: str) -> None:
        if under_way.reason is None:
            under_way.reason = reason
            under_way.run.cancelled = True
            if under_way.give_up is not None:
                self._end_cancelled(under_way, was_entered=under_way.give_up())
            elif not under_way.is_entered:  # its task will end without having run a line
                self._end_cancelled(under_way, was_entered=False)
        if under_way.task is not None:
            under_way.task.cancel()

    def _time_out(self, under_way: _UnderWay, timeout: float) -> None:
        """End a run that has taken too long, at once, whatever becomes of the call."""
        if under_way.give_up is not None:
            under_way.give_up()
        else:
            self._leave_task(under_way)
        if under_way.reason is not None:  # it does not obey its cancellation
            self._end_cancelled(under_way)
            return
        under_way.run.cancelled = True
        error = JobTimeoutError(timeout)
        run = closed(under_way.run, Outcome.TIMED_OUT, self._clock, under_way.call, reason=str(error))
        run = after_failure(under_way.job, run, error, self._clock.now())
        self._end(under_way, Finished(run, error, under_way.removes_job))

    def _leave_task(self, under_way: _UnderWay) -> None:
        """Cancel the task of a run and wait no more for it; until it ends it counts as stuck, and as work."""
        under_way.is_left = True
        under_way.slot.stuck += 1
        self._left.add(under_way)
        self._clock.work_began()
        if under_way.task is not None:
            under_way.task.cancel()

    def _task_ended(self, under_way: _UnderWay) -> None:
        under_way.slot.stuck -= 1
        self._left.discard(under_way)
        self._clock.work_ended()
        self._tell_if_at_rest()

    def _tell_if_at_rest(self) -> None:
        if self._rest is not None and not self._under_way and not self._left:
            self._rest.set(None)

    def _end_cancelled(self, under_way: _UnderWay, *, was_entered: bool | None = None) -> None:
        call = under_way.call
        if was_entered is None:
            was_entered = call is not None and call.started_at is not None
        outcome = Outcome.CANCELLED if was_entered or not under_way.goes_back else Outcome.PENDING
        run = closed(under_way.run, outcome, self._clock, call, reason=under_way.reason)
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
        self._end(under_way, Finished(closed(under_way.run, Outcome.PENDING, self._clock, None, reason=reason)))

    def _end(self, under_way: _UnderWay, finished: Finished) -> None:
        del self._under_way[under_way.run]
        if under_way.deadline is not None:
            self._deadlines.discard(under_way.deadline)
        if under_way.lease is not None and under_way.lease.is_lost:
            finished.is_forfeit = finished.run.outcome is not Outcome.SUCCEEDED  # cancelled by that, one way or another
        under_way.sink(finished)
        slot = under_way.slot  # an event loop has so many slots that none needs to be claimed ahead
        self._slots.give_back(slot, finished.run.duration if slot.executor.can_submit else None)
        if self._idle_waiters:
            for executor, waiter in self._idle_waiters:
                if self._is_idle(executor):
                    waiter.set(None)
        self._tell_if_at_rest()


def _make_current(run: Run, job: Job) -> None:
    current.set(run)
    job_of_current.set(job)


async def _resolved(ref: str) -> Any:
    """Return what *ref* refers to; while its module is being imported, a thread waits for that."""
    if _refs.is_being_imported(ref):
        return await anyio.to_thread.run_sync(_refs.resolve, ref, abandon_on_cancel=True)
    return _refs.resolve(ref)


def _name_job(variables: Mapping[str, Any]) -> str:
    under_way: _UnderWay = variables["under_way"]
    return f"job {under_way.job.id!r} (run {under_way.run.id})"


CALLERS = {Runner._carry_out.__code__: _name_job}
"""The code of what calls callables in the event loop -> how the variables there name the job."""
