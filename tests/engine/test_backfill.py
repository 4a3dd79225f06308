"""Making up for nominal times of the past."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from apsched.async_scheduler import AsyncScheduler
from apsched.engine import backfill
from apsched.engine.current import current_run
from apsched.exceptions import JobLookupError, SchedulerNotRunningError
from apsched.run import Outcome
from apsched.testing.clock import VirtualClock
from apsched.triggers.after import After

At = Callable[[float], datetime]


@pytest.fixture
async def ran(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    """A job each minute that has run three times, 10 minutes after a start that was put into the past."""

    async def work() -> None:
        notes.append(current_run().nominal_time.minute)
        await clock.sleep(1)

    await clock.advance(600)
    await scheduler.add_job(work, "interval", minutes=1, start_date="2026-01-01 00:00:00", id="job")
    await clock.advance(180)
    notes.clear()


async def backfilled(scheduler: AsyncScheduler, clock: VirtualClock, *arguments: Any, **options: Any) -> Any:
    """Backfill while the clock goes on."""
    reports = []

    async def work() -> None:
        reports.append(await scheduler.backfill(*arguments, **options))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        while not reports:
            await anyio.lowlevel.checkpoint()
            await clock.advance(0.125)
    return reports[0]


@pytest.mark.usefixtures("ran")
async def test_nominal_times_without_a_record_are_run_oldest_first_and_others_left_alone(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any, at: At
) -> None:
    done: list[tuple[int, int]] = []

    report = await backfilled(
        scheduler, clock, "job", at(0), at(660), on_run=lambda run, count, total: done.append((count, total))
    )

    assert notes == list(range(10))
    assert (report.recorded, report.outcomes, report.failed) == (2, {Outcome.SUCCEEDED: 10}, ())
    assert report.is_ok
    assert done == [(count, 12) for count in range(1, 13)]
    job = await scheduler.get_job("job")
    assert job is not None
    assert job.next_run_time == at(840)
    (run,) = await scheduler.get_runs("job", since=at(300), until=at(300))
    assert (run.nominal_time, run.is_manual) == (at(300), False)


@pytest.mark.usefixtures("ran")
async def test_it_can_be_started_again_and_does_only_what_is_left(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any, at: At
) -> None:
    await backfilled(scheduler, clock, "job", at(0), at(120))
    notes.clear()

    report = await backfilled(scheduler, clock, "job", at(0), at(240))

    assert notes == [3, 4]
    assert report.recorded == 3


@pytest.mark.usefixtures("ran")
async def test_several_may_be_under_way_at_a_time(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any, at: At
) -> None:
    await clock.advance(5)
    notes.clear()
    await scheduler.modify_job("job", max_instances=4)
    ends: list[float] = []

    await backfilled(
        scheduler,
        clock,
        "job",
        at(0),
        at(420),
        max_parallel=4,
        on_run=lambda run, count, total: ends.append(notes.seconds),
    )

    assert sorted(notes) == list(range(8))
    assert [end - ends[0] for end in ends] == [0] * 4 + [1] * 4


async def test_what_fails_is_told(scheduler: AsyncScheduler, clock: VirtualClock, at: At) -> None:
    await clock.advance(100)
    await scheduler.add_job(divmod, "cron", second="*/10", args=[1, 0], id="job")

    report = await backfilled(scheduler, clock, "job", at(20), at(40))

    assert not report.is_ok
    assert report.outcomes == {Outcome.FAILED: 3}
    assert [run.nominal_time for run in report.failed] == [at(20), at(30), at(40)]


@pytest.mark.usefixtures("ran")
async def test_a_dry_run_only_tells(scheduler: AsyncScheduler, notes: Any, at: At) -> None:
    report = await scheduler.backfill("job", "2026-01-01 00:01:00", "2026-01-01 00:03:30", dry_run=True)

    assert report.nominal_times == (at(60), at(120), at(180))
    assert notes == []


@pytest.mark.usefixtures("ran")
async def test_a_paused_job_is_made_up_for_too_and_stays_paused(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any, at: At
) -> None:
    await scheduler.pause_job("job")

    await backfilled(scheduler, clock, "job", at(60), at(60))

    assert notes == [1]
    job = await scheduler.get_job("job")
    assert job is not None
    assert job.next_run_time is None


@pytest.mark.usefixtures("ran")
async def test_what_is_wrong_is_said(scheduler: AsyncScheduler, at: At, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="end of a backfill must not be after now"):
        await scheduler.backfill("job", at(0), at(10_000))
    with pytest.raises(ValueError, match="must not be before its start"):
        await scheduler.backfill("job", at(60), at(0))
    with pytest.raises(ValueError, match="max_parallel must be a whole number from 1 on, got 0"):
        await scheduler.backfill("job", at(0), at(60), max_parallel=0)
    with pytest.raises(JobLookupError):
        await scheduler.backfill("nope", at(0), at(60))
    await scheduler.add_job(print, After("job"), id="report")
    with pytest.raises(TypeError, match="it follows job 'job'; backfill that one"):
        await scheduler.backfill("report", at(0), at(60))
    monkeypatch.setattr(backfill, "MOST", 5)
    with pytest.raises(ValueError, match="may have 5 nominal times, got more"):
        await scheduler.backfill("job", at(0), at(600))


@pytest.mark.parametrize("max_parallel", [1, 3])
async def test_it_ends_when_its_job_is_removed(
    scheduler: AsyncScheduler, clock: VirtualClock, ran: None, at: At, max_parallel: int
) -> None:
    async def fill() -> None:
        with pytest.raises(JobLookupError, match="job"):
            await scheduler.backfill("job", at(0), at(480), max_parallel=max_parallel)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fill)
        await anyio.wait_all_tasks_blocked()
        await clock.advance(1.5)
        await scheduler.remove_job("job")
        await clock.advance(5)

    assert {run.outcome for run in await scheduler.get_runs("job")} <= {Outcome.SUCCEEDED, Outcome.CANCELLED}


async def test_a_scheduler_that_is_not_running_makes_up_for_nothing(at: At) -> None:
    with pytest.raises(SchedulerNotRunningError):
        await AsyncScheduler().backfill("job", at(0), at(60))
