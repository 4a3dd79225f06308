"""Tell of jobs that have not succeeded for too long (layer 6).

Rule 1: each node tells for itself, and once, until the job has succeeded again.
Rule 2: what was before is counted from the last success that this node has had or the history knows, which may have
forgotten it for later failures; of a job without one, from when this node saw the job first.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from apsched.clock import Clock, Wakeup
from apsched.engine.bus import Bus
from apsched.engine.results import Finished
from apsched.events import EVENT_JOB_OVERDUE, JobEvent
from apsched.job import Job
from apsched.jobstores.base import JobFilter, JobStore, RunFilter
from apsched.logs import of_job
from apsched.run import Outcome

logger: logging.Logger = logging.getLogger("apsched.jobs")

SHORTEST = 1.0  # seconds between two looks
LONGEST = 60.0

EXPECTING = JobFilter(expects_success=True)


class OverdueWatch:
    """
    Looks after the jobs of one store that have an `expect_success_within`.

    Args:
        store: The store.
        alias: Its alias.
        clock: Time.
        bus: Gets the events.

    Attributes:
        overdue: The ids of the jobs that are.
    """

    def __init__(self, store: JobStore, alias: str, clock: Clock, bus: Bus) -> None:
        self._store = store
        self._alias = alias
        self._clock = clock
        self._bus = bus
        self._wakeup = Wakeup()
        self._seen: dict[str, datetime] = {}  # job id -> when it was first seen here, while it is there
        self._succeeded: dict[str, datetime] = {}  # job id -> when it has succeeded here last
        self.overdue: frozenset[str] = frozenset()

    def note(self, batch: Sequence[Finished]) -> None:
        """Note which of the jobs have succeeded."""
        if not self._seen:
            return
        for finished in batch:
            run = finished.run
            if run.outcome is Outcome.SUCCEEDED and run.job_id in self._seen and run.finished_at is not None:
                self._succeeded[run.job_id] = run.finished_at

    def hurry(self) -> None:
        """Look soon, since a job has changed."""
        self._wakeup.set()

    async def run(self) -> None:
        """Look until cancelled."""
        with self._clock.at_work():
            while True:
                self._wakeup.arm()
                pause: float | None = LONGEST
                try:
                    pause = await self._look()
                except Exception as exc:
                    logger.debug("job store %r cannot be asked what is overdue: %s", self._alias, exc)
                if pause is None and self._store.is_shared:  # other nodes may add a job, and the hint of it be lost
                    pause = LONGEST
                now = self._clock.now()
                await self._clock.wait(self._wakeup, None if pause is None else now + timedelta(seconds=pause))
                if self._wakeup.is_set and (self._seen or self._store.is_shared):  # where a look costs something
                    await self._clock.wait(Wakeup(), self._clock.now() + timedelta(seconds=SHORTEST))

    async def _look(self) -> float | None:
        """Tell of what has become overdue, and return after how many seconds to look again; None: at a change."""
        jobs = [job for job in await self._store.select(EXPECTING) if job.next_run_time is not None]
        now = self._clock.now()
        self._seen = {job.id: self._seen.get(job.id, now) for job in jobs}
        self._succeeded = {job_id: moment for job_id, moment in self._succeeded.items() if job_id in self._seen}
        overdue: set[str] = set()
        pauses: list[float] = []
        for job in jobs:
            limit = timedelta(seconds=job.expect_success_within or 0)
            last = await self._last_success(job)
            left = (last or self._seen[job.id]) + limit - now
            if left <= timedelta():
                overdue.add(job.id)
                if job.id not in self.overdue:
                    self._tell(job, last)
            pauses.append(left.total_seconds())
        for job_id in self.overdue & self._seen.keys() - overdue:
            logger.info("job %r is not overdue any more", job_id, extra=of_job(job_id, self._alias))
        self.overdue = frozenset(overdue)
        if not pauses:
            return None
        return min(LONGEST, max(SHORTEST, min((pause for pause in pauses if pause > 0), default=LONGEST)))

    async def _last_success(self, job: Job) -> datetime | None:
        runs = await self._store.runs(RunFilter(job_id=job.id, outcomes=(Outcome.SUCCEEDED,)), 1)
        known = [run.finished_at for run in runs if run.finished_at is not None]
        if job.id in self._succeeded:
            known.append(self._succeeded[job.id])
        return max(known, default=None)

    def _tell(self, job: Job, last: datetime | None) -> None:
        since = "and no success is known" if last is None else f"and the last success was at {last.isoformat(sep=' ')}"
        detail = f"job {job.id!r} is expected to succeed within {job.expect_success_within:g} s, {since}"
        logger.error("%s", detail, extra=of_job(job.id, self._alias))
        if self._bus.wants(EVENT_JOB_OVERDUE):
            self._bus.publish(JobEvent(EVENT_JOB_OVERDUE, job_id=job.id, jobstore=self._alias, detail=detail))
