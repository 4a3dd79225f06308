"""Read what a scheduler of this process, or a job store alone, has (layer 10).

Rule 1: whatever a store holds, a call costs a bounded time: it returns a page, and where the next one begins. Only what
exports or examines all jobs reads them all.
"""

from __future__ import annotations

import functools
import heapq
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import contextmanager
from datetime import datetime, tzinfo
from typing import Any, Concatenate, ParamSpec, TypeVar

import anyio.to_thread
import attrs
from anyio.lowlevel import checkpoint

from apsched._portal import Portal
from apsched.async_scheduler import AsyncScheduler
from apsched.clock import Clock
from apsched.doctor import Finding, examine
from apsched.engine.desk import STORE_ALIAS, Desk
from apsched.engine.explain import Explanation, explain
from apsched.engine.health import Health
from apsched.events import EVENT_ALL
from apsched.exceptions import AliasLookupError, JobLookupError, RunLookupError
from apsched.job import Job
from apsched.jobstores.base import JobFilter, JobStore, RunFilter
from apsched.run import Outcome, Run, parse_run_id
from apsched.schedulers.base import BaseScheduler
from apsched.web.answers import (
    ALL_JOBS,
    ALL_RUNS,
    JobPage,
    JobQuery,
    RunPage,
    StoredNode,
    StoredRun,
    Upcoming,
    come_together,
    upcoming_of,
)
from apsched.web.cursors import CursorError, cursor_of, job_cursor, job_place, run_place

GLANCED = 50  # jobs, and runs, by which a change is noticed
SEARCHED = 2000  # jobs that one call looks through
SEARCH_PAGE = 500  # jobs that are read at a time
COUNTED = 1000  # runs under way that are told apart by node
EXPLAINED = 10_000  # runs that may answer for a nominal time

P = ParamSpec("P")
R = TypeVar("R", bound="Reader")
T = TypeVar("T")


