"""Runs that take longer than the `timeout` of their job."""

from __future__ import annotations

import asyncio
import logging
import pickle
import threading
import time
from contextlib import suppress
from datetime import timedelta
from typing import Any

import anyio
import anyio.to_thread
import pytest

from apsched.async_scheduler import AsyncScheduler
from apsched.engine import runner
from apsched.engine.current import current_run
from apsched.engine.deadlines import KEPT, Deadlines
from apsched.events import EVENT_JOB_ERROR, JobExecutionEvent
from apsched.exceptions import JobTimeoutError
from apsched.executors.pool import ProcessPoolExecutor, ThreadPoolExecutor
from apsched.run import Outcome, Run
from apsched.testing.clock import VirtualClock

LATE = "it took longer than its timeout of 5 s"


async def last_run(scheduler: AsyncScheduler, job_id: str) -> Run:
    return (await scheduler.get_runs(job_id))[0]


async def test_a_coroutine_is_cancelled_and_its_run_has_timed_out(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    async def work() -> None:
        try:
            await clock.sleep(100)
        finally:
            notes.append((notes.seconds, current_run().cancelled))

    events: list[JobExecutionEvent] = []
    await scheduler.add_listener(events.append, EVENT_JOB_ERROR)
    job = await scheduler.add_job(work, "cron", hour=12, timeout=5)
    handle = await scheduler.run_job(job.id)

    await clock.advance(10)

    run = await last_run(scheduler, job.id)
    assert notes == [(5, True)]
    assert (run.outcome, run.reason, run.duration, run.error) == (Outcome.TIMED_OUT, LATE, 5, None)
    assert isinstance(events[0].exception, JobTimeoutError)
    assert events[0].exception.timeout == 5
    with pytest.raises(TimeoutError, match=LATE):
        await handle.result()
    assert (await scheduler.health()).executors["asyncio"].stuck == 0


async def test_a_run_that_ends_in_time_is_left_alone(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    await scheduler.add_job(clock.sleep, "interval", [4.9], seconds=10, timeout=5, id="job")

    await clock.advance(65)

    assert {run.outcome for run in await scheduler.get_runs("job")} == {Outcome.SUCCEEDED}


async def test_each_run_has_its_own_time(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    for seconds in (7, 3, 50, 5):
        await scheduler.add_job(clock.sleep, args=[100], id=str(seconds), timeout=seconds)
        await clock.advance(1)

    await clock.advance(60)

    for seconds in (7, 3, 50, 5):
        assert (await last_run(scheduler, str(seconds))).duration == seconds


async def test_a_wall_clock_that_is_set_costs_no_run_its_time(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    job = await scheduler.add_job(clock.sleep, args=[4], timeout=5)
    await clock.advance(1)

    await clock.jump(3600)
    await clock.advance(10)

    assert (await last_run(scheduler, job.id)).outcome is Outcome.SUCCEEDED


async def test_the_job_defaults_have_a_timeout_that_a_job_may_lift(clock: VirtualClock) -> None:
    async with AsyncScheduler(clock=clock, timezone="UTC", job_defaults={"timeout": 5}) as scheduler:
        await scheduler.add_job(clock.sleep, args=[10], id="usual")
        await scheduler.add_job(clock.sleep, args=[10], id="patient", timeout=None)
        await clock.advance(20)

        assert (await last_run(scheduler, "usual")).outcome is Outcome.TIMED_OUT
        assert (await last_run(scheduler, "patient")).outcome is Outcome.SUCCEEDED


async def test_modify_job_changes_the_timeout_of_the_runs_to_come(
    scheduler: AsyncScheduler, clock: VirtualClock
) -> None:
    job = await scheduler.add_job(clock.sleep, "interval", [4], seconds=10, timeout=5)
    await clock.advance(11)

    await scheduler.modify_job(job.id, timeout=2)
    await clock.advance(18)

    outcomes = [run.outcome for run in await scheduler.get_runs(job.id)]
    assert outcomes == [Outcome.TIMED_OUT, Outcome.SUCCEEDED]


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0, ValueError, "timeout must be None or more than 0 seconds, got 0"),
        (float("nan"), ValueError, "timeout must be None or more than 0 seconds, got nan"),
        (1e12, ValueError, "timeout must be None, for any duration, or at most 100 years"),
        ("5", TypeError, "timeout must be None or a number of seconds, got '5'"),
        (timedelta(seconds=5), TypeError, "timeout must be None or a number of seconds"),
    ],
)
async def test_what_is_no_timeout_is_refused(
    scheduler: AsyncScheduler, value: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        await scheduler.add_job(int, timeout=value)


async def test_a_thread_is_let_go_its_slot_is_free_and_it_counts_as_stuck(clock: VirtualClock) -> None:
    entered, go, told = threading.Event(), threading.Event(), threading.Event()
    seen: list[bool] = []

    def work() -> None:
        run = current_run()
        with clock.parked():
            entered.set()
            go.wait()
        seen.append(run.cancelled)
        told.set()

    executors = {"default": ThreadPoolExecutor(1)}
    async with AsyncScheduler(clock=clock, timezone="UTC", executors=executors) as scheduler:
        await scheduler.add_job(work, id="job", timeout=5)
        await clock.advance()
        await anyio.to_thread.run_sync(entered.wait)
        await clock.advance(5)

        assert (await last_run(scheduler, "job")).reason == LATE
        health = (await scheduler.health()).executors["default"]
        assert (health.in_use, health.stuck) == (0, 1)

        await scheduler.add_job(int, "cron", hour=12, id="next")
        assert await (await scheduler.run_job("next")).result() == 0

        go.set()
        await anyio.to_thread.run_sync(told.wait)
        assert seen == [True]


async def test_time_in_the_queue_does_not_count(clock: VirtualClock) -> None:
    async def fill() -> None:
        await clock.sleep(8)

    executors = {"one": {"type": "asyncio", "max_concurrent": 1}}
    async with AsyncScheduler(clock=clock, timezone="UTC", executors=executors) as scheduler:
        for job_id in ("a", "b"):
            await scheduler.add_job(fill, id=job_id, executor="one", timeout=9)
        await clock.advance(30)

        assert (await last_run(scheduler, "b")).outcome is Outcome.SUCCEEDED


async def test_a_worker_process_is_ended_and_replaced() -> None:
    executors = {"processes": ProcessPoolExecutor(1)}
    async with AsyncScheduler(timezone="UTC", executors=executors) as scheduler:
        await scheduler.add_job(time.sleep, "cron", [60], hour=0, executor="processes", id="job", timeout=0.2)
        run = await (await scheduler.run_job("job")).wait()
        assert (run.outcome, run.reason) == (Outcome.TIMED_OUT, "it took longer than its timeout of 0.2 s")

        await scheduler.add_job(int, "cron", hour=0, executor="processes", id="next")
        assert await (await scheduler.run_job("next")).result() == 0
        assert (await scheduler.health()).executors["processes"].stuck == 0


async def test_a_coroutine_that_swallows_its_cancellation_has_timed_out_and_counts_as_stuck(
    scheduler: AsyncScheduler, clock: VirtualClock
) -> None:
    go = anyio.Event()

    async def work() -> None:
        with anyio.CancelScope(shield=True), clock.parked():
            while not go.is_set():
                with suppress(anyio.get_cancelled_exc_class()):
                    await go.wait()

    job = await scheduler.add_job(work, timeout=5)
    await clock.advance(5)

    assert (await last_run(scheduler, job.id)).outcome is Outcome.TIMED_OUT
    assert (await scheduler.health()).executors["asyncio"].stuck == 1
    assert (await scheduler.health()).executors["asyncio"].in_use == 0

    go.set()
    await clock.advance()
    assert (await scheduler.health()).executors["asyncio"].stuck == 0


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # trio waits for what shields itself, whoever cancels it
async def test_a_coroutine_that_swallows_every_cancellation_does_not_hold_up_a_shutdown(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(runner, "LEAVE_TIMEOUT", 0.05)
    go, entered = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        entered.set()
        while not go.is_set():
            with suppress(asyncio.CancelledError):
                await go.wait()

    async with AsyncScheduler(timezone="UTC") as scheduler:
        await scheduler.add_job(work, id="stubborn")
        await entered.wait()
        with caplog.at_level(logging.WARNING):
            await scheduler.shutdown(wait=False)

    assert "left 1 runs that go on although they were cancelled: stubborn@" in caplog.text
    assert (await last_run(scheduler, "stubborn")).outcome is Outcome.CANCELLED
    go.set()
    await anyio.wait_all_tasks_blocked()


def test_the_exception_can_be_pickled() -> None:
    error = pickle.loads(pickle.dumps(JobTimeoutError(2.5)))

    assert (str(error), error.timeout) == ("it took longer than its timeout of 2.5 s", 2.5)


async def test_deadlines_that_are_over_take_no_memory(clock: VirtualClock) -> None:
    from apsched import _eventloop

    async with _eventloop.current().task_pool() as tasks:
        deadlines = Deadlines(clock, tasks)
        kept = deadlines.add(3600, lambda: None)
        for _ in range(10 * KEPT):
            deadlines.discard(deadlines.add(3600, lambda: None))

        assert len(deadlines._heap) <= 2 * KEPT + 2
        deadlines.discard(kept)
        deadlines.close()
