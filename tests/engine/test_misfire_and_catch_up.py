"""Runs that are late, and several that are due at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from apsched.async_scheduler import AsyncScheduler
from apsched.events import EVENT_JOB_COALESCED, EVENT_JOB_MISSED
from apsched.run import Outcome, Run
from apsched.testing.clock import START, VirtualClock

HOUR = 3600


async def history(scheduler: AsyncScheduler, job_id: str) -> list[tuple[float, str, int | None]]:
    runs: list[Run] = await scheduler.get_runs(job_id)
    return [((run.nominal_time - START).total_seconds(), run.outcome.value, run.count) for run in runs[::-1]]


async def sleep_through(scheduler: AsyncScheduler, clock: VirtualClock, seconds: float) -> None:
    """Let time pass in which the scheduler claims nothing."""
    await scheduler.pause()
    await clock.advance(seconds)
    await scheduler.resume()
    await clock.advance()


async def test_unless_a_grace_time_is_set_a_late_run_runs_however_late(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    job = await scheduler.add_job(notes.time, "date", run_date=START + timedelta(seconds=10))

    await sleep_through(scheduler, clock, 24 * HOUR)

    assert notes == [24 * HOUR]
    assert await history(scheduler, job.id) == [(10, "succeeded", 1)]


@pytest.mark.parametrize(("late", "outcome"), [(30, "succeeded"), (30.001, "missed")])
async def test_a_run_may_be_as_late_as_the_grace_time_and_no_later(
    scheduler: AsyncScheduler, clock: VirtualClock, late: float, outcome: str
) -> None:
    job = await scheduler.add_job(int, "date", run_date=START + timedelta(seconds=10), misfire_grace_time=30)

    await sleep_through(scheduler, clock, 10 + late)

    assert await history(scheduler, job.id) == [(10, outcome, 1)]


async def test_a_missed_run_says_why_and_is_told(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    await scheduler.add_listener(notes.keep, EVENT_JOB_MISSED)
    job = await scheduler.add_job(int, "interval", seconds=HOUR, misfire_grace_time=5)

    await sleep_through(scheduler, clock, HOUR + 60)

    (event,) = notes
    (run,) = await scheduler.get_runs(job.id)
    assert run.reason == "60.000 s late, and misfire_grace_time allows 5 s"
    assert (event.job_id, event.scheduled_run_time, event.run) == (job.id, START + timedelta(hours=1), run)
    assert run.started_at is None


async def test_with_coalesce_the_last_of_several_missed_times_runs_for_all(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    await scheduler.add_listener(notes.event, EVENT_JOB_COALESCED)
    job = await scheduler.add_job(notes.time, "interval", minutes=10)

    await sleep_through(scheduler, clock, HOUR + 60)

    assert sorted(notes, key=str) == [HOUR + 60, "JOB_COALESCED"]
    assert await history(scheduler, job.id) == [(3000, "coalesced", 5), (3600, "succeeded", 1)]


async def test_without_coalesce_each_missed_time_runs(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    job = await scheduler.add_job(notes.time, "interval", minutes=10, coalesce=False, max_instances=10)

    await sleep_through(scheduler, clock, HOUR + 60)

    assert notes == [HOUR + 60] * 6
    assert await history(scheduler, job.id) == [(600 * number, "succeeded", 1) for number in range(1, 7)]


async def test_with_one_instance_they_run_one_after_another_in_order(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    from apsched.engine.current import current_run

    async def work() -> None:
        notes.append((current_run().nominal_time - START).total_seconds())
        await clock.sleep(5)

    job = await scheduler.add_job(work, "interval", minutes=10, coalesce=False)

    await sleep_through(scheduler, clock, HOUR + 60)
    at_first = [outcome for _, outcome, _ in await history(scheduler, job.id)]
    await clock.advance(25)

    assert at_first == ["running"] + ["pending"] * 5
    assert notes == [600, 1200, 1800, 2400, 3000, 3600]


async def test_a_finished_job_still_catches_up(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    async def work() -> None:
        notes.time()
        await clock.sleep(5)

    job = await scheduler.add_job(work, "interval", seconds=10, coalesce=False, end_date=START + timedelta(seconds=35))

    await sleep_through(scheduler, clock, 100)
    is_gone = await scheduler.get_job(job.id) is None
    await clock.advance(30)

    assert is_gone
    assert notes == [100, 105, 110]
    assert await history(scheduler, job.id) == [(second, "succeeded", 1) for second in (10, 20, 30)]


async def test_what_is_older_than_the_grace_time_is_missed_and_the_rest_is_caught_up_with(
    scheduler: AsyncScheduler, clock: VirtualClock
) -> None:
    job = await scheduler.add_job(int, "interval", seconds=10, coalesce=False, max_instances=9, misfire_grace_time=15)

    await sleep_through(scheduler, clock, 65)

    assert await history(scheduler, job.id) == [(40, "missed", 4), (50, "succeeded", 1), (60, "succeeded", 1)]


async def test_after_a_catch_up_the_schedule_goes_on_as_before(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any, at: Callable[[float], datetime]
) -> None:
    job = await scheduler.add_job(notes.time, "interval", seconds=10)

    await sleep_through(scheduler, clock, 1003)

    assert job.next_run_time == at(1010)
    await clock.advance(20)
    assert notes == [1003, 1010, 1020]


async def test_years_of_missed_times_are_one_record(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    job = await scheduler.add_job(notes.time, "interval", seconds=1)

    await sleep_through(scheduler, clock, 5 * 365 * 24 * HOUR)

    coalesced, ran = (await scheduler.get_runs(job.id))[::-1]
    assert len(notes) == 1
    assert (coalesced.outcome, coalesced.first_nominal_time) == (Outcome.COALESCED, START + timedelta(seconds=1))
    assert coalesced.nominal_time == ran.nominal_time - timedelta(seconds=1)


async def test_what_falls_into_the_pause_of_a_job_does_not_run(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    job = await scheduler.add_job(notes.time, "interval", seconds=10)
    await scheduler.pause_job(job.id)
    await clock.advance(45)

    await scheduler.resume_job(job.id)
    await clock.advance(10)

    assert notes == [50]
    assert len(await scheduler.get_runs(job.id)) == 1


async def test_waiting_for_a_slot_makes_no_run_missed(clock: VirtualClock) -> None:
    from apsched.executors.asyncio import AsyncIOExecutor

    async with AsyncScheduler(clock=clock, executors={"asyncio": AsyncIOExecutor(1)}) as scheduler:
        await scheduler.add_job(clock.sleep, args=[100])
        await clock.advance()
        late = await scheduler.add_job(clock.sleep, args=[1])
        await clock.advance(200)

        assert [outcome for _, outcome, _ in await history(scheduler, late.id)] == ["succeeded"]
