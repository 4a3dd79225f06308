"""Let a job store that was written for APScheduler 3 be one of this scheduler's (layer 7).

Rule 1: that store is asked for its jobs each time, since others may write to it; what is known of them here is no more
than what open runs need.
Rule 2: a change is written there first. If that fails, nothing has happened here.
Rule 3: everything is done in one thread, so nothing needs a lock, and the event loop never blocks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

import attrs

from apsched import _refs
from apsched._one_thread import OneThread
from apsched._portal import drive
from apsched.exceptions import JobLookupError, SchedulerNotRunningError
from apsched.job import Job
from apsched.jobstores._base_of_3x import BaseJobStore
from apsched.jobstores.base import AfterCrash, Change, JobFilter, Merge, Node, RunFilter
from apsched.jobstores.memory import MemoryJobStore, _moment, _place
from apsched.run import Outcome, Plan, Planner, Run

logger: logging.Logger = logging.getLogger("apsched.jobstores")

P = ParamSpec("P")
R = TypeVar("R")

LOST = "the scheduler shut down, and its job store, which was written for APScheduler 3, keeps no runs"


class BridgedJobStore(MemoryJobStore):
    """
    A job store for APScheduler 3, with the runs of its jobs in memory.

    For one scheduler at a time: of two, each would run every job. A run that is under way when the process dies is
    lost, since its job has moved on by then.

    Args:
        store: The store.
    """

    is_persistent = True
    batch = 500

    def __init__(self, store: BaseJobStore) -> None:
        super().__init__()
        self._store = store
        self._scheduler: Any = None
        self._alias = "default"
        self._thread: OneThread | None = None
        self._reasons: dict[str, str] = {}  # id of a job -> why it is quarantined

    @property
    def behind(self) -> BaseJobStore:
        """The store itself."""
        return self._store

    def belong_to(self, scheduler: object, alias: str) -> None:
        """Let the store know its scheduler, and its alias there, when it is entered."""
        self._scheduler = scheduler
        self._alias = alias

    async def __aenter__(self) -> Self:
        self._thread = OneThread("apsched-jobstore")
        try:
            await self._thread.call(self._store.start, self._scheduler, self._alias)
        except BaseException:
            await self._close_thread()
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._call(self._shut_down)
        finally:
            await self._close_thread()

    async def _close_thread(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            await thread.close()

    def _shut_down(self) -> None:
        for job_id, (_, queue) in list(self._pending.items()):
            for run in list(queue):
                lost = attrs.evolve(run, outcome=Outcome.CANCELLED, reason=LOST)
                self._end(run, lost, _moment(run), self._runs[job_id])
        self._pending.clear()
        drive(super().clear())
        self._store.shutdown()

    # the port, carried out in the thread

    async def add(self, jobs: Sequence[Job], merge: Merge | None = None) -> list[Job]:
        return await self._call(self._add, jobs, merge)

    async def update(self, job_id: str, change: Change) -> Job:
        return await self._call(self._update, job_id, change)

    async def remove(self, job_id: str) -> None:
        await self._call(self._remove, job_id)

    async def clear(self) -> None:
        await self._call(self._clear)

    async def get(self, job_id: str) -> Job | None:
        return await self._call(self._get_copy, job_id)

    async def select(self, where: JobFilter, limit: int | None = None, after: str | None = None) -> list[Job]:
        return await self._call(self._select, where, limit, after)

    async def lanes(self) -> list[str]:
        return await self._call(lambda: [job.lane for job in self._jobs.values() if job.priority or job.requires])

    async def next_run_time(self, slots: Mapping[str, int], owner: str) -> datetime | None:
        return await self._call(self._next_run_time, slots, owner)

    async def take_due(self, now: datetime, slots: Mapping[str, int], plan: Planner, owner: str) -> list[Plan]:
        return await self._call(self._take_due, now, slots, plan, owner)

    async def add_run(self, run: Run) -> Run:
        return await self._call(self._add_run, run)

    async def claimed(self, owner: str) -> list[Plan]:
        return await self._drive(super().claimed, owner)

    async def finish(self, runs: Sequence[Run]) -> list[Run]:
        return await self._drive(super().finish, runs)

    async def ask_to_cancel(self, run: Run, reason: str) -> bool:
        return await self._drive(super().ask_to_cancel, run, reason)

    async def asked_to_cancel(self, owner: str) -> list[Run]:
        return await self._drive(super().asked_to_cancel, owner)

    async def runs(self, where: RunFilter, limit: int, after: Run | None = None) -> list[Run]:
        return await self._drive(super().runs, where, limit, after)

    async def join(self, node: str, lease: float, now: datetime) -> None:
        self._reasons.clear()
        await self._drive(super().join, node, lease, now)

    async def leave(self, node: str) -> None:
        await self._drive(super().leave, node)

    async def nodes(self) -> list[Node]:
        return await self._drive(super().nodes)

    async def reap(self, dead: Mapping[str, int], after_crash: AfterCrash) -> list[Run]:
        return await self._drive(super().reap, dead, after_crash)

    async def _call(self, func: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        if self._thread is None:
            raise SchedulerNotRunningError(f"{self!r} is not open; start its scheduler first")
        return await self._thread.call(partial(func, *args, **kwargs))

    async def _drive(self, func: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a coroutine function of the memory store, which never suspends."""
        return await self._call(lambda: drive(func(*args, **kwargs)))

    # the same in the thread

    def _add(self, jobs: Sequence[Job], merge: Merge | None) -> list[Job]:
        kept = []
        undo: list[Callable[[], None]] = []
        for job in jobs:  # all errors of merges come before anything is written
            before = None if merge is None else self._look_up(job.id)
            kept.append((before, job if merge is None or before is None else merge(before.copy(), job)))
        try:
            for before, job in kept:
                if before is None:
                    self._store.add_job(self._handed(job))
                    undo.append(partial(self._store.remove_job, job.id))
                else:
                    self._store.update_job(self._handed(job))
                    undo.append(partial(self._store.update_job, self._handed(before)))
        except BaseException:
            self._undo(undo)
            raise
        for _, job in kept:
            self._learn(job.copy())
        return [job for _, job in kept]

    def _undo(self, steps: list[Callable[[], None]]) -> None:
        for step in reversed(steps):
            try:
                step()
            except Exception:
                logger.exception("job store %r: what was half done cannot be undone", self._alias)

    def _update(self, job_id: str, change: Change) -> Job:
        job = self._look_up(job_id)
        if job is None:
            raise JobLookupError(job_id)
        changed = change(job.copy())
        self._store.update_job(self._handed(changed))
        self._learn(changed.copy())
        return changed

    def _remove(self, job_id: str) -> None:
        self._look_up(job_id)
        self._store.remove_job(job_id)
        self._miss(job_id)

    def _clear(self) -> None:
        for job in self._store.get_all_jobs():
            self._taken(job)
        self._store.remove_all_jobs()
        self._reasons.clear()
        drive(super().clear())

    def _get_copy(self, job_id: str) -> Job | None:
        job = self._look_up(job_id)
        return None if job is None else job.copy()

    def _select(self, where: JobFilter, limit: int | None, after: str | None) -> list[Job]:
        jobs = sorted(self._all_jobs(), key=_place)
        if after is not None:
            place = next((_place(job) for job in jobs if job.id == after), None)
            if place is None:
                raise JobLookupError(after)
            jobs = [job for job in jobs if _place(job) > place]
        return [job.copy() for job in jobs if where.accepts(job)][:limit]

    def _next_run_time(self, slots: Mapping[str, int], owner: str) -> datetime | None:
        self._heaps.clear()
        moments = [drive(super().next_run_time(slots, owner))]  # of pending runs
        if all(slots.values()) and not self._reasons and not self._followers:
            moments.append(self._store.get_next_run_time())
        else:
            moments += [job.next_run_time for job in self._all_jobs() if _counts(job, slots)]
        return min((moment for moment in moments if moment is not None), key=datetime.timestamp, default=None)

    def _take_due(self, now: datetime, slots: Mapping[str, int], plan: Planner, owner: str) -> list[Plan]:
        for job_id in list(self._pending):  # it may have been changed or removed by others
            self._look_up(job_id)
        due = [self._taken(job) for job in self._store.get_due_jobs(now)]
        self._heaps.clear()
        self._schedule(due)
        return drive(super().take_due(now, slots, partial(_plan, plan), owner))

    def _add_run(self, run: Run) -> Run:
        self._look_up(run.job_id)
        return drive(super().add_run(run))

    # steps of the memory store

    def _carry_out(self, plan: Plan) -> Plan:
        job = plan.job
        try:
            if plan.quarantine is not None:
                self._reasons[job.id] = plan.quarantine
            elif plan.removes_job:
                self._store.remove_job(job.id)
            else:
                given = self._handed(job)
                given.next_nominal_time, given.next_run_time = plan.next_nominal_time, plan.next_run_time
                self._store.update_job(given)
        except JobLookupError:  # it was removed by others since it was found to be due
            self._miss(job.id)
            return Plan(job=job)
        return super()._carry_out(plan)

    # what goes there and what comes from there

    def _handed(self, job: Job) -> Job:
        """Return what the store is given of *job*, to keep or change as it likes."""
        given = attrs.evolve(job, quarantine=None, is_pending=False, jobstore=self._alias)
        given._scheduler = self._scheduler
        return given

    def _taken(self, found: object) -> Job:
        """Return what is known here of a job that the store has given."""
        if not isinstance(found, Job):
            raise TypeError(f"{self._store!r} must give instances of apsched.job.Job, got {found!r}")
        job = attrs.evolve(found, quarantine=self._reasons.get(found.id), is_pending=False, jobstore=None)
        job._scheduler = None
        if not _are_one(job):  # it keeps only the values that APScheduler 3 knows, or has changed them itself
            job.next_nominal_time = job.next_run_time
        self._learn(job)
        return job

    def _learn(self, job: Job) -> None:
        """Know *job* as it is in the store."""
        self._jobs[job.id] = job
        self._retired.pop(job.id, None)
        self._note_follower(job)
        if job.id in self._pending:
            self._pending[job.id] = (job, self._pending[job.id][1])
        if job.quarantine is None:
            self._reasons.pop(job.id, None)
        else:
            self._reasons[job.id] = job.quarantine

    def _miss(self, job_id: str) -> None:
        """Know that the store has no job of that id."""
        self._reasons.pop(job_id, None)
        if job_id in self._jobs:
            self._forget(self._jobs[job_id])

    def _look_up(self, job_id: str) -> Job | None:
        found = self._store.lookup_job(job_id)
        if found is None:
            self._miss(job_id)
            return None
        return self._taken(found)

    def _all_jobs(self) -> list[Job]:
        jobs = [self._taken(job) for job in self._store.get_all_jobs()]
        for job_id in self._jobs.keys() - {job.id for job in jobs}:
            self._miss(job_id)
        return jobs

    def __repr__(self) -> str:
        return f"<BridgedJobStore ({self._store!r})>"


def _counts(job: Job, slots: Mapping[str, int]) -> bool:
    return job.quarantine is None and job.follows is None and slots.get(job.lane, 1) > 0


def _plan(plan: Planner, job: Job, open_runs: Sequence[Run], now: datetime, owner: str) -> Plan:
    """Plan for *job*, if its callable is found."""
    if isinstance(job.func, str):
        try:
            found = _refs.resolve(job.func)
        except (LookupError, ValueError) as exc:
            return Plan(job=job, quarantine=str(exc))
        if not callable(found):
            return Plan(job=job, quarantine=f"{job.func!r} must lead to a callable, got {type(found).__qualname__}")
        job.func = found
    return plan(job, open_runs, now, owner)


def _are_one(job: Job) -> bool:
    """Whether the next run time can be that of the next nominal time."""
    nominal, due = job.next_nominal_time, job.next_run_time
    return nominal is due if nominal is None or due is None else nominal.timestamp() <= due.timestamp()
