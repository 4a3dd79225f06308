"""The end of a scheduler."""

from __future__ import annotations

import threading
import time
from typing import Any

import anyio
import pytest

from apsched.async_scheduler import STATE_STOPPED, AsyncScheduler
from apsched.events import EVENT_ALL, EVENT_JOB_EXECUTED, EVENT_SCHEDULER_SHUTDOWN
from apsched.exceptions import SchedulerNotRunningError
from apsched.run import Outcome
from apsched.testing.clock import VirtualClock


async def outcomes(scheduler: AsyncScheduler, job_id: str) -> list[Outcome]:
    return [run.outcome for run in await scheduler.get_runs(job_id)]


async def test_by_default_runs_under_way_are_waited_for(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    job = await scheduler.add_job(clock.sleep, args=[1000])
    await clock.advance(1)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scheduler.shutdown)
        await clock.advance(500)
        during = await outcomes(scheduler, job.id)
        await clock.advance(500)

    assert during == [Outcome.RUNNING]
    assert await outcomes(scheduler, job.id) == [Outcome.SUCCEEDED]
    assert scheduler.state == STATE_STOPPED


async def test_nothing_is_claimed_while_they_are_waited_for(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    await scheduler.add_job(notes.time, "interval", seconds=10)
    await scheduler.add_job(clock.sleep, args=[100])
    await clock.advance(15)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scheduler.shutdown)
        await clock.advance(200)

    assert notes == [10]


