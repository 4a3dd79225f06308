"""`current_run` and `current_job`, inside of a job."""

from __future__ import annotations

import threading
import time
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.to_thread
import pytest

from apsched.async_scheduler import AsyncScheduler
from apsched.engine.current import current_job, current_run
from apsched.engine.middleware import CallNext
from apsched.exceptions import SchedulerStateError
from apsched.executors.pool import ProcessPoolExecutor
from apsched.run import Outcome, Run
from apsched.testing.clock import VirtualClock

number: ContextVar[int] = ContextVar("number", default=0)


async def test_a_coroutine_function_knows_its_run(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    async def work() -> None:
        run = current_run()
        notes.append((run.job_id, run.nominal_time, run.outcome, run.epoch, run.idempotency_key))

    job = await scheduler.add_job(work, "interval", seconds=10, id="job")
    nominal = job.next_run_time
    await clock.advance(10)

    assert notes == [("job", nominal, Outcome.RUNNING, 1, "job@2026-01-01T00:00:10Z")]


async def test_a_function_in_a_thread_knows_its_run(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    await scheduler.add_job(lambda: notes.append(current_run().job_id), id="job")

    await clock.advance()

    assert notes == ["job"]


async def test_runs_side_by_side_know_each_its_own(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    async def work() -> None:
        before = current_run()
        await clock.sleep(5)
        notes.append((before is current_run(), current_run().job_id))

    for name in "abc":
        await scheduler.add_job(work, id=name)

    await clock.advance(10)

    assert sorted(notes) == [(True, "a"), (True, "b"), (True, "c")]


async def test_tasks_and_threads_of_a_job_know_its_run(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    async def note() -> None:
        notes.append(current_run().job_id)

    async def work() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(note)
        notes.append(await anyio.to_thread.run_sync(lambda: current_run().job_id))

    await scheduler.add_job(work, id="job")

    await clock.advance()

    assert notes == ["job", "job"]


def tell_the_run() -> dict[str, Any]:
    run = current_run()
    names = ("id", "job_id", "nominal_time", "outcome", "attempt", "node", "idempotency_key", "is_manual", "cancelled")
    return {name: getattr(run, name) for name in names} | {"is_same": current_run() is run}


async def tell_the_run_later() -> dict[str, Any]:
    return tell_the_run()


@pytest.mark.parametrize("func", [tell_the_run, tell_the_run_later])
async def test_a_function_in_a_worker_process_knows_its_run(func: Any) -> None:
    executors = {"processes": ProcessPoolExecutor(1)}
    async with AsyncScheduler(timezone="UTC", executors=executors) as scheduler:
        await scheduler.add_job(func, "cron", hour=0, id="job", executor="processes")
        for _ in range(2):
            handle = await scheduler.run_job("job")
            told = await handle.result()

            assert told == {
                "id": handle.run_id,
                "job_id": "job",
                "nominal_time": told["nominal_time"],
                "outcome": Outcome.RUNNING,
                "attempt": 1,
                "node": scheduler.node,
                "idempotency_key": handle.run_id,
                "is_manual": True,
                "cancelled": False,
                "is_same": True,
            }


async def test_a_run_that_is_cancelled_says_so_to_its_thread(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    entered, told = threading.Event(), threading.Event()

    def work() -> None:
        run = current_run()
        entered.set()
        while not run.cancelled:
            time.sleep(0.001)
        told.set()

    await scheduler.add_job(work, "cron", hour=12, id="job")
    handle = await scheduler.run_job("job")
    await anyio.to_thread.run_sync(entered.wait)

    await scheduler.cancel_run(handle.run_id)

    assert await anyio.to_thread.run_sync(told.wait, 30)


async def test_outside_of_a_run_there_is_none(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    await scheduler.add_job(int)
    await clock.advance()

    with pytest.raises(SchedulerStateError, match="outside of a run"):
        current_run()


async def test_what_one_run_sets_in_its_context_no_other_sees(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    async def count() -> None:
        number.set(number.get() + 1)
        notes.append(number.get())

    def count_in_thread() -> None:
        number.set(number.get() + 1)
        notes.append(number.get())

    await scheduler.add_job(count, "interval", seconds=10)
    await scheduler.add_job(count_in_thread, "interval", seconds=10)

    await clock.advance(30)

    assert notes == [1] * 6


async def test_a_callable_knows_its_job(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    def work() -> None:
        notes.append((current_job().id, dict(current_job().tags)))

    async def work_later() -> None:
        work()
        notes.append(await anyio.to_thread.run_sync(lambda: current_job().id))

    await scheduler.add_job(work, id="in a thread", tags={"team": "a"})
    await clock.advance()
    await scheduler.add_job(work_later, id="in the loop", tags={"team": "b"})
    await clock.advance()

    assert notes == [("in a thread", {"team": "a"}), ("in the loop", {"team": "b"}), "in the loop"]


async def test_a_middleware_knows_the_job(clock: VirtualClock, notes: Any) -> None:
    async def note(run: Run, call_next: CallNext) -> Any:
        notes.append(current_job().id)
        return await call_next()

    async with AsyncScheduler(clock=clock, timezone="UTC", middleware=[note]) as scheduler:
        await scheduler.add_job(int, id="job")
        await clock.advance()

    assert notes == ["job"]


async def test_a_worker_process_does_not_know_the_job_and_says_so() -> None:
    async with AsyncScheduler(timezone="UTC", executors={"processes": ProcessPoolExecutor(1)}) as scheduler:
        await scheduler.add_job(current_job, "cron", hour=0, id="job", executor="processes")
        handle = await scheduler.run_job("job")

        with pytest.raises(SchedulerStateError, match=r"worker process, which gets the run alone; use current_run\(\)"):
            await handle.result()


async def test_outside_of_a_run_there_is_no_job(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    await scheduler.add_job(int)
    await clock.advance()

    with pytest.raises(SchedulerStateError, match=r"current_job\(\) was called outside of a run"):
        current_job()
