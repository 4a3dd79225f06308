"""A wall clock that is moved."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Any

import anyio.to_thread
import pytest

from apsched import _eventloop
from apsched.async_scheduler import AsyncScheduler
from apsched.clock import SystemClock, Wakeup
from apsched.events import EVENT_CLOCK_JUMPED
from apsched.testing.clock import VirtualClock

HOUR = 3600


class WatchOfThisMachine(SystemClock):
    """The time of this machine, set forward or back; as there, nobody who sleeps is woken by that."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead

    async def wait(self, wakeup: Wakeup, until: datetime | None) -> bool:
        seconds = None if until is None else max(0.001, (until - self.now()).total_seconds())
        return await wakeup.wait(_eventloop.current(), seconds)


async def test_a_jump_is_told(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    await scheduler.add_listener(notes.keep, EVENT_CLOCK_JUMPED)
    await clock.advance(10)

    await clock.jump(HOUR)
    await clock.jump(-HOUR)

    assert [(event.alias, event.detail) for event in notes] == [
        ("default", "the wall clock was moved by +3600.000 s"),
        ("default", "the wall clock was moved by -3600.000 s"),
    ]


async def test_two_seconds_are_no_jump(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    await scheduler.add_listener(notes.event, EVENT_CLOCK_JUMPED)

    await clock.jump(1.9)
    await clock.jump(-1.9)

    assert notes == []


async def test_the_passing_of_time_is_no_jump(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    await scheduler.add_listener(notes.event, EVENT_CLOCK_JUMPED)
    await scheduler.add_job(int, "interval", days=1)

    await clock.advance(days=400)

    assert notes == []


async def test_after_a_jump_forward_what_fell_into_it_runs_late_once(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    job = await scheduler.add_job(notes.time, "interval", minutes=10)
    await clock.advance(900)

    await clock.jump(2 * HOUR)
    await clock.advance(HOUR)

    assert notes == [600, 8100, 8400, 9000, 9600, 10200, 10800, 11400]
    runs = await scheduler.get_runs(job.id)
    assert sum(run.count or 0 for run in runs) == 19  # every nominal time is in some record


async def test_after_a_jump_back_nothing_runs_twice(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    job = await scheduler.add_job(notes.time, "interval", minutes=10)
    await clock.advance(2 * HOUR)

    await clock.jump(-HOUR)
    await clock.advance(2 * HOUR)

    runs = await scheduler.get_runs(job.id)
    assert len({run.nominal_time for run in runs}) == len(runs) == len(notes) == 18
    assert notes[11:] == [7200, 7800, 8400, 9000, 9600, 10200, 10800]


async def test_after_a_jump_back_a_new_job_runs_at_the_new_times(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    await clock.advance(HOUR)
    await clock.jump(-HOUR)

    await scheduler.add_job(notes.time, "interval", seconds=10)
    await clock.advance(20)

    assert notes == [10, 20]


async def test_a_jump_to_and_fro_loses_nothing(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    job = await scheduler.add_job(int, "interval", minutes=10)
    for _ in range(5):
        await clock.advance(HOUR)
        await clock.jump(3 * HOUR)
        await clock.advance(HOUR)
        await clock.jump(-3 * HOUR)
    await clock.advance(3 * HOUR)

    runs = await scheduler.get_runs(job.id)
    assert sum(run.count or 0 for run in runs) == 13 * 6
    assert len({run.nominal_time for run in runs}) == len(runs)


async def test_a_paused_scheduler_lives_through_a_jump(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    await scheduler.add_job(notes.time, "interval", minutes=10)
    await scheduler.pause()

    await clock.jump(HOUR)
    assert notes == []
    await scheduler.resume()
    await clock.advance()

    assert notes == [HOUR]


@pytest.mark.parametrize("hours", [1, 24 * 400])
async def test_a_loop_that_sleeps_notices_a_clock_that_was_set_forward(hours: int) -> None:
    clock = WatchOfThisMachine()
    has_run = threading.Event()
    async with AsyncScheduler(clock=clock, timezone="UTC", max_idle=0.05) as scheduler:
        job = await scheduler.add_job(has_run.set, "date", run_date=clock.now() + timedelta(hours=hours))
        clock.ahead = timedelta(hours=hours)

        assert await anyio.to_thread.run_sync(has_run.wait, 30)
        assert await scheduler.get_job(job.id) is None


async def test_a_loop_that_sleeps_tells_of_a_clock_that_was_set_back() -> None:
    clock = WatchOfThisMachine()
    told = threading.Event()
    events: list[Any] = []

    def keep(event: Any) -> None:
        events.append(event)
        told.set()

    async with AsyncScheduler(clock=clock, timezone="UTC", max_idle=0.05) as scheduler:
        await scheduler.add_listener(keep, EVENT_CLOCK_JUMPED)
        await scheduler.add_job(int, "interval", hours=1, next_run_time=clock.now())
        clock.ahead = timedelta(days=-1)

        assert await anyio.to_thread.run_sync(told.wait, 30)

    assert events[0].detail.startswith("the wall clock was moved by -864")
