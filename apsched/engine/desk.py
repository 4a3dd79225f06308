"""Work on an open job store from outside of any scheduler (layer 6).

Rule 1: nothing here joins as a node, so nothing is ever claimed or run, and no node sees that somebody has looked.
Rule 2: whoever changes something tells the nodes, so that they look at the store at once.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, tzinfo
from typing import Any

import anyio
import attrs

from apsched.clock import Clock, SystemClock, Wakeup
from apsched.engine.backfill import BackfillReport, OnRun, fill, times_to_fill
from apsched.engine.by_hand import CANCELLED_BY_HAND, cancelled, run_now, why_not_cancelled
from apsched.engine.entered import entered
from apsched.engine.make_job import CONFLICTS, JobMaker, reschedule, resume
from apsched.exceptions import AliasLookupError, JobLookupError, RunLookupError, SchedulerNotRunningError
from apsched.job import Job, JobDefaults
from apsched.jobstores.base import Change, JobStore, Merge, RunFilter
from apsched.run import Outcome, Run, parse_run_id
from apsched.triggers.base import BaseTrigger

PERIOD = timedelta(seconds=0.25)  # between two looks at a run that is waited for
HINT_PATIENCE = 5.0  # seconds that telling the nodes may take; they look by themselves, too
STORE_ALIAS = "default"

logger: logging.Logger = logging.getLogger("apsched.desk")


@attrs.frozen
class Desk:
    """
    A job store that is open, and what one needs to work on it.

    Its verbs are those of a scheduler of the same names. Callables are not looked for, since they need not be
    importable here.

    Attributes:
        store: The store.
        maker: Makes and changes jobs.
        clock: Time.
        zone: In which times are shown and read.
        tells_nodes: Whether its verbs tell the nodes; whoever calls many of them may do that once instead.
    """

    store: JobStore
    maker: JobMaker
    clock: Clock
    zone: tzinfo
    tells_nodes: bool = True

    @property
    def now(self) -> datetime:
        """The present time, aware UTC."""
        return self.clock.now()

    async def job(self, job_id: str) -> Job:
        """
        Return the job of that id.

        Raises:
            JobLookupError: There is none.
        """
        job = await self.store.get(job_id)
        if job is None:
            raise JobLookupError(job_id)
        return job

    async def tell_nodes(self) -> None:
        """Let the nodes of the store look at it now; without that they do within seconds."""
        notifier = self.store.notifier()
        if notifier is None:
            return
        try:
            with anyio.move_on_after(HINT_PATIENCE):
                async with entered(notifier, "the notifier of the job store"):
                    await notifier.notify(STORE_ALIAS)
        except Exception:
            logger.debug("the nodes cannot be told of the change", exc_info=True)

    async def add_job(self, func: str, trigger: BaseTrigger | str | None = None, **options: Any) -> Job:
        """Add a job, whose callable must be found here; see `AsyncScheduler.add_job`."""
        _check_alias(options.get("jobstore"))
        given: dict[str, Any] = {"jobstore": STORE_ALIAS, **options}
        draft = self.maker.draft(self.now, func, trigger, **given)
        if draft.job.next_run_time is None and not draft.is_timed:
            raise ValueError(f"the trigger of job {draft.job.id!r} must have a time to come, got {draft.job.trigger}")
        return (await self._add([draft.job], draft.merge))[0]

    async def add_made(self, jobs: Sequence[Job], *, replace_existing: bool = False) -> list[Job]:
        """
        Add jobs that are made already, all or none, and return them as they are kept.

        Args:
            jobs: The jobs.
            replace_existing: Whether they take the place of those of the same id, as if these had never been.

        Raises:
            ConflictingIdError: An id is taken, and nothing is to be replaced.
            TransientJobError: The store cannot keep one of them.
        """
        return await self._add(jobs, CONFLICTS["reset" if replace_existing else "error"])

    async def modify_job(self, job_id: str, jobstore: str | None = None, **changes: Any) -> Job:
        """Change attributes of a job; see `AsyncScheduler.modify_job`."""
        return await self._update(job_id, jobstore, lambda job: self.maker.change(job, changes))

    async def reschedule_job(
        self, job_id: str, jobstore: str | None = None, trigger: BaseTrigger | str | None = None, **trigger_args: Any
    ) -> Job:
        """Give a job another trigger; see `AsyncScheduler.reschedule_job`."""
        made = self.maker.trigger(trigger, trigger_args).anchored(self.now)

        return await self._update(job_id, jobstore, lambda job: reschedule(job, made, self.now))

    async def pause_job(self, job_id: str, jobstore: str | None = None) -> Job:
        """Let a job not run until it is resumed; see `AsyncScheduler.pause_job`."""
        return await self.modify_job(job_id, jobstore, next_run_time=None)

    async def resume_job(self, job_id: str, jobstore: str | None = None) -> Job:
        """
        Let a paused or quarantined job run again, from its trigger's next time on.

        Raises:
            JobLookupError: There is no such job.
            ValueError: Its trigger has no time to come; the job stays as it is.
        """

        def change(job: Job) -> Job:
            if resume(job, self.now).next_run_time is None:
                raise ValueError(f"job {job.id!r} has no time to come and cannot be resumed; remove it")
            return job

        return await self._update(job_id, jobstore, change)

    async def remove_job(self, job_id: str, jobstore: str | None = None) -> None:
        """Remove a job; see `AsyncScheduler.remove_job`."""
        _check_alias(jobstore)
        await self.store.remove(job_id)
        await self._changed()

    async def run_job(
        self,
        job_id: str,
        jobstore: str | None = None,
        *,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> Run:
        """
        Queue a run of a job, which a node starts; the schedule stays as it is.

        Raises:
            JobLookupError: There is no such job.
            ValueError: The arguments do not fit the callable, where that is at hand.
        """
        _check_alias(jobstore)
        run = await self.store.add_run(run_now(await self.job(job_id), self.now, args, kwargs))
        await self._changed()
        return run

    async def cancel_run(self, run_id: str) -> Run:
        """
        Cancel a run that is pending, or ask the node that has it under way to do so.

        Returns:
            The run as it is now.

        Raises:
            RunLookupError: There is no such run, or it has ended; the message says which.
            ValueError: That is not the id of a run.
        """
        run = await self._found(run_id)
        if run.outcome is Outcome.PENDING:
            ended = cancelled(run, self.now)
            if await self.store.finish([ended]):
                await self._changed()
                return ended
            run = await self._found(run_id)  # a node has claimed it meanwhile
        if run.outcome is not Outcome.RUNNING or not await self.store.ask_to_cancel(run, CANCELLED_BY_HAND):
            raise RunLookupError(run_id, why_not_cancelled(await self._found(run_id)))
        await self._changed()
        return await self._found(run_id)

    async def backfill(
        self,
        job_id: str,
        start: datetime,
        end: datetime,
        *,
        max_parallel: int = 1,
        dry_run: bool = False,
        on_run: OnRun | None = None,
    ) -> BackfillReport:
        """
        Queue runs for nominal times of the past, which nodes start, and wait for them; see `AsyncScheduler.backfill`.

        Args:
            job_id: Its id.
            start: The first nominal time at the earliest, aware.
            end: The last one at the latest, aware.
            max_parallel: How many of the runs may be queued or under way at a time.
            dry_run: Whether nothing is run.
            on_run: Called when a nominal time is done.

        Raises:
            JobLookupError: There is no such job.
            SchedulerNotRunningError: No node uses the store.
            ValueError: A value is out of range.
            TypeError: The job has no times of its own.
        """
        job = await self.job(job_id)
        times = times_to_fill(job, start, end, self.now)
        if dry_run:
            return BackfillReport(job_id=job_id, nominal_times=tuple(times))
        if all(node.is_dead for node in await self.store.nodes()):
            raise SchedulerNotRunningError("no node of the job store gives signs of life; start one")

        async def run_one(run: Run) -> tuple[Run, bool]:
            kept = await self.store.add_run(run)
            if kept.outcome.is_final:
                return kept, True
            await self.tell_nodes()
            while not (kept := await self._found(run.id)).outcome.is_final:
                await self.clock.wait(Wakeup(), self.now + PERIOD)
            return kept, False

        return await fill(job, times, max_parallel, run_one, on_run)

    async def _changed(self) -> None:
        if self.tells_nodes:
            await self.tell_nodes()

    async def _add(self, jobs: Sequence[Job], merge: Merge) -> list[Job]:
        kept = await self.store.add(jobs, merge)
        await self._changed()
        return kept

    async def _update(self, job_id: str, jobstore: str | None, change: Change) -> Job:
        _check_alias(jobstore)
        job = await self.store.update(job_id, change)
        await self._changed()
        return job

    async def _found(self, run_id: str) -> Run:
        job_id, moment = parse_run_id(run_id)
        for run in await self.store.runs(RunFilter(job_id=job_id, since=moment, until=moment), 1):
            return run
        raise RunLookupError(run_id)


@asynccontextmanager
async def opened(store: JobStore, zone: tzinfo, clock: Clock | None = None) -> AsyncGenerator[Desk]:
    """
    Open a job store that no scheduler of this process uses.

    Args:
        store: The store, not open.
        zone: In which times are shown and read.
        clock: Time; None: that of this machine.

    Raises:
        Exception: What the store raises where it cannot be opened.
    """
    async with entered(store, "the job store"):
        yield Desk(store, JobMaker(JobDefaults(), zone), SystemClock() if clock is None else clock, zone)


def _check_alias(jobstore: str | None) -> None:
    if jobstore not in (None, STORE_ALIAS):
        raise AliasLookupError("job store", jobstore, (STORE_ALIAS,))
