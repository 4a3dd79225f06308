"""Executors: where jobs run, how many at a time, and what happens when one goes."""

from __future__ import annotations

import sys
import threading
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import pytest

from apsched._portal import drive
from apsched.async_scheduler import AsyncScheduler
from apsched.events import EVENT_JOB_QUARANTINED
from apsched.exceptions import AliasLookupError, ExecutorRefusedError
from apsched.executors.asyncio import AsyncIOExecutor
from apsched.executors.base import Call, Executor
from apsched.executors.debug import DebugExecutor
from apsched.executors.pool import ProcessPoolExecutor, ThreadPoolExecutor
from apsched.run import Outcome
from apsched.testing.clock import VirtualClock


class Moody(AsyncIOExecutor):
    """Takes calls, unless it is told not to."""

    refuses = False
    asked = 0

    async def execute(self, call: Call) -> Any:
        self.asked += 1
        if self.refuses:
            raise ExecutorRefusedError("not now")
        return await super().execute(call)


class Crashing(Executor):
    capacity = 1

    async def execute(self, call: Call) -> Any:
        raise OSError("the executor is broken")


async def test_a_plain_function_runs_in_a_thread_and_a_coroutine_function_in_the_event_loop(
    scheduler: AsyncScheduler,
) -> None:
    async def where() -> threading.Thread:
        return threading.current_thread()

    plain = await scheduler.add_job(threading.current_thread, "interval", hours=1)
    coroutine = await scheduler.add_job(where, "interval", hours=1)

    assert (plain.executor, coroutine.executor) == ("default", "asyncio")
    assert await (await scheduler.run_job(plain.id)).result() is not threading.current_thread()
    assert await (await scheduler.run_job(coroutine.id)).result() is threading.current_thread()


async def test_jobs_run_on_the_executor_that_they_name(clock: VirtualClock, notes: Any) -> None:
    def name() -> None:
        notes.append(threading.current_thread().name.rpartition("-")[0])

    def pool(prefix: str) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, {"thread_name_prefix": prefix})

    async with AsyncScheduler(clock=clock, executors={"one": pool("first"), "two": pool("second")}) as scheduler:
        await scheduler.add_job(name, "interval", seconds=10, executor="one")
        await scheduler.add_job(name, "interval", seconds=15, executor="two")
        await clock.advance(15)

    assert notes == ["first", "second"]


async def test_an_unknown_executor_is_refused_with_the_known_ones(scheduler: AsyncScheduler) -> None:
    with pytest.raises(AliasLookupError, match="nowhere; there are: asyncio, default"):
        await scheduler.add_job(int, "interval", hours=1, executor="nowhere")

    assert await scheduler.get_jobs() == []


async def test_a_job_may_not_be_moved_to_an_unknown_executor(scheduler: AsyncScheduler) -> None:
    job = await scheduler.add_job(int, "interval", hours=1)

    with pytest.raises(AliasLookupError, match="nowhere"):
        await scheduler.modify_job(job.id, executor="nowhere")

    assert job.executor == "default"


