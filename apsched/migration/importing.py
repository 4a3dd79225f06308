"""Add the jobs of APScheduler 3 to a job store (layer 7)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Literal, TypeAlias

import attrs
from anyio import to_thread

from apsched.exceptions import TransientJobError
from apsched.job import Job
from apsched.jobstores._codec import JobCodec
from apsched.jobstores.base import JobFilter, JobStore
from apsched.migration.jobs import FoundJob
from apsched.migration.sources import read_jobs

BATCH = 500  # jobs that one transaction adds

Fate: TypeAlias = Literal["added", "replaced", "kept", "refused"]


@attrs.frozen(kw_only=True)
class ImportedJob:
    """
    What has become of one job.

    Attributes:
        id: Its id.
        name: Its name; None if it could not be read.
        trigger: Its trigger as a text; None if it could not be read.
        next_run_time: When it is due next, aware; None if it is paused or could not be read.
        fate: `"added"`; `"replaced"`, in place of one that was there; `"kept"`, since one is there; or `"refused"`.
        remarks: What is different, one sentence each.
        problem: Why it is refused.
    """

    id: str
    name: str | None
    trigger: str | None
    next_run_time: datetime | None
    fate: Fate
    remarks: tuple[str, ...] = ()
    problem: str | None = None


@attrs.frozen
class ImportReport:
    """
    What `import_jobs` has done, or would do.

    Attributes:
        jobs: Each job that was found, in the order of ids.
        is_dry_run: Whether nothing was added.
    """

    jobs: tuple[ImportedJob, ...]
    is_dry_run: bool

    def of(self, fate: Fate) -> list[ImportedJob]:
        """Return the jobs of that fate."""
        return [job for job in self.jobs if job.fate == fate]


async def import_jobs(
    source: str,
    store: JobStore,
    *,
    table: str | None = None,
    schema: str | None = None,
    replace: bool = False,
    dry_run: bool = False,
    imports: bool = True,
) -> ImportReport:
    """
    Add to *store* the jobs that APScheduler 3 has stored, with their ids, next run times and pauses.

    Safe to repeat: a job whose id is taken in *store* stays as it is there. Jobs are added in batches of 500, each
    wholly or not at all. Stop the schedulers of APScheduler 3 before, or both will run the jobs.

    Args:
        source: As in `read_jobs`.
        store: Where to; not open. It may be in the database that the jobs come from, under other names.
        table: As in `read_jobs`.
        schema: As in `read_jobs`.
        replace: Whether jobs that are there give way.
        dry_run: Whether nothing is added. The store is not opened then: of jobs that are there it tells nothing, and
            arguments are judged as by a store of JSON.
        imports: As in `read_jobs`.

    Raises:
        Exception: What `read_jobs` raises, and what entering *store* and adding to it does.
    """
    found = await to_thread.run_sync(partial(read_jobs, source, table=table, schema=schema, imports=imports))
    jobs = [each.job for each in found if each.job is not None]
    if dry_run:
        fates: dict[str, Fate] = {job.id: "added" for job in jobs}
        problems = _unstorable(jobs)
    else:
        async with store:
            there = {job.id for job in await store.select(JobFilter())}
            fates = {job.id: ("replaced" if replace else "kept") if job.id in there else "added" for job in jobs}
            problems = await _add(store, [job for job in jobs if fates[job.id] != "kept"], replace=replace)
    return ImportReport(tuple(_told(each, fates, problems) for each in found), dry_run)


def _unstorable(jobs: Sequence[Job]) -> dict[str, str]:
    codec = JobCodec()
    problems: dict[str, str] = {}
    for job in jobs:
        try:
            codec.encode(job)
        except TransientJobError as exc:
            problems[job.id] = str(exc)
    return problems


async def _add(store: JobStore, jobs: Sequence[Job], *, replace: bool) -> dict[str, str]:
    """Add all that can be stored, and return why the others cannot."""
    problems: dict[str, str] = {}
    merge = _take_new if replace else _keep_old
    for begin in range(0, len(jobs), BATCH):
        batch = list(jobs[begin : begin + BATCH])
        while batch:
            try:
                await store.add(batch, merge)
            except TransientJobError as exc:
                problems[exc.job_id] = str(exc)
                batch = [job for job in batch if job.id != exc.job_id]
            else:
                break
    return problems


def _take_new(old: Job, new: Job) -> Job:
    return new


def _keep_old(old: Job, new: Job) -> Job:
    return old


def _told(found: FoundJob, fates: dict[str, Fate], problems: dict[str, str]) -> ImportedJob:
    job = found.job
    problem = found.problem or problems.get(found.id)
    return ImportedJob(
        id=found.id,
        name=None if job is None else job.name,
        trigger=None if job is None else str(job.trigger),
        next_run_time=None if job is None else job.next_run_time,
        fate=fates[found.id] if problem is None else "refused",
        remarks=found.remarks,
        problem=problem,
    )