async def test_without_waiting_they_are_cancelled(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    job = await scheduler.add_job(clock.sleep, args=[1000])
    await clock.advance(1)

    await scheduler.shutdown(wait=False)

    (run,) = await scheduler.get_runs(job.id)
    assert (run.outcome, run.reason) == (Outcome.CANCELLED, "the scheduler shut down")


async def test_after_so_many_seconds_they_are_cancelled(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    job = await scheduler.add_job(clock.sleep, args=[1000])
    await clock.advance(1)

    began = time.monotonic()
    await scheduler.shutdown(wait=0.05)

    assert 0.04 < time.monotonic() - began < 5
    assert await outcomes(scheduler, job.id) == [Outcome.CANCELLED]


async def test_asking_again_with_less_patience_counts(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    job = await scheduler.add_job(clock.sleep, args=[1000])
    await clock.advance(1)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(scheduler.shutdown)
            await anyio.wait_all_tasks_blocked()
            await scheduler.shutdown(wait=False)

    assert await outcomes(scheduler, job.id) == [Outcome.CANCELLED]


async def test_asking_again_with_some_patience_gives_that_much_time(
    scheduler: AsyncScheduler, clock: VirtualClock
) -> None:
    job = await scheduler.add_job(clock.sleep, args=[1000])
    await clock.advance(1)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(scheduler.shutdown)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(scheduler.shutdown, 4.0)
            await clock.advance(1000)

    assert await outcomes(scheduler, job.id) == [Outcome.SUCCEEDED]


async def test_a_thread_that_cannot_be_ended_is_left(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    entered, go = threading.Event(), threading.Event()

    def work() -> None:
        with clock.parked():
            entered.set()
            go.wait()

    job = await scheduler.add_job(work, "interval", hours=1)
    await scheduler.run_job(job.id)
    await anyio.to_thread.run_sync(entered.wait)

    with anyio.fail_after(5):
        await scheduler.shutdown(wait=False)
    go.set()

    assert await outcomes(scheduler, job.id) == [Outcome.CANCELLED]


async def test_a_job_may_not_wait_for_its_own_end(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    job = await scheduler.add_job(scheduler.shutdown, "interval", seconds=1)

    await clock.advance(1)

    (run,) = await scheduler.get_runs(job.id)
    assert "shutdown(wait=True) was called from a job or a listener" in (run.error or "")
    assert scheduler.running


async def test_a_job_may_shut_the_scheduler_down_without_waiting(clock: VirtualClock, notes: Any) -> None:
    scheduler = AsyncScheduler(clock=clock)

    async def end() -> None:
        await scheduler.shutdown(wait=False)
        notes.append("ended by itself")

    job = await scheduler.add_job(end)

    with anyio.fail_after(5):
        await scheduler.run()

    assert notes == ["ended by itself"]
    assert await outcomes(scheduler, job.id) == [Outcome.SUCCEEDED]


async def test_a_job_may_ask_for_the_end_and_be_waited_for(notes: Any) -> None:
    scheduler = AsyncScheduler()

    async def end() -> None:
        scheduler.stop()
        await anyio.sleep(0.02)
        notes.append("done")

    await scheduler.add_job(end)

    with anyio.fail_after(5):
        await scheduler.run()

    assert notes == ["done"]


async def test_a_listener_may_not_wait_for_the_end(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    async def end(event: object) -> None:
        try:
            await scheduler.shutdown()
        except RuntimeError as exc:
            notes.append(type(exc).__name__)

    await scheduler.add_listener(end, EVENT_JOB_EXECUTED)
    await scheduler.add_job(int)

    await clock.advance()

    assert notes == ["SchedulerStateError"]
    assert scheduler.running


async def test_a_listener_may_shut_the_scheduler_down_without_waiting(clock: VirtualClock) -> None:
    scheduler = AsyncScheduler(clock=clock)

    async def end(event: object) -> None:
        await scheduler.shutdown(wait=False)

    await scheduler.add_listener(end, EVENT_JOB_EXECUTED)
    await scheduler.add_job(int)

    with anyio.fail_after(5):
        await scheduler.run()

    assert not scheduler.running


async def test_a_task_that_a_job_has_left_behind_may_wait_for_the_end(clock: VirtualClock, notes: Any) -> None:
    scheduler = AsyncScheduler(clock=clock)
    async with anyio.create_task_group() as tasks:

        async def end() -> None:
            with anyio.fail_after(5):
                await left.wait()
                await scheduler.shutdown()
            notes.append("ended")

        async def leave_behind() -> None:
            tasks.start_soon(end)

        left = anyio.Event()
        async with scheduler:
            await scheduler.add_job(leave_behind)
            await clock.advance()
            left.set()
            await anyio.wait_all_tasks_blocked()

    assert notes == ["ended"]


async def test_it_is_the_last_event(clock: VirtualClock, notes: Any) -> None:
    async with AsyncScheduler(clock=clock) as scheduler:
        await scheduler.add_listener(notes.event, EVENT_ALL)
        await scheduler.add_job(clock.sleep, "interval", [5], seconds=10)
        await clock.advance(12)

    assert notes[-2:] == ["JOB_CANCELLED", "SCHEDULER_SHUTDOWN"]


async def test_all_events_are_delivered_before_the_end(clock: VirtualClock, notes: Any) -> None:
    async def slow(event: object) -> None:
        await anyio.sleep(0.01)
        notes.append(event)

    async with AsyncScheduler(clock=clock) as scheduler:
        await scheduler.add_listener(slow, EVENT_SCHEDULER_SHUTDOWN)

    assert len(notes) == 1


async def test_a_second_shutdown_is_refused(scheduler: AsyncScheduler) -> None:
    await scheduler.shutdown()

    with pytest.raises(SchedulerNotRunningError):
        await scheduler.shutdown()
    with pytest.raises(SchedulerNotRunningError):
        scheduler.stop()


async def test_a_shutdown_needs_a_running_scheduler(clock: VirtualClock) -> None:
    with pytest.raises(SchedulerNotRunningError):
        await AsyncScheduler(clock=clock).shutdown()


@pytest.mark.parametrize("verb", ["pause", "resume"])
async def test_a_scheduler_that_does_not_run_is_not_paused(clock: VirtualClock, verb: str) -> None:
    with pytest.raises(SchedulerNotRunningError):
        await getattr(AsyncScheduler(clock=clock), verb)()


async def test_the_history_may_be_read_after_the_end(clock: VirtualClock) -> None:
    async with AsyncScheduler(clock=clock) as scheduler:
        job = await scheduler.add_job(int)
        await clock.advance()

    assert await outcomes(scheduler, job.id) == [Outcome.SUCCEEDED]


async def test_health_after_the_end_says_so(clock: VirtualClock) -> None:
    async with AsyncScheduler(clock=clock) as scheduler:
        before = await scheduler.health()
    after = await scheduler.health()

    assert (before.is_running, before.is_ok, before.is_paused) == (True, True, False)
    assert (after.is_running, after.is_ok, after.runs_under_way) == (False, False, 0)
