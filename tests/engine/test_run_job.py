"""Running a job by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import anyio
import pytest

from apsched.async_scheduler import AsyncScheduler
from apsched.exceptions import JobLookupError, RunFailedError, RunLookupError, SchedulerNotRunningError
from apsched.run import Outcome
from apsched.testing.clock import VirtualClock

HOUR = 3600


def add(one: int, other: int = 0) -> int:
    return one + other


def fail() -> None:
    raise LookupError("nothing here")


async def test_it_runs_now_and_leaves_the_schedule_as_it_is(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any, at: Callable[[float], datetime]
) -> None:
    job = await scheduler.add_job(notes.time, "interval", hours=1)
    await clock.advance(100)

    await scheduler.run_job(job.id)
    await clock.advance()

    assert notes == [100]
    assert job.next_run_time == at(HOUR)
    (run,) = await scheduler.get_runs(job.id)
    assert (run.is_manual, run.nominal_time) == (True, at(100))


async def test_the_handle_gives_the_result(scheduler: AsyncScheduler) -> None:
    job = await scheduler.add_job(add, "interval", [1, 2], hours=1)

    handle = await scheduler.run_job(job.id)

    assert await handle.result() == 3
    assert await handle.result() == 3
    assert (await handle.wait()).outcome is Outcome.SUCCEEDED
    assert handle.run_id == handle.run.id == (await handle.wait()).id


async def test_the_handle_raises_what_the_callable_raised(scheduler: AsyncScheduler) -> None:
    job = await scheduler.add_job(fail, "interval", hours=1)

    handle = await scheduler.run_job(job.id)

    with pytest.raises(LookupError, match="nothing here"):
        await handle.result()
    assert (await handle.wait()).outcome is Outcome.FAILED


async def test_a_wait_for_the_result_may_be_given_up_and_begun_again(
    scheduler: AsyncScheduler, clock: VirtualClock
) -> None:
    job = await scheduler.add_job(clock.sleep, "interval", [10], hours=1)
    handle = await scheduler.run_job(job.id)

    with anyio.move_on_after(0.01) as scope:
        await handle.wait()
    await clock.advance(10)

    assert scope.cancelled_caught
    assert (await handle.wait()).outcome is Outcome.SUCCEEDED


async def test_several_tasks_may_wait_for_one_result(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    job = await scheduler.add_job(add, "interval", [1], hours=1)
    handle = await scheduler.run_job(job.id)

    async def wait() -> None:
        notes.append(await handle.result())

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(wait)

    assert notes == [1, 1, 1]


async def test_other_arguments_take_the_place_of_the_jobs(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    job = await scheduler.add_job(add, "interval", [1], {"other": 2}, hours=1)

    one = await scheduler.run_job(job.id, args=[10])
    two = await scheduler.run_job(job.id, args=[10], kwargs={})
    three = await scheduler.run_job(job.id, kwargs={"other": 5})
    await clock.advance(HOUR)

    assert [await handle.result() for handle in (one, two, three)] == [12, 10, 6]
    assert [run.retval for run in await scheduler.get_runs(job.id, limit=1)] == [3]


async def test_arguments_that_do_not_fit_are_refused(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    job = await scheduler.add_job(add, "interval", [1], hours=1)

    with pytest.raises(ValueError, match="nonsense"):
        await scheduler.run_job(job.id, kwargs={"nonsense": 1})

    await clock.advance()
    assert await scheduler.get_runs(job.id) == []


async def test_a_paused_job_runs_too_and_stays_paused(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    job = await scheduler.add_job(add, "interval", [1], hours=1)
    await scheduler.pause_job(job.id)

    handle = await scheduler.run_job(job.id)

    assert await handle.result() == 1
    assert job.next_run_time is None


async def test_while_max_instances_runs_are_under_way_it_waits_for_its_turn(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    async def work(name: str) -> None:
        notes.append((notes.seconds, name))
        await clock.sleep(10)

    job = await scheduler.add_job(work, "interval", ["x"], hours=1)
    for name in "abc":
        await scheduler.run_job(job.id, args=[name])

    await clock.advance(100)

    assert notes == [(0, "a"), (10, "b"), (20, "c")]


async def test_two_at_one_instant_are_two_runs(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    job = await scheduler.add_job(add, "interval", [0], hours=1, max_instances=2)

    one = await scheduler.run_job(job.id, args=[1])
    two = await scheduler.run_job(job.id, args=[2])

    assert one.run_id != two.run_id
    assert [await one.result(), await two.result()] == [1, 2]


async def test_it_may_be_run_at_the_instant_of_a_scheduled_run(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    job = await scheduler.add_job(notes.time, "interval", seconds=10)
    await clock.advance(10)

    await scheduler.run_job(job.id)
    await clock.advance()

    assert notes == [10, 10]


async def test_a_job_may_run_another_and_wait_for_its_result(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    async def outer() -> None:
        handle = await scheduler.run_job("inner", args=[41])
        with clock.parked():
            notes.append(await handle.result() + 1)

    await scheduler.add_job(add, "interval", [0], id="inner", hours=1)
    await scheduler.add_job(outer)

    await clock.advance()
    await clock.advance()

    assert notes == [42]


async def test_a_cancelled_run_has_no_result(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    job = await scheduler.add_job(clock.sleep, "interval", [10], hours=1)
    handle = await scheduler.run_job(job.id)
    await clock.advance(1)

    await scheduler.cancel_run(handle.run_id)

    with pytest.raises(RunFailedError, match=r"was cancelled .*cancelled by hand"):
        await handle.result()


async def test_a_cancelled_pending_run_has_no_result(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    job = await scheduler.add_job(clock.sleep, "interval", [10], hours=1)
    first, second = await scheduler.run_job(job.id), await scheduler.run_job(job.id)
    await clock.advance(1)

    await scheduler.cancel_run(second.run_id)

    with pytest.raises(RunFailedError, match="was cancelled"):
        await second.result()
    await clock.advance(10)
    assert (await first.wait()).outcome is Outcome.SUCCEEDED


async def test_a_pending_run_whose_job_is_removed_has_no_result(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    job = await scheduler.add_job(clock.sleep, "interval", [10], hours=1)
    await scheduler.run_job(job.id)
    pending = await scheduler.run_job(job.id)
    await clock.advance(1)

    await scheduler.remove_job(job.id)

    with anyio.fail_after(5), pytest.raises(RunFailedError, match="its job was removed"):
        await pending.result()


async def test_a_pending_run_has_no_result_after_all_jobs_are_removed(
    scheduler: AsyncScheduler, clock: VirtualClock
) -> None:
    job = await scheduler.add_job(clock.sleep, "interval", [10], hours=1)
    await scheduler.run_job(job.id)
    pending = await scheduler.run_job(job.id)
    await clock.advance(1)

    await scheduler.remove_all_jobs()

    with anyio.fail_after(5), pytest.raises(RunFailedError, match="its job was removed"):
        await pending.result()


async def test_a_run_under_way_ends_although_its_job_is_removed(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    job = await scheduler.add_job(clock.sleep, "interval", [10], hours=1)
    handle = await scheduler.run_job(job.id)
    await clock.advance(1)

    await scheduler.remove_job(job.id)
    await clock.advance(10)

    assert (await handle.wait()).outcome is Outcome.SUCCEEDED


async def test_a_run_that_the_shutdown_leaves_pending_has_no_result(clock: VirtualClock) -> None:
    async with AsyncScheduler(clock=clock) as scheduler:
        job = await scheduler.add_job(clock.sleep, "interval", [10], hours=1)
        running, pending = await scheduler.run_job(job.id), await scheduler.run_job(job.id)
        await clock.advance(1)

    with anyio.fail_after(5):
        with pytest.raises(RunFailedError, match="was cancelled"):
            await running.result()
        with pytest.raises(RunFailedError, match="shut down"):
            await pending.result()


async def test_a_run_in_a_paused_scheduler_waits_for_its_resumption(
    scheduler: AsyncScheduler, clock: VirtualClock
) -> None:
    job = await scheduler.add_job(add, "interval", [1], hours=1)
    await scheduler.pause()

    handle = await scheduler.run_job(job.id)
    await clock.advance(10)
    (run,) = await scheduler.get_runs(job.id)
    await scheduler.resume()

    assert run.outcome is Outcome.PENDING
    assert await handle.result() == 1


async def test_an_unknown_job_is_refused(scheduler: AsyncScheduler) -> None:
    with pytest.raises(JobLookupError, match="nobody"):
        await scheduler.run_job("nobody")


async def test_it_needs_a_running_scheduler(clock: VirtualClock) -> None:
    scheduler = AsyncScheduler(clock=clock)
    job = await scheduler.add_job(add, "interval", [1], hours=1)

    with pytest.raises(SchedulerNotRunningError, match="start it first"):
        await scheduler.run_job(job.id)


async def test_a_run_that_is_unknown_or_has_ended_cannot_be_cancelled(scheduler: AsyncScheduler) -> None:
    job = await scheduler.add_job(add, "interval", [1], hours=1)
    handle = await scheduler.run_job(job.id)
    await handle.wait()

    with pytest.raises(RunLookupError):
        await scheduler.cancel_run(handle.run_id)
    with pytest.raises(RunLookupError):
        await scheduler.cancel_run("job@2026-03-29T01:00:00Z")
    with pytest.raises(ValueError, match="run_id must look like"):
        await scheduler.cancel_run("job")
