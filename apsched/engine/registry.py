"""The verbs that add, change, find and remove jobs (layer 6)."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TextIO, TypeVar

from apsched._undefined import Undefined, undefined
from apsched.engine.make_job import Draft, first_times, refuse, reschedule, resume, tell_which
from apsched.engine.parts import Parts
from apsched.engine.sync import OWNER_TAG, SyncReport, compare
from apsched.events import (
    EVENT_ALL_JOBS_REMOVED,
    EVENT_JOB_ADDED,
    EVENT_JOB_CANCELLED,
    EVENT_JOB_MODIFIED,
    EVENT_JOB_REMOVED,
    JobEvent,
    SchedulerEvent,
)
from apsched.exceptions import AliasLookupError, ConflictingIdError, JobLookupError, SchedulerNotRunningError
from apsched.job import Job, OnCrash, Overlap, check_alias, check_tags
from apsched.jobstores.base import Change, JobFilter, Merge, RunFilter
from apsched.logs import of_job
from apsched.retry import Retry
from apsched.run import Outcome, Run
from apsched.triggers.base import BaseTrigger

logger: logging.Logger = logging.getLogger("apsched.jobs")

F = TypeVar("F", bound=Callable[..., Any])

RUNS_A_PAGE = 500  # that are read at a time


class JobRegistry(Parts):
    """The verbs about jobs."""

    async def add_job(
        self,
        /,
        func: Callable[..., Any] | str,
        trigger: BaseTrigger | str | None = None,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        id: str | None = None,
        name: str | None = None,
        misfire_grace_time: float | Undefined | None = undefined,
        coalesce: bool | Undefined = undefined,
        max_instances: int | Undefined = undefined,
        next_run_time: datetime | str | Undefined | None = undefined,
        jobstore: str = "default",
        executor: str = "default",
        replace_existing: bool = False,
        *,
        overlap: Overlap | Undefined = undefined,
        tags: Mapping[str, str] | None = None,
        keep_runs: int | Undefined | None = undefined,
        on_crash: OnCrash | Undefined = undefined,
        timeout: float | Undefined | None = undefined,
        retry: Retry | Mapping[str, Any] | Undefined | None = undefined,
        expect_success_within: float | Undefined | None = undefined,
        priority: int | Undefined = undefined,
        requires: str | Sequence[str] = (),
        on_conflict: str | None = None,
        connection: Any = None,
        **trigger_args: Any,
    ) -> Job:
        """
        Add a job.

        Options that are not given are those of `job_defaults`. Their meanings are those of the attributes of `Job`.

        Args:
            func: The callable, or its reference `"package.module:qualified.name"`, which is resolved now.
            trigger: Says when to run: a trigger, or the alias of one (`"date"`, `"interval"`, `"cron"`,
                `"calendarinterval"`, or that of a plugin), which is made of *trigger_args*; None: once, now.
            args: Positional arguments of the callable; checked against its signature.
            kwargs: Keyword arguments of the callable; checked against its signature.
            id: Unique in the store, 1 to 191 characters; None: a random one.
            name: For people; None: that of the callable.
            misfire_grace_time: How many seconds late a run may start, more than 0; None: any number.
            coalesce: Whether of several nominal times that are due at once only the last runs.
            max_instances: How many runs may be under way at a time.
            next_run_time: When to run next, in place of what the trigger says; None adds the job paused. Naive ones are
                in the scheduler's zone.
            jobstore: Alias of the store.
            executor: Alias of the executor. `"default"` sends coroutine functions to the executor `"asyncio"`.
            replace_existing: Short for `on_conflict="replace"`.
            overlap: What becomes of a nominal time while `max_instances` runs are under way.
            tags: Names and values to find the job by.
            keep_runs: How many finished runs the history keeps.
            on_crash: What becomes of a run whose node dies.
            timeout: How many seconds a run may take from the moment that the callable is entered; None: any number.
            retry: When a run that has failed is attempted again: a `Retry`, or a mapping of its arguments; None: never.
            expect_success_within: After how many seconds without a run that succeeded an event and `health()` say so;
                None: never.
            priority: From -10 to 10: which of the jobs that are due come first where not all may run.
            requires: What a node must have to run the job, words that are among its `capabilities`.
            on_conflict: What to do where the id is taken: `"error"` (the default); `"replace"` puts the new job in its
                place, but a paused job stays paused, and with an unchanged schedule the next run time stays;
                `"reset"` puts the new job in its place, whatever was (as APScheduler 3 did).
            connection: A connection of SQLAlchemy inside a transaction on the database of the store: the job is there
                when you commit, and not if you roll back. Other nodes find it within `max_idle` of that.
            **trigger_args: Arguments of the trigger that *trigger* is the alias of.

        Returns:
            The job as it is kept. One whose trigger has no time left is not kept, and a warning logged.

        Raises:
            ConflictingIdError: The id is taken and nothing is said about it.
            TransientJobError: The store cannot keep the job.
            LookupError: An alias is not known, or the reference of the callable leads nowhere.
            ValueError: A value is out of range, options contradict each other, or the arguments do not fit the
                callable.
            TypeError: A value is of the wrong type, or a connection is given and the store cannot use one.
            SchedulerNotRunningError: A connection is given before the start, when there is no store to add the job to.
        """
        draft = self._maker.draft(
            self._clock.now(),
            func,
            trigger,
            args,
            kwargs,
            id,
            name,
            misfire_grace_time,
            coalesce,
            max_instances,
            next_run_time,
            jobstore,
            executor,
            replace_existing,
            overlap=overlap,
            tags=tags,
            keep_runs=keep_runs,
            on_crash=on_crash,
            timeout=timeout,
            retry=retry,
            expect_success_within=expect_success_within,
            priority=priority,
            requires=requires,
            on_conflict=on_conflict,
            **trigger_args,
        )
        return (await self._add(jobstore, [draft], connection))[0]

    async def add_jobs(self, jobs: Iterable[Mapping[str, Any]], *, jobstore: str = "default") -> list[Job]:
        """
        Add many jobs to one store in one transaction: all of them or none.

        Args:
            jobs: For each job the parameters of `add_job` by name, *jobstore* left out.
            jobstore: Alias of the store.

        Returns:
            The jobs as they are kept, in the order of *jobs*.

        Raises:
            Exception: What `add_job` raises, for the first job with which something is wrong; a note says which.
        """
        now = self._clock.now()
        drafts: dict[str, Draft] = {}
        for number, parameters in enumerate(jobs, 1):
            try:
                draft = self._maker.draft(now, jobstore=jobstore, **parameters)
                if drafts.setdefault(draft.job.id, draft) is not draft:
                    raise ConflictingIdError(draft.job.id)
            except Exception as exc:
                tell_which(exc, number, jobs, parameters)
                raise
        return await self._add(jobstore, list(drafts.values()))

    async def modify_job(self, /, job_id: str, jobstore: str | None = None, **changes: Any) -> Job:
        """
        Change a job.

        Args:
            job_id: Its id.
            jobstore: Alias of its store; None: whichever has it.
            **changes: Attributes of `Job` and their new values: any but the id. A new *trigger* counts from the next
                run on (`reschedule_job` makes it count at once); a *next_run_time* of None pauses the job.

        Returns:
            The changed job.

        Raises:
            JobLookupError: There is no such job.
            AliasLookupError: There is no such store, or no executor of the new alias.
            AttributeError: There is no such attribute, or it may not be changed.
            ValueError: A value is out of range, or options contradict each other.
            TypeError: A value is of the wrong type.
        """
        if "executor" in changes:
            self._check_executor(job_id, check_alias(changes["executor"]))

        def change(job: Job) -> Job:
            changed = self._maker.change(job, changes)
            if changes.keys() & {"executor", "func"}:
                self._check_callable(changed)
            return changed

        changed = await self._update(job_id, jobstore, change)
        if changed.is_pending and changed.jobstore is not None:
            self._drafts[changed.jobstore, job_id].by_default -= changes.keys()
        return changed

    async def reschedule_job(
        self,
        /,
        job_id: str,
        jobstore: str | None = None,
        trigger: BaseTrigger | str | None = None,
        **trigger_args: Any,
    ) -> Job:
        """
        Give a job another trigger and compute its next run time from it; a paused job is resumed by that.

        Args:
            job_id: Its id.
            jobstore: Alias of its store; None: whichever has it.
            trigger: A trigger, or the alias of one, which is made of *trigger_args*; None: once, now.
            **trigger_args: Arguments of the trigger.

        Raises:
            JobLookupError: There is no such job.
            AliasLookupError: There is no such store.
            LookupError: The alias of the trigger is not known.
            ValueError: The trigger has no time left, in which case the job stays as it is, or a value is out of range.
            TypeError: A value is of the wrong type.
        """
        try:
            self._aliases(jobstore)
        except AliasLookupError as exc:
            if trigger is not None:
                raise
            advice = f'pass trigger="{exc.alias}"' if isinstance(jobstore, str) else "pass trigger=..."
            raise AliasLookupError("job store", exc.alias, self._stores, advice) from None
        made = self._maker.trigger(trigger, trigger_args).anchored(self._clock.now())

        # The time is asked for late: while the store makes us wait, nodes may record what comes in between.
        return await self._update(job_id, jobstore, lambda job: reschedule(job, made, self._clock.now()))

    async def pause_job(self, job_id: str, jobstore: str | None = None) -> Job:
        """
        Let a job not run until it is resumed; runs under way go on.

        Args:
            job_id: Its id.
            jobstore: Alias of its store; None: whichever has it.

        Returns:
            The paused job.

        Raises:
            JobLookupError: There is no such job.
            AliasLookupError: There is no such store.
        """
        return await self._update(job_id, jobstore, lambda job: self._maker.change(job, {"next_run_time": None}))

    async def resume_job(self, job_id: str, jobstore: str | None = None) -> Job | None:
        """
        Let a paused job run again, from its trigger's next time on; what fell into the pause does not run.

        A date that has passed is the next time of its trigger: it runs late, if `misfire_grace_time` allows.

        Args:
            job_id: Its id.
            jobstore: Alias of its store; None: whichever has it.

        Returns:
            The job, or None if its trigger has no time left, in which case the job is removed.

        Raises:
            JobLookupError: There is no such job.
            AliasLookupError: There is no such store.
        """
        job = await self._update(job_id, jobstore, lambda job: resume(job, self._clock.now()))
        if job.next_run_time is not None:
            return job
        await self.remove_job(job_id, jobstore)
        return None

    async def remove_job(self, job_id: str, jobstore: str | None = None) -> None:
        """
        Remove a job; runs under way go on, pending ones are cancelled, the history stays.

        Args:
            job_id: Its id.
            jobstore: Alias of its store; None: whichever has it.

        Raises:
            JobLookupError: There is no such job.
            AliasLookupError: There is no such store.
        """
        for alias in self._aliases(jobstore):
            pending = await self._pending_runs(alias, job_id)
            try:
                await self._store(alias).remove(job_id)
            except JobLookupError:
                continue
            self._drafts.pop((alias, job_id), None)
            logger.info("removed job %s from job store %r", job_id, alias, extra=of_job(job_id, alias))
            await self._tell_cancelled(alias, pending)
            self._publish(JobEvent, EVENT_JOB_REMOVED, job_id=job_id, jobstore=alias)
            await self._settle_removed(alias)
            self._changed(alias)
            return
        raise JobLookupError(job_id)

    async def remove_all_jobs(self, jobstore: str | None = None) -> None:
        """
        Remove all jobs of one store or of all stores.

        Each store does so in a transaction of its own; those on Redis and MongoDB in several, so that jobs may be left
        if it fails in between: call it again.

        Args:
            jobstore: Alias of a store; None: all stores.

        Raises:
            AliasLookupError: There is no such store.
        """
        for alias in self._aliases(jobstore):
            pending = await self._pending_runs(alias)
            await self._store(alias).clear()
            for key in [key for key in self._drafts if key[0] == alias]:
                del self._drafts[key]
            await self._tell_cancelled(alias, pending)
            await self._settle_removed(alias)
            self._changed(alias)
        self._publish(SchedulerEvent, EVENT_ALL_JOBS_REMOVED, alias=jobstore)

    async def sync(
        self,
        jobs: Iterable[Mapping[str, Any]],
        *,
        prune: bool = True,
        dry_run: bool = False,
        owner: str = "code",
        jobstore: str = "default",
    ) -> SyncReport:
        """
        Make a store hold just the jobs that code declares, in one place, at every start.

        A declared job that is in the store keeps what comes next, being paused and its history, unless its schedule
        has changed. Jobs of other owners, and those added by `add_job`, are left alone.

        Args:
            jobs: For each job the parameters of `add_job` by name; an *id* is required.
            prune: Whether jobs that this owner declared earlier and does not any more are removed.
            dry_run: Only report.
            owner: Names the declaration; kept as a tag of its jobs.
            jobstore: Alias of the store.

        Returns:
            What was changed, or would be.

        Raises:
            ValueError: A job has no id.
            Exception: What `add_job` raises, for the first job with which something is wrong; a note says which.
        """
        now = self._clock.now()
        drafts = []
        for number, parameters in enumerate(jobs, 1):
            try:
                drafts.append(self._maker.draft(now, **_declared(parameters, owner, jobstore)))
            except Exception as exc:
                tell_which(exc, number, jobs, parameters)
                raise
        stored = await self._store(jobstore).select(JobFilter(tags={OWNER_TAG: owner}))
        report = compare(drafts, stored, prune)
        if not dry_run:
            for job_id in report.removed:
                await self.remove_job(job_id, jobstore)
            written = {*report.added, *report.changed}
            await self._add(jobstore, [draft for draft in drafts if draft.job.id in written])
        return report

    async def get_job(self, job_id: str, jobstore: str | None = None) -> Job | None:
        """
        Return the job of that id, or None.

        Args:
            job_id: Its id.
            jobstore: Alias of its store; None: whichever has it.

        Raises:
            AliasLookupError: There is no such store.
        """
        for alias in self._aliases(jobstore):
            job = await self._store(alias).get(job_id)
            if job is not None:
                self._at(alias, [job])
                return job
        return None

    async def get_jobs(
        self,
        jobstore: str | None = None,
        pending: bool | None = None,
        *,
        tags: Mapping[str, str] | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> list[Job]:
        """
        Return jobs by next run time and id, paused ones last, store by store.

        Args:
            jobstore: Alias of a store; None: all stores.
            pending: True: only jobs that wait for the scheduler to start; False: only others.
            tags: Only jobs that have all of these tags with these values.
            limit: At most so many, from 1 on; None: all.
            after: The id of a job of the one store *jobstore*: only jobs that come after it.

        Raises:
            AliasLookupError: There is no such store.
            JobLookupError: A store that is asked has no job of the id *after*.
            TypeError: The tags are not texts.
            ValueError: *limit* is out of range.
        """
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
            raise ValueError(f"limit must be None or a whole number from 1 on, got {limit!r}")
        where = JobFilter(tags=check_tags(tags))
        jobs: list[Job] = []
        if pending is not None and pending is self._is_started:
            return jobs
        for alias in self._aliases(jobstore):
            rest = None if limit is None else limit - len(jobs)
            found = await self._store(alias).select(where, rest, after)
            self._at(alias, found)
            jobs += found
        return jobs

    async def print_jobs(self, jobstore: str | None = None, out: TextIO | None = None) -> None:
        """
        Print the jobs, store by store; before the start, those that wait for it.

        Args:
            jobstore: Alias of a store; None: all stores.
            out: Where to; None: standard output.

        Raises:
            AliasLookupError: There is no such store.
        """
        if self._is_started:
            lines = []
            for alias in sorted(self._aliases(jobstore)):
                jobs = await self._store(alias).select(JobFilter())
                lines += [f"Jobstore {alias}:", *([f"    {job}" for job in jobs] or ["    No scheduled jobs"])]
        else:
            jobs = [job for alias in self._aliases(jobstore) for job in await self._store(alias).select(JobFilter())]
            lines = ["Pending jobs:", *([f"    {job}" for job in jobs] or ["    No pending jobs"])]
        print("\n".join(lines), file=sys.stdout if out is None else out)  # what the verb is for

    async def _add(self, alias: str, drafts: Sequence[Draft], connection: Any = None) -> list[Job]:
        if self._is_started:
            return await self._keep(alias, drafts, connection)
        if connection is not None:
            raise SchedulerNotRunningError(
                "add_job(connection=...) needs a running scheduler, since before the start jobs are in no store; "
                "start it first"
            )
        for draft in drafts:
            draft.job.is_pending = True
        jobs = await self._store(alias).add([draft.job for draft in drafts], _merge_of(drafts))
        for draft in drafts:
            self._drafts[alias, draft.job.id] = draft
        return jobs

    async def _keep(self, alias: str, drafts: Sequence[Draft], connection: Any = None) -> list[Job]:
        """Add jobs to an open store."""
        store = self._store(alias)
        kept = []
        for draft in drafts:
            job = draft.job
            self._check_executor(job.name, job.executor)  # its id may be a random one
            self._check_callable(job)
            if job.next_run_time is not None or draft.is_timed:
                kept.append(draft)
            else:
                logger.warning(
                    "job %r is not added: its trigger %s has no time left",
                    job.id,
                    job.trigger,
                    extra=of_job(job.id, None),
                )
        new, merge = [draft.job for draft in kept], _merge_of(kept)
        if connection is None:
            jobs = await store.add(new, merge)
        else:
            jobs = await store.add_in(connection, new, merge)
        self._at(alias, jobs)
        if merge is not None:  # what waited for a job as it was may run now
            self._changed(alias)
        elif alias in self._open:
            self._open[alias].added(jobs)
        self._tell_added(alias, jobs)
        if len(kept) == len(drafts):
            return jobs
        found = {job.id: job for job in jobs}
        return [found.get(draft.job.id, draft.job) for draft in drafts]

    def _tell_added(self, alias: str, jobs: Sequence[Job]) -> None:
        if logger.isEnabledFor(logging.INFO):
            for job in jobs:
                logger.info("added job %r to job store %r", job.name, alias, extra=of_job(job.id, alias))
        if self._bus.wants(EVENT_JOB_ADDED):
            for job in jobs:
                self._bus.publish(JobEvent(EVENT_JOB_ADDED, job_id=job.id, jobstore=alias))

    async def _adopt_stages(self) -> None:
        """Move what was added before the start into the stores, which are open now; if that fails, it stays staged."""
        for alias in self._aliases(None):
            await self._adopt_staged(alias)
            if self._stores[alias].is_persistent:  # it keeps them, even if the start fails with what comes next
                self._forget_stage(alias)
        for alias in list(self._stages):
            self._forget_stage(alias)

    def _forget_stage(self, alias: str) -> None:
        self._stages.pop(alias, None)
        for key in [key for key in self._drafts if key[0] == alias]:
            del self._drafts[key]

    async def _adopt_staged(self, alias: str) -> None:
        if alias not in self._stages:
            return
        now = self._clock.now()
        drafts = []
        for job in await self._stages[alias].select(JobFilter()):
            draft = self._drafts[alias, job.id]
            job.is_pending = False
            self._maker.give_defaults(job, draft.by_default)
            nominal, due = first_times(job, now)
            is_paused = job.next_run_time is None and due is not None
            if not is_paused and not draft.is_timed:
                job.next_nominal_time, job.next_run_time = nominal, due
            drafts.append(Draft(job, draft.is_timed or is_paused, draft.merge))
        try:
            await self._keep(alias, drafts)
        except BaseException:
            for draft in drafts:
                draft.job.is_pending = True
            raise

    async def _update(self, job_id: str, jobstore: str | None, change: Change) -> Job:
        for alias in self._aliases(jobstore):
            try:
                job = await self._store(alias).update(job_id, change)
            except JobLookupError:
                continue
            self._at(alias, [job])
            self._changed(alias)
            logger.info("changed job %s in job store %r", job_id, alias, extra=of_job(job_id, alias))
            self._publish(JobEvent, EVENT_JOB_MODIFIED, job_id=job_id, jobstore=alias)
            return job
        raise JobLookupError(job_id)

    async def _pending_runs(self, alias: str, job_id: str | None = None) -> list[Run]:
        """Return the runs that are cancelled when that job is removed, or all are; none if nobody is to be told."""
        if not (self._is_started and self._bus.wants(EVENT_JOB_CANCELLED)):
            return []
        return await self._all_runs(alias, RunFilter(job_id=job_id, outcomes=(Outcome.PENDING,)))

    async def _tell_cancelled(self, alias: str, pending: Sequence[Run]) -> None:
        """Tell which of the runs that were pending have been cancelled; another node may have claimed some in time."""
        if not pending:
            return
        where = RunFilter(
            job_id=pending[0].job_id if len({run.job_id for run in pending}) == 1 else None,
            outcomes=(Outcome.CANCELLED,),
            since=pending[-1].nominal_time,
            until=pending[0].nominal_time,
        )
        known = {run.id for run in pending}
        for run in reversed(await self._all_runs(alias, where)):
            if run.id in known:
                self._publish_end(alias, EVENT_JOB_CANCELLED, run)

    async def _all_runs(self, alias: str, where: RunFilter) -> list[Run]:
        runs: list[Run] = []
        while page := await self._store(alias).runs(where, RUNS_A_PAGE, runs[-1] if runs else None):
            runs += page
            if len(page) < RUNS_A_PAGE:
                break
        return runs

    def _check_executor(self, job: str, alias: str) -> None:
        if self._is_started and alias not in self._slots:
            raise AliasLookupError(f"executor for job {job!r}", alias, self._slots.in_use())

    def _check_callable(self, job: Job) -> None:
        if job.executor in self._slots and not isinstance(job.func, str):
            self._slots.check(job.executor, job.func)


def _merge_of(drafts: Sequence[Draft]) -> Merge | None:
    merges = {draft.job.id: draft.merge for draft in drafts if draft.merge is not refuse}
    return (lambda old, new: merges.get(new.id, refuse)(old, new)) if merges else None


def _declared(parameters: Mapping[str, Any], owner: str, jobstore: str) -> dict[str, Any]:
    """Return the parameters of a job that *owner* declares."""
    if not parameters.get("id"):
        raise ValueError(f"a declared job must have an id, got {dict(parameters)!r}; give it id=...")
    tags = {**check_tags(parameters.get("tags")), OWNER_TAG: owner}
    return {**parameters, "tags": tags, "jobstore": jobstore, "on_conflict": "replace"}
