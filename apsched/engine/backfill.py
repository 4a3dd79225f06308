"""Run a job for nominal times of the past that have no record (layer 6).

Rule 1: what has a record is left as it is, so a backfill that was interrupted can be started again.
Rule 2: never more of its runs are queued than may be under way at a time, so that a queue does not grow which nobody
can look over, and whoever stops the backfill stops it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from typing import TypeAlias

import anyio
import attrs

from apsched import _timezones
from apsched.engine.history import RunHistory
from apsched.exceptions import JobLookupError
from apsched.job import Job
from apsched.run import Outcome, Run
from apsched.triggers.after import After

MOST = 100_000  # nominal times of one backfill

OnRun: TypeAlias = Callable[[Run, int, int], object]
"""(run that has ended or had a record, how many nominal times are done, how many there are) -> anything."""


@attrs.frozen(kw_only=True)
class BackfillReport:
    """
    What became of a backfill.

    Attributes:
        job_id: The id of the job.
        nominal_times: The nominal times, aware, in order.
        recorded: How many of them had a record before, and were left as they were.
        outcomes: Outcome -> how many of the others ended so.
        failed: The runs of these that did not succeed, in the order of their ends.
    """

    job_id: str
    nominal_times: tuple[datetime, ...]
    recorded: int = 0
    outcomes: dict[Outcome, int] = attrs.Factory(dict)
    failed: tuple[Run, ...] = ()

    @property
    def is_ok(self) -> bool:
        """Whether every run succeeded."""
        return not self.failed


class Backfills(RunHistory):
    """The verb about nominal times of the past."""

    async def backfill(
        self,
        job_id: str,
        start: datetime | str,
        end: datetime | str,
        *,
        max_parallel: int = 1,
        jobstore: str | None = None,
        dry_run: bool = False,
        on_run: OnRun | None = None,
    ) -> BackfillReport:
        """
        Run a job for the nominal times from *start* to *end* that have no record, oldest first, and wait for that.

        Each run has the nominal time that it makes up for, is recorded under it as any other, and is started by any
        node; the job's schedule, and whether it is paused, do not matter and stay as they are. A nominal time that has
        a record, whatever its outcome, is left as it is. While `max_instances` runs of the job are under way, those of
        the backfill wait; nominal times that come meanwhile are treated by the job's `overlap`.

        Args:
            job_id: Its id.
            start: The first nominal time at the earliest; naive ones are in the scheduler's zone.
            end: The last one at the latest, not after now.
            max_parallel: How many of the runs may be queued or under way at a time, from 1 on.
            jobstore: Alias of its store; None: whichever has it.
            dry_run: Whether nothing is run, and the report only tells the nominal times.
            on_run: Called when a nominal time is done, with its run, how many are done and how many there are.

        Raises:
            JobLookupError: There is no such job.
            SchedulerNotRunningError: The scheduler is not running.
            ValueError: A value is out of range, or there are more than 100,000 nominal times.
            TypeError: A value is of the wrong type, or the job has no times of its own.
        """
        zone, now = self._maker.timezone, self._clock.now()
        first, last = _timezones.to_datetime(start, zone, "start"), _timezones.to_datetime(end, zone, "end")
        for alias in self._aliases(jobstore):
            store = self._open_store(alias)
            job = await store.get(job_id)
            if job is None:
                continue

            async def run_one(run: Run, alias: str = alias) -> tuple[Run, bool]:
                with self._results.adding() as ended:
                    kept = await self._open_store(alias).add_run(run)
                    if kept.outcome.is_final:
                        return kept, True
                    expected = self._results.expect(alias, kept, ended)
                if alias in self._open:
                    self._open[alias].await_turn(job_id)
                self._changed(alias)
                return (await expected.wait()).run, False

            times = times_to_fill(job, first, last, now)
            if dry_run:
                return BackfillReport(job_id=job_id, nominal_times=tuple(times))
            return await fill(job, times, max_parallel, run_one, on_run)
        raise JobLookupError(job_id)


def times_to_fill(job: Job, start: datetime | None, end: datetime | None, now: datetime) -> list[datetime]:
    """
    Return the nominal times of *job* from *start* to *end*, all aware.

    Raises:
        ValueError: *end* lies before *start* or after *now*, or there are too many nominal times.
        TypeError: The job has no times of its own.
    """
    if start is None or end is None:
        raise TypeError("start and end of a backfill must be times, got None")
    if isinstance(job.trigger, After):
        raise TypeError(f"job {job.id!r} has no times of its own, it follows job {job.follows!r}; backfill that one")
    if end.timestamp() < start.timestamp():
        raise ValueError(f"end of a backfill must not be before its start, got {start.isoformat()}, {end.isoformat()}")
    if end.timestamp() > now.timestamp():
        raise ValueError(f"end of a backfill must not be after now, got {end.isoformat()}; later times run by schedule")
    times: list[datetime] = []
    for moment in _walk(job, start, end):
        if len(times) == MOST:
            raise ValueError(f"a backfill may have {MOST} nominal times, got more; choose a shorter time")
        times.append(moment)
    return times


async def fill(
    job: Job,
    times: list[datetime],
    max_parallel: int,
    run_one: Callable[[Run], Awaitable[tuple[Run, bool]]],
    on_run: OnRun | None,
) -> BackfillReport:
    """
    Let *job* run for each of *times*.

    Args:
        job: The job.
        times: Nominal times, in order.
        max_parallel: How many at a time.
        run_one: Queues a run, unless there is a record, and waits for its end; returns that, and whether there was one.
        on_run: See `backfill`.
    """
    if isinstance(max_parallel, bool) or not isinstance(max_parallel, int) or max_parallel < 1:
        raise ValueError(f"max_parallel must be a whole number from 1 on, got {max_parallel!r}")
    left = iter(times)
    done: list[tuple[Run, bool]] = []

    async def work() -> None:
        for moment in left:
            run = Run(
                job_id=job.id, nominal_time=moment, due_time=moment, outcome=Outcome.PENDING, reason="made up for"
            )
            done.append(await run_one(run))
            if on_run is not None:
                on_run(done[-1][0], len(done), len(times))

    try:
        async with anyio.create_task_group() as tasks:
            for _ in range(min(max_parallel, len(times))):
                tasks.start_soon(work)
    except ExceptionGroup as group:  # what ends one ends all, and most come upon the same
        raise group.exceptions[0] from None
    outcomes: dict[Outcome, int] = {}
    made = [run for run, was_recorded in done if not was_recorded]
    for run in made:
        outcomes[run.outcome] = outcomes.get(run.outcome, 0) + 1
    return BackfillReport(
        job_id=job.id,
        nominal_times=tuple(times),
        recorded=len(done) - len(made),
        outcomes=outcomes,
        failed=tuple(run for run in made if run.outcome is not Outcome.SUCCEEDED),
    )


def _walk(job: Job, start: datetime, end: datetime) -> Iterator[datetime]:
    moment = job.trigger.get_next_fire_time(None, start)
    while moment is not None and moment.timestamp() <= end.timestamp():
        if moment.timestamp() >= start.timestamp():
            yield moment
        moment = job.trigger.get_next_fire_time(moment, end)
