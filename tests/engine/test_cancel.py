"""Cancelling runs, and callables that raise what is no Exception."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import sniffio

from apsched.async_scheduler import AsyncScheduler
from apsched.events import (
    EVENT_ALL_JOBS_REMOVED,
    EVENT_JOB_CANCELLED,
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_REMOVED,
    EVENT_JOB_RETRYING,
    JobExecutionEvent,
    SchedulerEvent,
)
from apsched.retry import Retry
from apsched.run import Outcome, Run
from apsched.testing.clock import VirtualClock
from apsched.testing.cluster import Cluster, ClusterNode
from apsched.testing.store import FaultyJobStore


class Alarm(BaseException):
    """Not to be caught by `except Exception`."""


async def outcomes(scheduler: AsyncScheduler, job_id: str) -> list[str]:
    return [run.outcome.value for run in await scheduler.get_runs(job_id)][::-1]


async def test_a_coroutine_gets_its_cancellation(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    async def work() -> None:
        try:
            await clock.sleep(100)
        except anyio.get_cancelled_exc_class():
            notes.time()
            raise

    job = await scheduler.add_job(work)
    await clock.advance(10)
    (run,) = await scheduler.get_runs(job.id)

    found = await scheduler.cancel_run(run.id)
    await clock.advance()

    assert found.outcome is Outcome.RUNNING
    assert notes == [10]
    (run,) = await scheduler.get_runs(job.id)
    assert (run.outcome, run.reason) == (Outcome.CANCELLED, "cancelled by hand")


async def test_a_coroutine_with_tasks_of_its_own_is_cancelled_with_them(
    scheduler: AsyncScheduler, clock: VirtualClock
) -> None:
    async def work() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(clock.sleep, 100)
            await clock.sleep(100)

    async def work_natively() -> None:
        if sniffio.current_async_library() == "trio":
            import trio

            async with trio.open_nursery() as nursery:
                nursery.start_soon(clock.sleep, 100)
                nursery.start_soon(clock.sleep, 100)
        else:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(clock.sleep(100))
                tasks.create_task(clock.sleep(100))

    for work_of in (work, work_natively):
        job = await scheduler.add_job(work_of, id=work_of.__name__)
        clock.work_ended()  # the job counts as one piece of work and has several sleepers
        await anyio.wait_all_tasks_blocked()
        (run,) = await scheduler.get_runs(job.id)

        await scheduler.cancel_run(run.id)
        await anyio.wait_all_tasks_blocked()
        clock.work_began()

    assert await outcomes(scheduler, "work") == ["cancelled"]
    assert await outcomes(scheduler, "work_natively") == ["cancelled"]


async def test_what_a_coroutine_raises_when_it_is_cancelled_is_its_failure(
    scheduler: AsyncScheduler, clock: VirtualClock
) -> None:
    async def work() -> None:
        try:
            await clock.sleep(100)
        finally:
            raise LookupError("while tidying up")

    job = await scheduler.add_job(work)
    await clock.advance(10)
    (run,) = await scheduler.get_runs(job.id)

    await scheduler.cancel_run(run.id)
    await clock.advance()

    (run,) = await scheduler.get_runs(job.id)
    assert run.outcome is Outcome.FAILED
    assert "while tidying up" in (run.error or "")


async def test_a_thread_is_let_go(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    parked, go = threading.Event(), threading.Event()

    def work() -> None:
        with clock.parked():
            parked.set()
            go.wait()

    job = await scheduler.add_job(work, "interval", hours=1)
    handle = await scheduler.run_job(job.id)
    await anyio.to_thread.run_sync(parked.wait)

    await scheduler.cancel_run(handle.run_id)
    run = await handle.wait()
    go.set()

    assert run.outcome is Outcome.CANCELLED


@pytest.mark.parametrize("error", [SystemExit(3), Alarm(), GeneratorExit(), asyncio.CancelledError()], ids=repr)
@pytest.mark.parametrize("kind", ["coroutine", "thread"])
async def test_whatever_a_callable_raises_is_its_failure_and_the_scheduler_goes_on(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any, error: BaseException, kind: str
) -> None:
    def fail() -> None:
        raise error

    async def fail_later() -> None:
        await anyio.lowlevel.checkpoint()
        raise error

    events: list[JobExecutionEvent] = []
    await scheduler.add_listener(events.append, EVENT_JOB_ERROR | EVENT_JOB_EXECUTED)
    job = await scheduler.add_job(fail if kind == "thread" else fail_later)
    await scheduler.add_job(notes.time, "interval", seconds=10, id="good")

    await clock.advance(20)

    (run,) = await scheduler.get_runs(job.id)
    assert run.outcome is Outcome.FAILED
    assert type(error).__name__ in (run.error or "")
    assert events[0].exception is error
    assert notes == [10, 20]


async def test_an_interrupt_that_a_coroutine_raises_is_its_failure(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    async def interrupt() -> None:
        raise KeyboardInterrupt

    job = await scheduler.add_job(interrupt)
    await scheduler.add_job(notes.time, "interval", seconds=10)

    await clock.advance(10)

    assert await outcomes(scheduler, job.id) == ["failed"]
    assert notes == [10]


async def test_the_error_of_a_run_begins_at_the_callable(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    def fail() -> None:
        raise LookupError("nothing here")

    job = await scheduler.add_job(fail)

    await clock.advance()

    (run,) = await scheduler.get_runs(job.id)
    lines = (run.error or "").splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "LookupError: nothing here"
    assert "apsched/" not in (run.error or "").replace("apsched/tests", "")


async def test_cancel_running_cancels_what_runs_and_starts_the_next(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    async def work() -> None:
        notes.time()
        await clock.sleep(15)
        notes.append("done")

    job = await scheduler.add_job(work, "interval", seconds=10, overlap="cancel_running")

    await clock.advance(35)

    assert notes == [10, 20, 30]
    assert await outcomes(scheduler, job.id) == ["cancelled", "cancelled", "running"]
    (_, replaced, _) = await scheduler.get_runs(job.id)
    assert "replaces it" in (replaced.reason or "")


async def let_it_run_on_the_first(one: ClusterNode, two: ClusterNode, clock: VirtualClock) -> None:
    """Let a run begin on the first node, and no other be begun there."""
    await two.scheduler.pause()
    await one.scheduler.add_job(clock.sleep, "interval", [1000], seconds=100, id="job", overlap="cancel_running")
    await clock.advance(101)
    await one.scheduler.pause()


async def test_cancel_running_cancels_what_runs_on_another_node(clock: VirtualClock) -> None:
    cluster = Cluster(clock)
    async with cluster.node() as one, cluster.node() as two:
        await let_it_run_on_the_first(one, two, clock)
        await two.scheduler.resume()

        await clock.advance(105)

        runs = await two.scheduler.get_runs("job")
        assert [(run.node, run.outcome) for run in runs] == [
            (two.scheduler.node, Outcome.RUNNING),
            (one.scheduler.node, Outcome.CANCELLED),
        ]
        assert "replaces it" in (runs[1].reason or "")


async def test_cancel_running_cancels_what_runs_although_the_claim_gets_no_answer(clock: VirtualClock) -> None:
    cluster = Cluster(clock)
    async with cluster.node() as one, cluster.node() as two:
        await let_it_run_on_the_first(one, two, clock)
        await clock.advance(99)
        two.store.fail_next("take_due", is_late=True)
        await two.scheduler.resume()

        await clock.advance(10)

        runs = await two.scheduler.get_runs("job")
        assert [(run.node, run.outcome) for run in runs] == [
            (two.scheduler.node, Outcome.RUNNING),
            (one.scheduler.node, Outcome.CANCELLED),
        ]


@pytest.mark.parametrize("verb", ["remove_job", "remove_all_jobs"])
async def test_pending_runs_of_a_removed_job_are_cancelled_one_event_each(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any, verb: str
) -> None:
    def note(event: SchedulerEvent) -> None:
        told = (event.run.reason, event.run.nominal_time) if isinstance(event, JobExecutionEvent) else ()
        notes.append((event.name, *told))

    await scheduler.add_listener(note, EVENT_JOB_CANCELLED | EVENT_JOB_REMOVED | EVENT_ALL_JOBS_REMOVED)
    job = await scheduler.add_job(clock.sleep, "interval", [100], seconds=10, overlap="queue_all")
    await clock.advance(35)
    before = await scheduler.get_runs(job.id, outcome="pending")

    await getattr(scheduler, verb)(*[job.id] if verb == "remove_job" else [])
    await clock.advance()

    last = "EVENT_JOB_REMOVED" if verb == "remove_job" else "EVENT_ALL_JOBS_REMOVED"
    assert len(before) == 2
    reason = notes[0][1]
    assert notes == [*[("EVENT_JOB_CANCELLED", reason, run.nominal_time) for run in reversed(before)], (last,)]
    assert reason


async def test_a_run_is_cancelled_from_another_node(clock: VirtualClock) -> None:
    cluster = Cluster(clock)
    async with cluster.node() as one, cluster.node() as two:
        await two.scheduler.pause()
        await one.scheduler.add_job(clock.sleep, args=[1000], id="job")
        await clock.advance(2)
        (run,) = await two.scheduler.get_runs("job")

        found = await two.scheduler.cancel_run(run.id)
        await clock.advance(6)

        assert found.node == run.node
        (run,) = await two.scheduler.get_runs("job")
        assert (run.outcome, run.reason, run.cancel_reason) == (Outcome.CANCELLED, "cancelled by hand", None)


async def test_a_run_that_is_to_be_cancelled_is_not_attempted_again_when_it_fails(clock: VirtualClock) -> None:
    may_fail = anyio.Event()

    async def fail() -> None:
        with clock.parked():
            await may_fail.wait()
        raise OSError("it fails before its node has heard of the cancellation")

    cluster = Cluster(clock)
    async with cluster.node() as one, cluster.node() as two:
        await two.scheduler.pause()
        await one.scheduler.add_job(fail, id="job", retry=Retry(3, 1.0))
        await clock.advance(2)
        (run,) = await two.scheduler.get_runs("job")

        await two.scheduler.cancel_run(run.id)
        may_fail.set()
        await clock.advance(60)

        (run,) = await two.scheduler.get_runs("job")
        assert (run.outcome, run.reason, len(run.attempts)) == (Outcome.CANCELLED, "cancelled by hand", 1)


async def test_a_run_that_is_to_be_cancelled_while_it_goes_back_is_not_attempted_again(
    clock: VirtualClock, notes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail() -> None:
        raise OSError("it goes wrong")

    async def finish(runs: Sequence[Run]) -> list[Run]:
        if runs[0].outcome is Outcome.PENDING:
            await two.scheduler.cancel_run(runs[0].id)
        return await FaultyJobStore.finish(one.store, runs)

    cluster = Cluster(clock)
    async with cluster.node() as one, cluster.node() as two:
        await two.scheduler.pause()
        await one.scheduler.add_listener(
            lambda event: notes.append(event.name), EVENT_JOB_CANCELLED | EVENT_JOB_RETRYING
        )
        monkeypatch.setattr(one.store, "finish", finish)
        await one.scheduler.add_job(fail, id="job", retry=Retry(3, 1.0))
        await clock.advance(60)

        (run,) = await two.scheduler.get_runs("job")
        assert (run.outcome, run.reason, len(run.attempts)) == (Outcome.CANCELLED, "cancelled by hand", 1)
        assert notes == ["EVENT_JOB_CANCELLED"]


async def test_a_run_that_is_to_be_cancelled_is_not_run_again_when_its_node_dies(clock: VirtualClock) -> None:
    cluster = Cluster(clock)
    async with cluster.node() as one, cluster.node() as two:
        await two.scheduler.pause()
        await one.scheduler.add_job(clock.sleep, args=[1000], id="job")
        await clock.advance(2)
        (run,) = await two.scheduler.get_runs("job")
        await one.kill()

        await two.scheduler.cancel_run(run.id)
        await two.scheduler.resume()
        await clock.advance(60)

        (run,) = await two.scheduler.get_runs("job")
        assert run.outcome is Outcome.CANCELLED
        assert run.reason is not None
        assert run.reason.startswith("cancelled by hand; node ")
