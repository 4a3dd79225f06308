"""What pages and the REST interface work on: a scheduler of this process, or a job store alone (layer 10).

Rule 1: what is read is read from the stores, and what is changed is changed by the verbs of the scheduler.
"""

from __future__ import annotations

import io
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, tzinfo
from typing import Any

from apsched._job_files import from_text
from apsched._timezones import local_timezone
from apsched.clock import Clock
from apsched.engine.backfill import BackfillReport
from apsched.engine.desk import Desk, opened
from apsched.job import Job
from apsched.jobstores.base import JobStore
from apsched.run import Run
from apsched.web.reading import Reader, carried


class Backend(Reader):
    """
    One interface to a scheduler of this process and to a job store alone.

    Of a job store alone nothing is run here, and nobody sees that somebody looks: see `open_store`.

    Args:
        source: A scheduler: an `AsyncScheduler` of the same event loop, or a blocking one (`BackgroundScheduler` and
            its like), which is called by a thread; or the desk of an open store.
    """

    @carried
    async def pause_job(self, job_id: str, store: str | None = None) -> Job:
        """Let a job not run until it is resumed; raises JobLookupError."""
        return await self._verbs.pause_job(job_id, store)

    @carried
    async def resume_job(self, job_id: str, store: str | None = None) -> Job | None:
        """Let a paused job run again; None if it has no time to come and was removed. Raises JobLookupError."""
        return await self._verbs.resume_job(job_id, store)

    @carried
    async def remove_job(self, job_id: str, store: str | None = None) -> None:
        """Remove a job; its history stays. Raises JobLookupError."""
        await self._verbs.remove_job(job_id, store)

    @carried
    async def run_job(
        self,
        job_id: str,
        store: str | None = None,
        *,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> Run:
        """Queue a run of a job, with its own arguments or those given; raises JobLookupError."""
        if isinstance(self._verbs, Desk):
            return await self._verbs.run_job(job_id, store, args=args, kwargs=kwargs)
        return (await self._verbs.run_job(job_id, store, args=args, kwargs=kwargs)).run

    @carried
    async def backfill(
        self,
        job_id: str,
        start: datetime,
        end: datetime,
        store: str | None = None,
        *,
        max_parallel: int = 1,
        dry_run: bool = False,
    ) -> BackfillReport:
        """Run a job for nominal times of the past that have no record, and wait; see `AsyncScheduler.backfill`."""
        if isinstance(self._verbs, Desk):
            return await self._verbs.backfill(job_id, start, end, max_parallel=max_parallel, dry_run=dry_run)
        return await self._verbs.backfill(
            job_id, start, end, max_parallel=max_parallel, jobstore=store, dry_run=dry_run
        )

    @carried
    async def cancel_run(self, run_id: str) -> Run:
        """Cancel a run that is pending or under way; raises RunLookupError, whose message says why that cannot be."""
        return await self._verbs.cancel_run(run_id)

    @carried
    async def modify_job(self, /, job_id: str, store: str | None = None, **changes: Any) -> Job:
        """Change attributes of a job; see `AsyncScheduler.modify_job`."""
        return await self._verbs.modify_job(job_id, store, **changes)

    @carried
    async def reschedule_job(
        self, /, job_id: str, store: str | None = None, trigger: Any = None, **options: Any
    ) -> Job:
        """Give a job another trigger; see `AsyncScheduler.reschedule_job`."""
        return await self._verbs.reschedule_job(job_id, store, trigger, **options)

    @carried
    async def add_job(self, /, func: str, trigger: Any, **options: Any) -> Job:
        """Add a job; see `AsyncScheduler.add_job`."""
        return await self._verbs.add_job(func, trigger, **options)

    @carried
    async def import_jobs(self, text: str, store: str, *, replace_existing: bool) -> list[Job]:
        """Add the jobs of a file, all or none; see `AsyncScheduler.import_jobs`."""
        if not isinstance(self._verbs, Desk):
            return await self._verbs.import_jobs(io.StringIO(text), store, replace_existing=replace_existing)
        return await self._verbs.add_made(from_text(text, "the file"), replace_existing=replace_existing)


@asynccontextmanager
async def open_store(
    store: JobStore, *, timezone: tzinfo | None = None, clock: Clock | None = None
) -> AsyncGenerator[Backend]:
    """
    Open a job store that no scheduler of this process uses, to look at it and to change it.

    Args:
        store: The store, not open.
        timezone: In which times are shown; None: that of this machine.
        clock: Time; None: that of this machine.

    Raises:
        Exception: What the store raises where it cannot be opened.
    """
    zone = local_timezone() if timezone is None else timezone
    async with opened(store, zone, clock) as desk:
        yield Backend(desk)
