"""Nominal times that come while the job runs."""

from __future__ import annotations

import threading
from typing import Any

import anyio
import anyio.to_thread
import pytest

from apsched.async_scheduler import AsyncScheduler
from apsched.events import EVENT_JOB_MAX_INSTANCES, JobSubmissionEvent
from apsched.testing.clock import START, VirtualClock


async def history(scheduler: AsyncScheduler, job_id: str) -> list[tuple[float, str]]:
    runs = await scheduler.get_runs(job_id)
    return [((run.nominal_time - START).total_seconds(), run.outcome.value) for run in runs[::-1]]


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        ("skip", ["running", "skipped", "skipped", "skipped"]),
        ("queue_one", ["running", "pending", "skipped", "skipped"]),
        ("queue_all", ["running", "pending", "pending", "pending"]),
        ("cancel_running", ["cancelled", "cancelled", "cancelled", "running"]),
        ("allow", ["running", "running", "running", "running"]),
    ],
)
async def test_the_policy_says_what_becomes_of_it(
    scheduler: AsyncScheduler, clock: VirtualClock, overlap: Any, expected: list[str]
) -> None:
    job = await scheduler.add_job(clock.sleep, "interval", [1000], seconds=10, overlap=overlap)

    await clock.advance(40)

    assert await history(scheduler, job.id) == list(zip((10, 20, 30, 40), expected, strict=True))


async def test_a_queued_run_starts_when_the_one_before_it_ends(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    async def work() -> None:
        notes.time()
        await clock.sleep(25)

    job = await scheduler.add_job(work, "interval", seconds=10, overlap="queue_one")

    await clock.advance(90)

    assert notes == [10, 35, 60, 85]
    assert (await history(scheduler, job.id))[:4] == [
        (10, "succeeded"),
        (20, "succeeded"),
        (30, "skipped"),
        (40, "succeeded"),
    ]


async def test_several_instances_run_side_by_side(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    job = await scheduler.add_job(clock.sleep, "interval", [25], seconds=10, max_instances=2)

    await clock.advance(60)

    assert [outcome for _, outcome in await history(scheduler, job.id)] == [
        "succeeded",
        "succeeded",
        "skipped",
        "running",
        "running",
        "skipped",
    ]


async def test_a_skipped_run_names_the_run_in_its_way(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    await scheduler.add_listener(notes.keep, EVENT_JOB_MAX_INSTANCES)
    await scheduler.add_job(clock.sleep, "interval", [1000], seconds=10, id="job")

    await clock.advance(25)

    (event,) = notes
    assert isinstance(event, JobSubmissionEvent)
    (skipped, running) = await scheduler.get_runs("job")
    assert skipped.reason == f"run {running.id} has been under way on node {scheduler.node} for 10.000 s"
    assert event.scheduled_run_times == [skipped.nominal_time]


async def test_a_thread_counts_until_it_ends(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    entered, go = threading.Event(), threading.Event()

    def work() -> None:
        with clock.parked():
            entered.set()
            go.wait()

    job = await scheduler.add_job(work, "interval", seconds=10)
    handle = await scheduler.run_job(job.id)
    await anyio.to_thread.run_sync(entered.wait)
    await clock.advance(15)
    go.set()
    await handle.wait()
    await clock.advance(10)

    assert await history(scheduler, job.id) == [(0, "succeeded"), (10, "skipped"), (20, "succeeded")]


async def test_a_thread_that_is_replaced_is_let_go(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    entered, go = threading.Semaphore(0), threading.Event()

    def work() -> None:
        with clock.parked():
            entered.release()
            go.wait()

    job = await scheduler.add_job(work, "interval", hours=1, overlap="cancel_running")
    await scheduler.modify_job(job.id, next_run_time=clock.now())
    await anyio.to_thread.run_sync(entered.acquire)
    await scheduler.modify_job(job.id, next_run_time=clock.now() + (START - START).resolution)
    await clock.advance(0.001)
    await anyio.to_thread.run_sync(entered.acquire)
    outcomes = [outcome for _, outcome in await history(scheduler, job.id)]
    go.set()

    assert outcomes == ["cancelled", "running"]


async def test_the_policy_holds_for_each_job_by_itself(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    await scheduler.add_job(clock.sleep, "interval", [1000], seconds=10, id="slow")
    await scheduler.add_job(int, "interval", seconds=10, id="quick")

    await clock.advance(30)

    assert [outcome for _, outcome in await history(scheduler, "quick")] == ["succeeded"] * 3


async def test_the_end_of_a_run_frees_its_instance_within_the_same_instant(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    async def work() -> None:
        notes.time()
        await clock.sleep(9.999)

    job = await scheduler.add_job(work, "interval", seconds=10)

    await clock.advance(50)

    assert notes == [10, 20, 30, 40, 50]
    assert {outcome for _, outcome in await history(scheduler, job.id)} == {"succeeded", "running"}
