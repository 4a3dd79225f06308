"""When jobs run: arm, look, sleep."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from apsched.async_scheduler import AsyncScheduler
from apsched.engine.current import current_run
from apsched.run import Outcome
from apsched.testing.clock import START, VirtualClock

HOUR, DAY = 3600, 86400


async def test_a_job_runs_at_the_times_of_its_trigger(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    await scheduler.add_job(notes.time, "interval", seconds=10)

    await clock.advance(35)

    assert notes == [10, 20, 30]


async def test_a_job_without_a_trigger_runs_now_once(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    await scheduler.add_job(notes.time)

    await clock.advance()
    await clock.advance(HOUR)

    assert notes == [0]
    assert await scheduler.get_jobs() == []


async def test_a_job_that_is_added_while_the_loop_sleeps_runs_in_time(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    await scheduler.add_job(notes.time, "interval", hours=10, id="far")
    await clock.advance(HOUR)

    await scheduler.add_job(notes.time, "interval", seconds=5, id="near")
    await clock.advance(12)

    assert notes == [HOUR + 5, HOUR + 10]


async def test_a_job_with_a_next_run_time_in_the_past_runs_now(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any, at: Callable[[float], datetime]
) -> None:
    await clock.advance(HOUR)

    await scheduler.add_job(notes.time, "interval", seconds=100, next_run_time=at(HOUR - 50))
    await clock.advance()

    assert notes == [HOUR]


async def test_nothing_is_lost_between_looking_and_sleeping(clock: VirtualClock, notes: Any) -> None:
    async with AsyncScheduler(clock=clock) as scheduler:
        for number in range(50):  # each is added at another point of the loop's round
            await scheduler.add_job(notes.keep, args=[number])
            for _ in range(number % 7):
                await anyio.lowlevel.checkpoint()
        await clock.advance()

    assert sorted(notes) == list(range(50))


async def test_jobs_run_in_the_order_of_their_times(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any, at: Callable[[float], datetime]
) -> None:
    for second in (30, 10, 20):
        await scheduler.add_job(notes.keep, "date", [second], run_date=at(second))

    await clock.advance(60)

    assert notes == [10, 20, 30]


async def test_an_interval_of_a_minute_is_exact_for_a_week(clock: VirtualClock) -> None:
    times = []

    async def tick() -> None:
        times.append(current_run().nominal_time)
        assert clock.now() == current_run().nominal_time

    async with AsyncScheduler(clock=clock) as scheduler:
        await scheduler.add_job(tick, "interval", minutes=1)
        await clock.advance(days=7)

    assert len(times) == 7 * 1440
    assert times[0] == START + timedelta(minutes=1)
    assert {later - earlier for earlier, later in pairwise(times)} == {timedelta(minutes=1)}


async def test_an_interval_of_three_tenths_of_a_second_never_drifts(clock: VirtualClock) -> None:
    times = []

    async def tick() -> None:
        times.append(clock.now())

    async with AsyncScheduler(clock=clock) as scheduler:
        await scheduler.add_job(tick, "interval", seconds=0.3)
        await clock.advance(300)

    assert len(times) == 1000
    assert times[-1] == START + timedelta(seconds=300)


async def test_a_cron_job_runs_each_hour_for_a_month(clock: VirtualClock) -> None:
    times = []

    async def tick() -> None:
        times.append(clock.now())

    async with AsyncScheduler(clock=clock, timezone="UTC") as scheduler:
        await scheduler.add_job(tick, "cron", minute=0)
        await clock.advance(days=31)

    assert times == [START + timedelta(hours=hour) for hour in range(31 * 24 + 1)]


async def test_a_slow_run_does_not_move_the_schedule(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    async def slow() -> None:
        notes.time()
        await clock.sleep(7)

    await scheduler.add_job(slow, "interval", seconds=10)

    await clock.advance(35)

    assert notes == [10, 20, 30]


async def test_jitter_delays_runs_and_never_moves_the_schedule(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    job = await scheduler.add_job(notes.time_later, "interval", seconds=100, jitter=50)

    await clock.advance(100 * 100 + 50)

    runs = await scheduler.get_runs(job.id)
    assert {int((run.nominal_time - START).total_seconds()) % 100 for run in runs} == {0}
    assert all(0 <= second % 100 <= 50 for second in notes)
    assert len(set(notes)) > 90
    assert len(notes) == 100


async def test_a_job_may_add_jobs(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    async def add() -> None:
        await scheduler.add_job(notes.time, id="now")
        await scheduler.add_job(notes.time, "interval", seconds=5, id="later")

    await scheduler.add_job(add, id="adder")

    await clock.advance(6)

    assert notes == [0, 5]
    assert {run.job_id: run.outcome for run in await scheduler.get_runs()} == {
        "adder": Outcome.SUCCEEDED,
        "now": Outcome.SUCCEEDED,
        "later": Outcome.SUCCEEDED,
    }


async def test_a_job_may_remove_itself(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    async def once() -> None:
        notes.time()
        await scheduler.remove_job("once")
        await clock.sleep(1)

    await scheduler.add_job(once, "interval", seconds=10, id="once")

    await clock.advance(100)

    assert notes == [10]
    assert await scheduler.get_job("once") is None
    assert [run.outcome for run in await scheduler.get_runs("once")] == [Outcome.SUCCEEDED]


async def test_a_job_may_pause_itself(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    async def pause() -> None:
        notes.time()
        await scheduler.pause_job("job")
        await clock.sleep(1)

    job = await scheduler.add_job(pause, "interval", seconds=10, id="job")

    await clock.advance(95)

    assert notes == [10]
    assert job.next_run_time is None
    assert [run.outcome for run in await scheduler.get_runs("job")] == [Outcome.SUCCEEDED]
    await scheduler.resume_job("job")
    await clock.advance(10)
    assert notes == [10, 100]


async def test_a_job_may_reschedule_itself(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    async def speed_up() -> None:
        notes.time()
        if len(notes) == 1:
            await scheduler.reschedule_job("job", trigger="interval", seconds=3)

    await scheduler.add_job(speed_up, "interval", seconds=10, id="job")

    await clock.advance(20)

    assert notes == [10, 13, 16, 19]
    assert {run.outcome for run in await scheduler.get_runs("job")} == {Outcome.SUCCEEDED}


async def test_a_job_in_its_last_run_is_out_of_the_list(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    async def look() -> None:
        notes.append(await scheduler.get_jobs())

    await scheduler.add_job(look)

    await clock.advance()

    assert notes == [[]]


async def test_a_finished_job_keeps_its_runs_in_the_history(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    job = await scheduler.add_job(notes.time, "interval", seconds=10, end_date=START + timedelta(seconds=25))

    await clock.advance(100)

    assert await scheduler.get_job(job.id) is None
    assert [run.outcome for run in await scheduler.get_runs(job.id)] == [Outcome.SUCCEEDED] * 2


async def test_an_id_is_free_again_when_its_job_has_finished(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    await scheduler.add_job(notes.time, id="job")
    await clock.advance(1)

    await scheduler.add_job(notes.time, id="job")
    await clock.advance()

    assert notes == [0, 1]
    assert len(await scheduler.get_runs("job")) == 2


@pytest.mark.parametrize("count", [1, 300, 2000])
async def test_however_many_jobs_are_due_at_once_each_runs_once(clock: VirtualClock, notes: Any, count: int) -> None:
    async with AsyncScheduler(clock=clock) as scheduler:
        await scheduler.add_jobs(
            [{"func": notes.keep, "args": [number], "trigger": "interval", "seconds": 10} for number in range(count)]
        )
        await clock.advance(10)

        assert sorted(notes) == list(range(count))


async def test_a_run_knows_its_nominal_and_its_other_times(
    scheduler: AsyncScheduler, clock: VirtualClock, at: Callable[[float], datetime]
) -> None:
    async def work() -> str:
        await clock.sleep(3)
        return "done"

    job = await scheduler.add_job(work, "interval", seconds=10)

    await clock.advance(13)

    (run,) = await scheduler.get_runs(job.id)
    assert (run.nominal_time, run.due_time, run.claimed_at, run.started_at) == (at(10),) * 4
    assert run.finished_at == at(13)
    assert (run.lateness, run.duration, run.retval, run.node) == (0, 3, "done", scheduler.node)


async def test_a_reference_is_resolved_when_the_run_starts(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    job = await scheduler.add_job("math:sqrt", args=[4])

    await clock.advance()

    assert [run.retval for run in await scheduler.get_runs(job.id)] == [2]


async def test_on_a_real_clock_a_job_runs_too() -> None:
    ran = anyio.Event()

    async def note() -> None:
        ran.set()

    async with AsyncScheduler() as scheduler:
        await scheduler.add_job(note, "interval", seconds=0.01)
        with anyio.fail_after(5):
            await ran.wait()


async def test_on_a_real_clock_a_job_that_is_added_during_a_sleep_runs_at_once() -> None:
    ran = anyio.Event()

    async def note() -> None:
        ran.set()

    async with AsyncScheduler(max_idle=1000) as scheduler:
        await anyio.lowlevel.checkpoint()
        await scheduler.add_job(note)
        with anyio.fail_after(5):
            await ran.wait()