def carried(
    method: Callable[Concatenate[R, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[R, P], Coroutine[Any, Any, T]]:
    """Let *method* run in the event loop of the scheduler, where that is another one than the caller's."""

    @functools.wraps(method)
    async def call(self: R, /, *args: P.args, **kwargs: P.kwargs) -> T:
        if self._portal is None:
            return await method(self, *args, **kwargs)
        portal = self._portal

        def carry() -> T:
            return portal.call(method, self, *args, **kwargs)

        return await anyio.to_thread.run_sync(carry)

    return call


class Reader:
    """
    Reads a scheduler of this process, or a job store alone.

    Args:
        source: As that of `Backend`.

    Attributes:
        zone: In which times are shown and naive ones are read.
    """

    def __init__(self, source: AsyncScheduler | BaseScheduler | Desk) -> None:
        self._portal: Portal | None = source._portal if isinstance(source, BaseScheduler) else None
        self._verbs = source._core if isinstance(source, BaseScheduler) else source
        self.zone: tzinfo = source.zone if isinstance(source, Desk) else source.timezone

    @property
    def scheduler(self) -> AsyncScheduler | None:
        """The scheduler, or the core of the blocking one; None if a store is opened alone."""
        return self._verbs if isinstance(self._verbs, AsyncScheduler) else None

    @property
    def clock(self) -> Clock:
        """The clock of the scheduler."""
        return self._verbs.clock

    @property
    def now(self) -> datetime:
        """The present time, aware UTC."""
        return self.clock.now()

    @property
    def stores(self) -> list[str]:
        """The aliases of the stores."""
        return [STORE_ALIAS] if isinstance(self._verbs, Desk) else self._verbs._aliases(None)

    @property
    def is_in_memory(self) -> bool:
        """Whether all stores are of this process, so that reading much of them asks no server."""
        if isinstance(self._verbs, Desk):
            return not self._verbs.store.is_persistent
        return not any(store.is_persistent for store in self._verbs._stores.values())

    # jobs

    @carried
    async def job(self, job_id: str, store: str | None = None) -> Job:
        """
        Return a job.

        Args:
            job_id: Its id.
            store: Alias of its store; None: whichever has it.

        Raises:
            JobLookupError: There is no such job.
            AliasLookupError: There is no such store.
        """
        return await self._job(job_id, store)

    @carried
    async def jobs(self, query: JobQuery = ALL_JOBS, limit: int = 50, after: str | None = None) -> JobPage:
        """
        Return a page of jobs.

        A job whose id is the text of the query comes first, without a search.

        Args:
            query: Which ones.
            limit: At most so many.
            after: `JobPage.next` of the page before; None: the first page.

        Raises:
            AliasLookupError: There is no such store.
            CursorError: *after* is the place of no job, or of one that is gone.
        """
        alias, begin = job_place(after)
        aliases = self._chosen(query.store)
        if alias is not None:
            aliases = aliases[aliases.index(alias) :] if alias in aliases else []
        exact = await self._exact(query) if query.text and after is None else []
        found, looks = [*exact], 0
        for alias in aliases:
            while True:
                jobs, begin = await self._look(alias, query, limit + 1, begin)
                found += [job for job in jobs if job not in exact]
                if len(found) > limit:
                    return JobPage(jobs=found[:limit], next=job_cursor(found[limit - 1]), is_full=True)
                if begin is None:
                    break
                looks += 1
                if looks * self._search_page >= SEARCHED:
                    return JobPage(jobs=found, next=cursor_of(alias, begin), is_full=False)
        return JobPage(jobs=found, next=None, is_full=len(found) == limit)

    @carried
    async def upcoming(
        self,
        until: datetime,
        *,
        job_id: str | None = None,
        store: str | None = None,
        jobs: int = 100,
        times: int = 100,
    ) -> list[Upcoming]:
        """
        Return the nominal times to come, job by job; those due first come first.

        It computes up to *jobs* times *times* of them, each of which costs about ten microseconds, and once for jobs
        that follow one another and have the same times.

        Args:
            until: The end of the window, aware.
            job_id: Only those of this job.
            store: Only those of jobs of the store of this alias.
            jobs: Of how many jobs at most.
            times: How many of a job at most.

        Raises:
            JobLookupError: There is no such job.
            AliasLookupError: There is no such store.
        """
        found: list[Upcoming] = []
        for alias in self._chosen(store):
            if job_id is None:
                selected = await self._store(alias).select(JobFilter(is_quarantined=False), jobs)
            else:
                job = await self._store(alias).get(job_id)
                selected = [] if job is None else [job]
            for each in selected:
                if each.next_run_time is None or each.next_run_time.timestamp() > until.timestamp():
                    break  # so are all that come after it
                each.jobstore = alias
                if found and come_together(found[-1].job, each):
                    found.append(attrs.evolve(found[-1], job=each))
                else:
                    found.append(upcoming_of(each, until, times))
                    await checkpoint()
        if not found and job_id is not None:
            await self._job(job_id, store)
        found.sort(key=lambda each: each.times[0].timestamp() if each.times else 0)
        return found[:jobs]

    @carried
    async def explain(
        self, job_id: str, when: datetime | None = None, store: str | None = None, *, count: int = 5
    ) -> Explanation:
        """
        Explain when a job runs next, and what became or will become of a nominal time.

        Args:
            job_id: Its id; it may be gone already.
            when: The nominal time, aware; None: only what comes next.
            store: Alias of its store; None: all stores.
            count: How many next times to tell.

        Raises:
            AliasLookupError: There is no such store.
        """
        job: Job | None = None
        runs: list[Run] = []
        for alias in self._chosen(store):
            job = job or await self._store(alias).get(job_id)
            if when is not None:
                runs += await self._store(alias).runs(RunFilter(job_id=job_id, since=when), EXPLAINED)
        covering = [run for run in runs if when is not None and (run.first_nominal_time or run.nominal_time) <= when]
        return explain(job, job_id, when, covering, count)

    @carried
    async def all_jobs(self, store: str | None = None) -> list[Job]:
        """Return all jobs, of the store of that alias or of all, however many there are. Raises AliasLookupError."""
        return [job for alias in self._chosen(store) for job in await self._store(alias).select(JobFilter())]

    # runs and nodes

    @carried
    async def runs(
        self, where: RunFilter = ALL_RUNS, limit: int = 50, after: str | None = None, store: str | None = None
    ) -> RunPage:
        """
        Return a page of runs.

        Args:
            where: Which ones.
            limit: At most so many.
            after: `RunPage.next` of the page before; None: the first page.
            store: Only those of the store of this alias.

        Raises:
            AliasLookupError: There is no such store.
            CursorError: *after* is no such place.
        """
        place = None if after is None else run_place(after)
        by_store = [
            [StoredRun(alias, run) for run in await self._store(alias).runs(where, limit + 1, place)]
            for alias in self._chosen(store)
        ]
        found = list(heapq.merge(*by_store, key=_recency, reverse=True))
        return RunPage(runs=found[:limit], next=found[limit - 1].run.id if len(found) > limit else None)

    @carried
    async def run(self, run_id: str, store: str | None = None) -> StoredRun:
        """
        Return a run.

        Args:
            run_id: `Run.id`.
            store: Alias of its store; None: whichever has it.

        Raises:
            RunLookupError: There is no such run.
            AliasLookupError: There is no such store.
        """
        try:
            job_id, moment = parse_run_id(run_id)
        except ValueError:
            raise RunLookupError(run_id) from None
        for alias in self._chosen(store):
            for run in await self._store(alias).runs(RunFilter(job_id=job_id, since=moment, until=moment), 1):
                return StoredRun(alias, run)
        raise RunLookupError(run_id)

    @carried
    async def nodes(self) -> list[StoredNode]:
        """Return the nodes of all stores, and how many runs each has under way, of the last thousand."""
        found = []
        for alias in self.stores:
            nodes = await self._store(alias).nodes()
            runs = await self._store(alias).runs(RunFilter(outcomes=(Outcome.RUNNING,)), COUNTED)
            found += [StoredNode(alias, node, sum(run.node == node.id for run in runs)) for node in nodes]
        return found

    @carried
    async def health(self) -> Health | None:
        """Tell how the scheduler is; None if there is none. Asks no store."""
        return None if isinstance(self._verbs, Desk) else await self._verbs.health()

    @carried
    async def latency(self, store: str) -> float:
        """
        Return how many seconds the store takes to answer a small question.

        Raises:
            AliasLookupError: There is no such store.
        """
        opened = self._store(store)
        began = self.clock.monotonic()
        await opened.nodes()
        return self.clock.monotonic() - began

    @carried
    async def examine(self, store: str) -> list[Finding]:
        """Return what is wrong in a store; reads all its jobs and open runs. Raises AliasLookupError."""
        return await examine(self._store(store), self.now)

    def kind_of(self, store: str) -> str:
        """Return the name of the class of a store."""
        return type(self._known(store)).__name__

    def is_shared(self, store: str) -> bool:
        """Whether other processes may use the store of that alias."""
        return self._known(store).is_shared

    @contextmanager
    def watching(self) -> Generator[Callable[[], Awaitable[object]]]:
        """
        Watch for changes: what it gives returns something else than before if there were any.

        Of stores in memory the events of the scheduler are counted; others are asked for a few jobs and runs.
        """
        scheduler = self.scheduler
        if scheduler is None or not self.is_in_memory or self._portal is not None:
            yield self._glance
            return
        events = 0

        def count(event: object) -> None:
            nonlocal events
            events += 1

        async def counted() -> object:
            return events

        scheduler._bus.subscribe(count, EVENT_ALL)
        try:
            yield counted
        finally:
            scheduler._bus.unsubscribe(count)

    @carried
    async def _glance(self) -> object:
        found: list[object] = []
        for alias in self.stores:
            store = self._store(alias)
            jobs = await store.select(JobFilter(), GLANCED)
            runs = await store.runs(RunFilter(), GLANCED)
            found += [(job.id, job.next_run_time, job.quarantine) for job in jobs]
            found += [(run.id, run.outcome, run.epoch, run.report) for run in runs]
        return found

    # parts of the above

    def _chosen(self, store: str | None) -> list[str]:
        known = self.stores
        if store is None:
            return known
        if store not in known:
            raise AliasLookupError("job store", store, known)
        return [store]

    def _known(self, alias: str) -> JobStore:
        """Return a store, open or not."""
        return self._verbs.store if isinstance(self._verbs, Desk) else self._verbs._stores[alias]

    def _store(self, alias: str) -> JobStore:
        return self._verbs.store if isinstance(self._verbs, Desk) else self._verbs._open_store(alias)

    async def _job(self, job_id: str, store: str | None) -> Job:
        for alias in self._chosen(store):
            job = await self._store(alias).get(job_id)
            if job is not None:
                job.jobstore = alias
                return job
        raise JobLookupError(job_id)

    async def _exact(self, query: JobQuery) -> list[Job]:
        """Return the jobs whose id is the text of *query*."""
        found = []
        for alias in self._chosen(query.store):
            job = await self._store(alias).get(query.text)
            if job is not None and query.accepts(job) and JobFilter(tags=query.tags).accepts(job):
                job.jobstore = alias
                found.append(job)
        return found

    @property
    def _search_page(self) -> int:
        """How many jobs are read at a time; a store in memory looks through all of them each time."""
        return SEARCHED if self.is_in_memory else SEARCH_PAGE

    async def _look(self, alias: str, query: JobQuery, wanted: int, after: str | None) -> tuple[list[Job], str | None]:
        """Read some jobs; return those that are asked for, and where to go on if there are more to read."""
        is_plain = not query.text and query.state in (None, "quarantined")
        is_quarantined = None if query.state is None else query.state == "quarantined"
        size = wanted if is_plain else self._search_page
        try:
            jobs = await self._store(alias).select(
                JobFilter(tags=query.tags, is_quarantined=is_quarantined), size, after
            )
        except JobLookupError:
            raise CursorError(
                f"job {after!r}, after which the page begins, is gone; begin with the first page"
            ) from None
        for job in jobs:
            job.jobstore = alias
        return [job for job in jobs if query.accepts(job)], jobs[-1].id if len(jobs) == size else None


def _recency(stored: StoredRun) -> tuple[float, str]:
    return (stored.run.nominal_time.timestamp(), stored.run.job_id)
