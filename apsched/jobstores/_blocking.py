"""The methods of job stores in APScheduler 3, for programs that are not asynchronous (layer 6).

Rule 1: while a scheduler has the store open, a call is carried out in its event loop; otherwise the store is opened for
the call, in an event loop of its own.
Rule 2: nothing here blocks a thread in which the answer would have to come.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

import attrs
from anyio.from_thread import BlockingPortal, start_blocking_portal

from apsched import _eventloop
from apsched._portal import drive
from apsched.exceptions import SchedulerNotRunningError, SchedulerStateError
from apsched.job import Job, JobFace
from apsched.jobstores.base import JobFilter, JobStore

P = ParamSpec("P")
R = TypeVar("R")

PAGE = 500  # jobs
ENDED = "the scheduler that had the job store open was shut down during the call"
ASYNC_NAMES = {  # method here -> what the scheduler calls
    "add_job": "add",
    "update_job": "update",
    "remove_job": "remove",
    "remove_all_jobs": "clear",
    "lookup_job": "get",
    "get_all_jobs": "select",
    "get_next_run_time": "next_run_time",
    "get_due_jobs": "take_due",
}

_alone = threading.Lock()  # held while a store is open for one call


@attrs.frozen
class _Home:
    """The event loop in which a store is open, and who it is that has it open."""

    portal: BlockingPortal
    thread: int
    face: JobFace | None
    alias: str


class BlockingMethods(JobStore):
    """
    Adds the methods of APScheduler 3 to a job store.

    They may be called from any thread but that of the scheduler's event loop, and without a scheduler from any thread
    in which no event loop runs. Without a scheduler each call of a persistent store connects anew. A scheduler that has
    the store open finds out about changes within its `max_idle`; its own verbs take effect at once.
    """

    _home: _Home | None = None  # where a scheduler has it open

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Warn of methods that APScheduler 3 would call, and this scheduler does not."""
        super().__init_subclass__(**kwargs)
        for name, asked in ASYNC_NAMES.items():
            if name in vars(cls):
                warnings.warn(
                    f"{cls.__qualname__} overrides {name}(), which the scheduler does not call; override {asked}(), or "
                    "derive from BaseJobStore to keep a store that was written for APScheduler 3",
                    stacklevel=2,
                )

    @asynccontextmanager
    async def open_to_threads(self, face: JobFace | None, alias: str) -> AsyncGenerator[None]:
        """
        Let calls from other threads be carried out in the running event loop, in which the store is open.

        Args:
            face: Whose verbs the methods of jobs use that are given out, if any.
            alias: The alias of the store there.
        """
        async with BlockingPortal() as portal:
            self._home = _Home(portal, threading.get_ident(), face, alias)
            try:
                yield
            finally:
                self._home = None
                await portal.stop(cancel_remaining=True)

    def add_job(self, job: Job) -> None:
        """
        Add *job*. Blocks.

        Raises:
            ConflictingIdError: Its id is taken.
            TransientJobError: It cannot be stored here.
            SchedulerStateError: It is called where an event loop would stand still; await `add` there.
        """
        self._block(self.add, [job])

    def update_job(self, job: Job) -> None:
        """
        Put *job* in the place of the one of its id. Blocks.

        Raises:
            JobLookupError: There is none.
            TransientJobError: It cannot be stored here.
            SchedulerStateError: It is called where an event loop would stand still; await `update` there.
        """

        def change(stored: Job) -> Job:
            changed = job.copy()
            is_moved = changed.next_run_time != stored.next_run_time
            if is_moved and changed.next_nominal_time == stored.next_nominal_time:
                changed.next_nominal_time = changed.next_run_time
            return changed

        self._block(self.update, job.id, change)

    def remove_job(self, job_id: str) -> None:
        """
        Remove a job and its pending runs. Blocks.

        Raises:
            JobLookupError: There is no such job.
            SchedulerStateError: It is called where an event loop would stand still; await `remove` there.
        """
        self._block(self.remove, job_id)

    def remove_all_jobs(self) -> None:
        """
        Remove all jobs and their pending runs. Blocks.

        Raises:
            SchedulerStateError: It is called where an event loop would stand still; await `clear` there.
        """
        self._block(self.clear)

    def lookup_job(self, job_id: str) -> Job | None:
        """
        Return the job of that id, or None. Blocks.

        Raises:
            SchedulerStateError: It is called where an event loop would stand still; await `get` there.
        """
        job = self._block(self.get, job_id)
        return None if job is None else self._given_out(job)

    def get_all_jobs(self) -> list[Job]:
        """
        Return all jobs by next run time, paused ones last. Blocks.

        Raises:
            SchedulerStateError: It is called where an event loop would stand still; await `select` there.
        """
        return [self._given_out(job) for job in self._block(self.select, JobFilter())]

    def get_due_jobs(self, now: datetime) -> list[Job]:
        """
        Return the jobs that are due at *now*, the earliest first; quarantined ones are not. Blocks.

        To look at them only: whatever runs jobs claims them by `take_due`.

        Args:
            now: Aware.

        Raises:
            SchedulerStateError: It is called where an event loop would stand still; await `select` there.
        """
        return [self._given_out(job) for job in self._block(self._due_jobs, now)]

    def get_next_run_time(self) -> datetime | None:
        """
        Return the earliest next run time of all jobs that are not quarantined, or None. Blocks.

        Raises:
            SchedulerStateError: It is called where an event loop would stand still; await `select` there.
        """
        jobs = self._block(self.select, JobFilter(is_quarantined=False), 1)
        return jobs[0].next_run_time if jobs else None

    async def _due_jobs(self, now: datetime) -> list[Job]:
        due: list[Job] = []
        while True:
            page = await self.select(JobFilter(is_quarantined=False), PAGE, due[-1].id if due else None)
            found = [job for job in page if job.next_run_time is not None and job.next_run_time <= now]
            due += found
            if len(found) < PAGE:
                return due

    def _given_out(self, job: Job) -> Job:
        if (home := self._home) is not None:
            job.jobstore = home.alias
            if home.face is not None:
                job.become_handle_of(home.face)
        return job

    def _block(self, func: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **kwargs: P.kwargs) -> R:
        """Carry out a call of this store and return what it returns."""

        async def call() -> R:
            return await func(*args, **kwargs)

        home = self._home
        if home is None:
            return self._call_alone(call)
        if home.thread == threading.get_ident():
            if self.is_persistent:
                raise _stands_still(self)
            return drive(call())
        try:
            return home.portal.call(call)
        except CancelledError:
            raise SchedulerNotRunningError(ENDED) from None

    def _call_alone(self, call: Callable[[], Coroutine[Any, Any, R]]) -> R:
        if not self.is_persistent:  # it never suspends, and would forget its jobs when it is left
            return drive(call())
        if _is_in_event_loop():
            raise _stands_still(self)

        async def open_and_call() -> R:
            async with self:
                return await call()

        with _alone, start_blocking_portal("asyncio") as portal:
            return portal.call(open_and_call)


def _is_in_event_loop() -> bool:
    try:
        _eventloop.current()
    except RuntimeError:
        return False
    return True


def _stands_still(store: object) -> SchedulerStateError:
    return SchedulerStateError(
        f"{store!r} must be waited for, and the event loop of this thread would stand still meanwhile; await its "
        "asynchronous methods, or call this one from another thread, for example by await asyncio.to_thread(...)"
    )