async def test_an_executor_may_be_added_at_run_time(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    await scheduler.add_executor("threadpool", "extra", max_workers=1)

    await scheduler.add_job(notes.time, "interval", seconds=10, executor="extra")
    await clock.advance(10)

    assert notes == [10]
    assert (await scheduler.health()).executors["extra"].capacity == 1


async def test_an_executor_of_a_taken_alias_is_refused(scheduler: AsyncScheduler) -> None:
    with pytest.raises(ValueError, match='already has an executor by the alias of "default"'):
        await scheduler.add_executor("threadpool")


async def test_removing_an_executor_quarantines_the_jobs_that_name_it_when_they_are_due(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    await scheduler.add_executor("threadpool", "extra")
    job = await scheduler.add_job(int, "interval", seconds=10, executor="extra")
    await scheduler.add_job(int, "interval", seconds=5)
    await scheduler.add_listener(notes.keep, EVENT_JOB_QUARANTINED)

    await scheduler.remove_executor("extra")
    await clock.advance(30)

    (event,) = notes
    assert event.job_id == job.id
    assert "no executor has the alias 'extra'" in event.detail
    assert await scheduler.get_job(job.id) is job
    assert str(job).endswith(f"quarantined: {event.detail})")


async def test_another_executor_heals_a_quarantined_job(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    await scheduler.add_executor("threadpool", "extra")
    job = await scheduler.add_job(notes.time, "interval", seconds=10, executor="extra")
    await scheduler.add_job(int, "interval", seconds=5)
    await scheduler.remove_executor("extra")
    await clock.advance(25)
    assert job.quarantine is not None

    await scheduler.modify_job(job.id, executor="default")
    await clock.advance(10)

    assert job.quarantine is None
    assert notes == [25, 30]  # late, not lost


async def test_removing_an_executor_waits_for_its_runs(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    await scheduler.add_executor(AsyncIOExecutor(), "extra")
    job = await scheduler.add_job(clock.sleep, args=[10], executor="extra")
    await clock.advance(1)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scheduler.remove_executor, "extra")
        await clock.advance(5)
        meanwhile = (await scheduler.get_runs(job.id))[0].outcome
        await clock.advance(5)

    assert meanwhile is Outcome.RUNNING
    assert (await scheduler.get_runs(job.id))[0].outcome is Outcome.SUCCEEDED


async def test_removing_an_executor_without_waiting_cancels_its_runs(
    scheduler: AsyncScheduler, clock: VirtualClock
) -> None:
    await scheduler.add_executor(AsyncIOExecutor(), "extra")
    job = await scheduler.add_job(clock.sleep, args=[10], executor="extra")
    other = await scheduler.add_job(clock.sleep, args=[10])
    await clock.advance(1)

    await scheduler.remove_executor("extra", wait=False)
    await clock.advance(20)

    (run,) = await scheduler.get_runs(job.id)
    assert (run.outcome, run.reason) == (Outcome.CANCELLED, "executor 'extra' was removed")
    assert (await scheduler.get_runs(other.id))[0].outcome is Outcome.SUCCEEDED


async def test_an_executor_may_be_replaced_while_its_runs_go_on(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    await scheduler.add_executor(AsyncIOExecutor(), "extra")
    old = await scheduler.add_job(clock.sleep, args=[10], executor="extra")
    await clock.advance(1)

    await scheduler.remove_executor("extra", shutdown=False)
    await scheduler.add_executor(AsyncIOExecutor(), "extra")
    new = await scheduler.add_job(clock.sleep, args=[2], executor="extra")
    await clock.advance(20)

    assert [(await scheduler.get_runs(job.id))[0].outcome for job in (old, new)] == [Outcome.SUCCEEDED] * 2


async def test_a_job_may_remove_its_executor_if_it_does_not_wait(
    scheduler: AsyncScheduler, clock: VirtualClock
) -> None:
    await scheduler.add_executor(AsyncIOExecutor(), "extra")
    job = await scheduler.add_job(scheduler.remove_executor, args=["extra", False], executor="extra")

    await clock.advance()

    assert (await scheduler.get_runs(job.id))[0].outcome is Outcome.SUCCEEDED
    assert "extra" not in (await scheduler.health()).executors


async def test_a_cancelled_removal_goes_on_in_the_background(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    await scheduler.add_executor(AsyncIOExecutor(), "extra")
    job = await scheduler.add_job(clock.sleep, args=[10], executor="extra")
    await clock.advance(1)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scheduler.remove_executor, "extra")
        await clock.advance(1)
        tasks.cancel_scope.cancel()
    await clock.advance(20)

    assert (await scheduler.get_runs(job.id))[0].outcome is Outcome.SUCCEEDED


async def test_a_job_may_not_wait_for_itself_by_removing_its_executor(
    scheduler: AsyncScheduler, clock: VirtualClock
) -> None:
    job = await scheduler.add_job(scheduler.remove_executor, args=["asyncio"])

    await clock.advance()

    assert "was called from job" in ((await scheduler.get_runs(job.id))[0].error or "")


async def test_removing_an_unknown_executor_is_refused(scheduler: AsyncScheduler) -> None:
    with pytest.raises(AliasLookupError, match="No such executor: nowhere"):
        await scheduler.remove_executor("nowhere")


async def test_no_more_runs_are_claimed_than_the_executor_takes(clock: VirtualClock) -> None:
    async with AsyncScheduler(clock=clock, executors={"asyncio": AsyncIOExecutor(3)}) as scheduler:
        await scheduler.add_jobs([{"func": clock.sleep, "args": [10], "id": str(number)} for number in range(10)])
        claimed = []
        for _ in range(5):
            await clock.advance(5)
            claimed.append(len(await scheduler.get_runs(outcome="running")))
            health = await scheduler.health()
            assert health.executors["asyncio"].in_use == health.runs_under_way == claimed[-1]
        await clock.advance(100)
        done = await scheduler.get_runs(outcome="succeeded")

    assert claimed == [3, 3, 3, 3, 3]
    assert len(done) == 10


async def test_a_full_executor_does_not_hold_up_another(clock: VirtualClock, notes: Any) -> None:
    async with AsyncScheduler(clock=clock, executors={"narrow": AsyncIOExecutor(1)}) as scheduler:
        for _ in range(5):
            await scheduler.add_job(clock.sleep, args=[1000], executor="narrow")
        await scheduler.add_job(notes.time_later, "interval", seconds=10)
        await clock.advance(30)

    assert notes == [10, 20, 30]


async def test_a_run_that_is_refused_is_handed_back_and_comes_again(clock: VirtualClock, notes: Any) -> None:
    moody = Moody()
    async with AsyncScheduler(clock=clock, executors={"moody": moody}) as scheduler:
        job = await scheduler.add_job(notes.time_later, executor="moody")
        moody.refuses = True
        await clock.advance(10)
        asked = moody.asked
        moody.refuses = False
        await clock.advance(10)
        runs = await scheduler.get_runs(job.id)

    assert 5 <= asked <= 12  # about once a second
    assert len(notes) == 1
    assert [run.outcome for run in runs] == [Outcome.SUCCEEDED]
    assert runs[0].epoch > 5


async def test_an_executor_that_raises_fails_the_run_alone(clock: VirtualClock, notes: Any) -> None:
    async with AsyncScheduler(clock=clock, executors={"broken": Crashing()}) as scheduler:
        job = await scheduler.add_job(int, executor="broken")
        await scheduler.add_job(notes.time, "interval", seconds=10)
        await clock.advance(10)
        (run,) = await scheduler.get_runs(job.id)

    assert run.outcome is Outcome.FAILED
    assert "the executor is broken" in (run.error or "")
    assert notes == [10]


async def test_a_coroutine_function_in_a_thread_pool_runs_there(clock: VirtualClock) -> None:
    async def where() -> threading.Thread:
        return threading.current_thread()

    async with AsyncScheduler(clock=clock, executors={"threads": "threadpool"}) as scheduler:
        job = await scheduler.add_job(where, "interval", hours=1, executor="threads")

        assert await (await scheduler.run_job(job.id)).result() is not threading.current_thread()


async def test_health_may_be_asked_from_another_thread_while_executors_come_and_go(scheduler: AsyncScheduler) -> None:
    is_over = threading.Event()

    def scrape() -> int:
        count = 0
        while not is_over.is_set():
            count += len(drive(scheduler.health()).executors)
        return count

    async def ask() -> None:
        counts.append(await anyio.to_thread.run_sync(scrape))

    counts: list[int] = []
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            for number in range(200):
                await scheduler.add_executor(DebugExecutor(), str(number))
            for number in range(200):
                await scheduler.remove_executor(str(number))
            is_over.set()
    finally:
        sys.setswitchinterval(interval)

    assert counts[0] > 0


def take_leave() -> None:
    pass


class Service:
    """Has a method that may be sent elsewhere."""

    def serve(self) -> None:
        pass


@pytest.mark.parametrize("is_started", [True, False])
async def test_a_callable_that_cannot_be_sent_to_a_worker_process_is_refused(is_started: bool) -> None:
    text = "func must be a function or class of a module to run in a worker process, got .*<lambda>, which cannot"
    scheduler = AsyncScheduler(timezone="UTC", executors={"processes": ProcessPoolExecutor(1)})
    if is_started:
        async with scheduler:
            with pytest.raises(ValueError, match=text):
                await scheduler.add_job(lambda: 1, "cron", hour=0, executor="processes")
            assert await scheduler.get_jobs() == []
    else:
        await scheduler.add_job(lambda: 1, "cron", hour=0, executor="processes")
        with pytest.raises(ValueError, match=text):
            await scheduler.__aenter__()


async def test_a_change_to_such_a_callable_is_refused(clock: VirtualClock) -> None:
    executors = {"processes": ProcessPoolExecutor(1)}
    async with AsyncScheduler(timezone="UTC", clock=clock, executors=executors) as scheduler:
        await scheduler.add_job(lambda: 1, "cron", hour=0, id="here")
        there = await scheduler.add_job(take_leave, "cron", hour=0, id="there", executor="processes")

        for job_id, changes in (("here", {"executor": "processes"}), ("there", {"func": lambda: 1})):
            with pytest.raises(ValueError, match="define it at module level, or use a thread pool"):
                await scheduler.modify_job(job_id, **changes)

        assert there.func is take_leave


@pytest.mark.parametrize("func", [take_leave, Service().serve, partial(divmod, 7, 2), "math:floor"])
async def test_a_callable_that_can_be_sent_is_taken(clock: VirtualClock, func: Any) -> None:
    executors = {"processes": ProcessPoolExecutor(1)}
    args = [1.5] if func == "math:floor" else []
    async with AsyncScheduler(timezone="UTC", clock=clock, executors=executors) as scheduler:
        await scheduler.add_job(func, "cron", args, hour=0, id="job", executor="processes")

        assert await scheduler.get_job("job") is not None
