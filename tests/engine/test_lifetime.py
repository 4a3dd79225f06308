"""Starting and stopping: what is open when, and what a failure leaves behind."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import anyio
import pytest

from apsched.async_scheduler import STATE_PAUSED, STATE_RUNNING, STATE_STOPPED, AsyncScheduler
from apsched.events import EVENT_JOBSTORE_ADDED
from apsched.exceptions import (
    AliasLookupError,
    ConflictingIdError,
    SchedulerAlreadyRunningError,
    SchedulerNotRunningError,
    SchedulerStateError,
)
from apsched.executors.pool import ThreadPoolExecutor
from apsched.jobstores.memory import MemoryJobStore
from apsched.notifiers.base import Notifier
from apsched.testing.clock import START, VirtualClock
from tests.threads import threads


class Part:
    """Notes when it is entered and left."""

    def __init__(self, name: str, notes: list[Any]) -> None:
        super().__init__()
        self.name = name
        self.notes = notes

    async def __aenter__(self) -> Self:
        self.notes.append(f"{self.name} opens")
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.notes.append(f"{self.name} closes")


class Store(Part, MemoryJobStore):
    pass


class Threads(Part, ThreadPoolExecutor):
    pass


class BrokenStore(MemoryJobStore):
    async def __aenter__(self) -> Self:
        raise ConnectionRefusedError("nobody is there")


class SlowStore(MemoryJobStore):
    async def __aenter__(self) -> Self:
        await anyio.sleep_forever()
        return self


class Hints(Notifier):
    """Carries hints within one process; breaks down when it is told to."""

    def __init__(self) -> None:
        self.opened = 0
        self.is_broken = False
        self.sent: list[str] = []

    async def notify(self, store: str) -> None:
        if self.is_broken:
            raise ConnectionResetError("the line is dead")
        self.sent.append(store)

    def listen(self) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        return self._listen()

    @asynccontextmanager
    async def _listen(self) -> AsyncIterator[AsyncIterator[str]]:
        self.opened += 1
        if self.opened < 3:
            raise ConnectionResetError("the line is dead")
        yield self._wait()

    async def _wait(self) -> AsyncIterator[str]:
        await anyio.sleep_forever()
        yield ""


async def test_entering_starts_and_leaving_shuts_down(clock: VirtualClock) -> None:
    scheduler = AsyncScheduler(clock=clock)
    before = (scheduler.running, scheduler.state)

    async with scheduler as entered:
        during = (scheduler.running, scheduler.state)

    assert entered is scheduler
    assert before == (False, STATE_STOPPED)
    assert during == (True, STATE_RUNNING)
    assert (scheduler.running, scheduler.state) == (False, STATE_STOPPED)


async def test_parts_are_closed_in_reverse_order(clock: VirtualClock, notes: list[Any]) -> None:
    async with AsyncScheduler(
        clock=clock, jobstores={"default": Store("store", notes)}, executors={"default": Threads("executor", notes)}
    ):
        notes.append("serves")

    assert notes == ["executor opens", "store opens", "serves", "store closes", "executor closes"]


async def test_jobs_that_are_added_before_the_start_wait_for_it(clock: VirtualClock, notes: Any) -> None:
    scheduler = AsyncScheduler(clock=clock)
    job = await scheduler.add_job(notes.time, "interval", seconds=10)
    pending = job.is_pending
    await clock.advance(25)

    async with scheduler:
        (kept,) = await scheduler.get_jobs()
        await clock.advance(10)

    assert pending
    assert not kept.is_pending
    assert notes == [30]


async def test_a_scheduled_function_runs_after_the_start(clock: VirtualClock, notes: Any) -> None:
    scheduler = AsyncScheduler(clock=clock)

    @scheduler.scheduled_job("interval", id="tick", seconds=10)
    async def tick() -> None:
        notes.time()

    async with scheduler:
        await clock.advance(10)

    assert notes == [10]


async def test_a_decorated_function_stays_what_it_was(clock: VirtualClock) -> None:
    scheduler = AsyncScheduler(clock=clock)

    assert scheduler.scheduled_job("interval", seconds=10)(os.getpid) is os.getpid


async def test_decorating_while_the_scheduler_runs_is_refused(scheduler: AsyncScheduler) -> None:
    with pytest.raises(SchedulerStateError, match=r"use await add_job"):
        scheduler.scheduled_job("interval", seconds=10)(os.getpid)


async def test_a_scheduler_that_runs_cannot_be_entered_again(scheduler: AsyncScheduler) -> None:
    with pytest.raises(SchedulerAlreadyRunningError):
        await scheduler.__aenter__()

    assert scheduler.running


async def test_configure_is_refused_while_it_runs(scheduler: AsyncScheduler) -> None:
    with pytest.raises(SchedulerAlreadyRunningError, match="configure"):
        scheduler.configure(timezone="UTC")


async def test_configure_changes_what_the_constructor_was_given(clock: VirtualClock) -> None:
    scheduler = AsyncScheduler(clock=clock)

    scheduler.configure(job_defaults={"max_instances": 3}, timezone="Asia/Tokyo", jobstores={"other": "memory"})

    async with scheduler:
        job = await scheduler.add_job(os.getpid, "interval", hours=1, jobstore="other")
    assert job.max_instances == 3
    assert str(scheduler.timezone) == "Asia/Tokyo"


@pytest.mark.parametrize("max_idle", [0, -1, True, float("nan")])
def test_max_idle_must_be_more_than_no_seconds(max_idle: Any) -> None:
    with pytest.raises(ValueError, match="max_idle must be more than 0 seconds"):
        AsyncScheduler(max_idle=max_idle)


async def test_a_scheduler_that_starts_paused_runs_nothing_until_it_is_resumed(clock: VirtualClock, notes: Any) -> None:
    async with AsyncScheduler(clock=clock, start_paused=True) as scheduler:
        await scheduler.add_job(notes.time, "interval", seconds=10)
        await clock.advance(15)
        state, before = scheduler.state, list(notes)

        await scheduler.resume()
        await clock.advance()

    assert (state, before) == (STATE_PAUSED, [])
    assert notes == [15]


async def test_a_scheduler_may_be_started_again(clock: VirtualClock, notes: Any) -> None:
    scheduler = AsyncScheduler(clock=clock)
    nodes = set()
    for _ in range(3):
        async with scheduler:
            nodes.add(scheduler.node)
            await scheduler.add_job(notes.time, "interval", seconds=10)
            await scheduler.add_job(notes.time_later, "interval", seconds=10)
            await clock.advance(10)

    assert notes == [10, 10, 20, 20, 30, 30]
    assert len(nodes) == 3


async def test_a_scheduler_that_was_left_runs_nothing(clock: VirtualClock, notes: Any) -> None:
    async with AsyncScheduler(clock=clock) as scheduler:
        await scheduler.add_job(notes.time, "interval", seconds=10)

    await clock.advance(100)

    assert notes == []


async def test_no_thread_is_left(clock: VirtualClock, notes: Any) -> None:
    before = threads()

    async with AsyncScheduler(clock=clock) as scheduler:
        await scheduler.add_jobs([{"func": notes.time, "trigger": "interval", "seconds": 1} for _ in range(5)])
        await clock.advance(3)

    assert len(notes) == 15
    assert threads() == before


async def test_no_task_is_left(clock: VirtualClock, notes: Any) -> None:
    before = {task.id for task in anyio.get_running_tasks()}

    async with AsyncScheduler(clock=clock) as scheduler:
        await scheduler.add_listener(notes.event)
        await scheduler.add_jobs([{"func": clock.sleep, "args": [100]} for _ in range(5)])
        await clock.advance(3)

    assert {task.id for task in anyio.get_running_tasks()} == before


# a start that fails


async def test_a_store_that_cannot_be_opened_fails_the_start_with_its_own_error(
    clock: VirtualClock, notes: list[Any]
) -> None:
    before = threads()
    scheduler = AsyncScheduler(
        clock=clock,
        jobstores={"default": Store("store", notes), "broken": BrokenStore()},
        executors={"default": Threads("executor", notes)},
    )

    with pytest.raises(ConnectionRefusedError, match="nobody is there"):
        await scheduler.__aenter__()

    assert notes == ["executor opens", "store opens", "store closes", "executor closes"]
    assert not scheduler.running
    assert threads() == before


async def test_an_unknown_executor_of_a_staged_job_fails_the_start(clock: VirtualClock) -> None:
    scheduler = AsyncScheduler(clock=clock)
    await scheduler.add_job(os.getpid, "interval", hours=1, id="job", executor="nowhere")

    with pytest.raises(AliasLookupError, match="nowhere; there are: asyncio, default"):
        await scheduler.__aenter__()

    assert not scheduler.running


async def test_after_a_start_that_failed_the_staged_jobs_are_still_there(clock: VirtualClock, notes: Any) -> None:
    scheduler = AsyncScheduler(clock=clock)
    await scheduler.add_job(notes.time, "interval", seconds=10, id="good")
    await scheduler.add_job(notes.time, "interval", seconds=5, executor="late")
    with pytest.raises(AliasLookupError):
        await scheduler.__aenter__()

    await scheduler.add_executor("threadpool", "late")
    async with scheduler:
        await clock.advance(10)

    assert notes == [5, 10, 10]


async def test_a_conflict_with_a_stored_job_fails_the_start(clock: VirtualClock, notes: Any) -> None:
    class Persistent(MemoryJobStore):
        async def clear(self) -> None:
            pass

    async with AsyncScheduler(clock=clock, jobstores={"default": (store := Persistent())}) as scheduler:
        await scheduler.add_job(notes.time, "interval", seconds=10, id="job")
    again = AsyncScheduler(clock=clock, jobstores={"default": store})
    await again.add_job(os.getpid, "interval", hours=1, id="job")

    with pytest.raises(ConflictingIdError, match="job"):
        await again.__aenter__()

    assert (await store.get("job")).func == notes.time  # type: ignore[union-attr]  # it is there


async def test_two_staged_jobs_of_one_id_are_refused_at_the_call(clock: VirtualClock) -> None:
    scheduler = AsyncScheduler(clock=clock)
    await scheduler.add_job(os.getpid, "interval", hours=1, id="job")

    with pytest.raises(ConflictingIdError):
        await scheduler.add_job(os.getpid, "interval", hours=1, id="job")


async def test_a_start_that_failed_delivers_nothing_and_leaves_the_clock_idle(clock: VirtualClock, notes: Any) -> None:
    scheduler = AsyncScheduler(clock=clock, jobstores={"broken": BrokenStore()})
    await scheduler.add_listener(notes.event)
    for _ in range(2):
        with pytest.raises(ConnectionRefusedError):
            await scheduler.__aenter__()

    await clock.advance(10)

    assert notes == []


async def test_no_job_runs_before_all_stores_are_open(clock: VirtualClock, notes: Any) -> None:
    class Persistent(MemoryJobStore):
        async def clear(self) -> None:
            pass

    async with AsyncScheduler(clock=clock, jobstores={"default": (store := Persistent())}) as scheduler:
        await scheduler.add_job(notes.time_later, "interval", seconds=10)
    await clock.advance(15)

    with pytest.raises(ConnectionRefusedError):
        await AsyncScheduler(clock=clock, jobstores={"default": store, "broken": BrokenStore()}).__aenter__()

    assert notes == []


async def test_a_start_may_be_cancelled(notes: list[Any]) -> None:
    scheduler = AsyncScheduler(
        jobstores={"default": Store("store", notes), "slow": SlowStore()},
        executors={"default": Threads("executor", notes)},
    )

    with anyio.fail_after(5), anyio.move_on_after(0.05) as scope:
        await scheduler.__aenter__()

    assert scope.cancelled_caught
    assert notes == ["executor opens", "store opens", "store closes", "executor closes"]
    assert not scheduler.running


# an end by error or cancellation


async def test_an_error_in_the_body_comes_out_as_it_is(clock: VirtualClock) -> None:
    scheduler = AsyncScheduler(clock=clock)

    with pytest.raises(ZeroDivisionError):
        async with scheduler:
            raise ZeroDivisionError

    assert not scheduler.running


async def test_an_error_in_the_body_cancels_the_runs_under_way() -> None:
    ended: list[bool] = []

    async def work() -> None:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(True)

    started = anyio.Event()
    with anyio.fail_after(5), pytest.raises(ZeroDivisionError):  # noqa: PT012  # the body is what is tested
        async with AsyncScheduler() as scheduler:
            await scheduler.add_job(work)
            await started.wait()
            raise ZeroDivisionError

    assert ended == [True]


async def test_cancelling_the_surrounding_scope_ends_the_scheduler(notes: list[Any]) -> None:
    started = anyio.Event()

    async def work() -> None:
        started.set()
        await anyio.sleep_forever()

    with anyio.fail_after(5), anyio.CancelScope() as scope:
        async with AsyncScheduler(jobstores={"default": Store("store", notes)}) as scheduler:
            job = await scheduler.add_job(work)
            await started.wait()
            scope.cancel()
            await anyio.sleep_forever()

    assert scope.cancelled_caught
    assert notes == ["store opens", "store closes"]
    assert [run.outcome.value for run in await scheduler.get_runs(job.id)] == ["cancelled"]


async def test_cancelling_a_wait_in_the_body_leaves_the_scheduler_running(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    with anyio.move_on_after(0.01):
        await anyio.sleep_forever()

    await scheduler.add_job(notes.time)
    await clock.advance()

    assert notes == [0]


# serving as a main program


async def test_run_serves_until_stop() -> None:
    scheduler = AsyncScheduler()

    async def stop() -> None:
        scheduler.stop()

    await scheduler.add_job(stop, "interval", seconds=0.01)

    with anyio.fail_after(5):
        await scheduler.run()

    assert not scheduler.running


async def test_run_in_a_started_scheduler_serves_until_it_is_shut_down() -> None:
    async with AsyncScheduler() as scheduler:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(scheduler.run)
            await anyio.wait_all_tasks_blocked()
            await scheduler.shutdown()

        assert not scheduler.running


async def test_run_ends_when_it_is_cancelled() -> None:
    scheduler = AsyncScheduler()

    with anyio.fail_after(5), anyio.move_on_after(0.02):
        await scheduler.run()

    assert not scheduler.running


async def test_a_signal_lets_the_runs_under_way_end() -> None:
    ended: list[bool] = []

    async def work() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await anyio.sleep(0.05)
        ended.append(True)

    scheduler = AsyncScheduler()
    await scheduler.add_job(work, "interval", seconds=0.1)

    with anyio.fail_after(5):
        await scheduler.run()

    assert ended == [True]


async def test_a_signal_of_the_first_run_after_the_start_is_noticed() -> None:
    ended: list[bool] = []

    async def work() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await anyio.sleep(0.05)
        ended.append(True)

    scheduler = AsyncScheduler()
    await scheduler.add_job(work)

    with anyio.fail_after(5):
        await scheduler.run()

    assert ended == [True]


async def test_an_error_of_the_start_comes_out_of_run_as_it_is(clock: VirtualClock) -> None:
    scheduler = AsyncScheduler(clock=clock)
    await scheduler.add_job(int, executor="none")

    with pytest.raises(AliasLookupError, match="none"):
        await scheduler.run()


async def test_a_second_signal_cancels_them() -> None:
    async def work() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await anyio.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)
        await anyio.sleep_forever()

    scheduler = AsyncScheduler()
    job = await scheduler.add_job(work, "interval", seconds=0.1)

    with anyio.fail_after(5):
        await scheduler.run()

    assert [run.outcome.value for run in await scheduler.get_runs(job.id)] == ["cancelled"]


async def test_stop_needs_a_running_scheduler(clock: VirtualClock) -> None:
    scheduler = AsyncScheduler(clock=clock)

    with pytest.raises(SchedulerNotRunningError):
        scheduler.stop()


# parts at run time


async def test_a_store_may_be_added_at_run_time(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    await scheduler.add_jobstore("memory", "extra", keep_runs=1)

    await scheduler.add_job(notes.time, "interval", seconds=10, jobstore="extra", id="job")
    await clock.advance(25)

    assert notes == [10, 20]
    assert len(await scheduler.get_runs("job")) == 1


async def test_jobs_may_be_added_for_a_store_that_comes_before_the_start(clock: VirtualClock, notes: Any) -> None:
    scheduler = AsyncScheduler(clock=clock)
    await scheduler.add_job(notes.time, "interval", seconds=10, jobstore="extra")
    await scheduler.add_jobstore("memory", "extra")

    async with scheduler:
        await clock.advance(10)

    assert notes == [10]


async def test_a_store_of_a_taken_alias_is_refused(scheduler: AsyncScheduler) -> None:
    with pytest.raises(ValueError, match='already has a job store by the alias of "default"'):
        await scheduler.add_jobstore(MemoryJobStore())


async def test_jobs_have_the_defaults_of_the_start_where_they_name_no_others(clock: VirtualClock) -> None:
    scheduler = AsyncScheduler(clock=clock)
    await scheduler.add_job(int, "interval", hours=1, id="told", max_instances=2)
    await scheduler.add_job(int, "interval", hours=1, id="untold")
    await scheduler.add_job(int, "interval", hours=1, id="changed")
    await scheduler.modify_job("changed", max_instances=3)
    scheduler.configure(job_defaults={"max_instances": 9, "misfire_grace_time": 60})

    async with scheduler:
        jobs = {job.id: (job.max_instances, job.misfire_grace_time) for job in await scheduler.get_jobs()}

    assert jobs == {"told": (2, 60), "untold": (9, 60), "changed": (3, 60)}


async def test_what_was_given_before_the_start_is_replaced_by_nothing_added() -> None:
    scheduler = AsyncScheduler(executors={"extra": "threadpool"})
    await scheduler.add_jobstore("memory")
    await scheduler.add_executor("threadpool")

    with pytest.raises(ValueError, match='already has a job store by the alias of "default"'):
        await scheduler.add_jobstore("memory")
    for alias in ("default", "extra"):
        with pytest.raises(ValueError, match=f'already has an executor by the alias of "{alias}"'):
            await scheduler.add_executor("threadpool", alias)


async def test_a_store_that_cannot_be_opened_at_run_time_is_not_there(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    await scheduler.add_listener(notes.event, EVENT_JOBSTORE_ADDED)

    with pytest.raises(ConnectionRefusedError):
        await scheduler.add_jobstore(BrokenStore(), "extra")

    assert scheduler.running
    with pytest.raises(AliasLookupError):
        await scheduler.add_job(os.getpid, jobstore="extra")
    await scheduler.add_jobstore(MemoryJobStore(), "extra")
    await clock.advance()
    assert notes == ["JOBSTORE_ADDED"]


async def test_removing_a_store_waits_for_its_runs(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    store = Store("store", notes)
    await scheduler.add_jobstore(store, "extra")
    await scheduler.add_job(clock.sleep, args=[10], jobstore="extra", id="job")
    await clock.advance()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scheduler.remove_jobstore, "extra")
        await clock.advance(5)
        notes.append("waits")
        await clock.advance(10)

    assert notes == ["store opens", "waits", "store closes"]
    assert [run.outcome.value for run in await store.runs(_all_of("job"), 9)] == ["succeeded"]
    with pytest.raises(AliasLookupError):
        await scheduler.get_jobs("extra")


async def test_a_store_may_be_replaced_while_its_runs_go_on(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    first, second = Store("first", notes), Store("second", notes)
    await scheduler.add_jobstore(first, "extra")
    await scheduler.add_job(clock.sleep, args=[10], jobstore="extra", id="old")
    await clock.advance()

    await scheduler.remove_jobstore("extra", shutdown=False)
    await scheduler.add_jobstore(second, "extra")
    await scheduler.add_job(int, jobstore="extra", id="new")
    await clock.advance(20)
    await anyio.wait_all_tasks_blocked()  # it closes in the background

    assert notes == ["first opens", "second opens", "first closes"]
    assert [run.outcome.value for run in await first.runs(_all_of("old"), 9)] == ["succeeded"]
    assert [run.outcome.value for run in await scheduler.get_runs("new")] == ["succeeded"]


async def test_a_job_may_not_wait_for_itself_by_removing_its_store(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    async def remove() -> None:
        await scheduler.remove_jobstore("default")

    job = await scheduler.add_job(remove)

    await clock.advance()

    (run,) = await scheduler.get_runs(job.id)
    assert "SchedulerStateError" in (run.error or "")


async def test_removing_an_unknown_store_is_refused(scheduler: AsyncScheduler) -> None:
    with pytest.raises(AliasLookupError, match="No such job store: nowhere; there are: default"):
        await scheduler.remove_jobstore("nowhere")


async def test_two_stores_are_looked_at_each_by_itself(clock: VirtualClock, notes: Any) -> None:
    async with AsyncScheduler(clock=clock, jobstores={"one": "memory", "two": {"type": "memory"}}) as scheduler:
        await scheduler.add_job(notes.keep, "interval", ["one"], seconds=10, jobstore="one", id="job")
        await scheduler.add_job(notes.keep, "interval", ["two"], seconds=15, jobstore="two", id="job")
        await clock.advance(20)

    assert notes == ["one", "two", "one"]


# hints


async def test_a_change_is_told_to_the_other_nodes(clock: VirtualClock) -> None:
    notifier = Hints()

    async with AsyncScheduler(clock=clock, notifier=notifier) as scheduler:
        await scheduler.add_job(os.getpid, "interval", hours=1)

    assert notifier.sent == ["default"]


async def test_a_hint_that_cannot_be_sent_does_not_fail_the_verb(clock: VirtualClock) -> None:
    notifier = Hints()

    async with AsyncScheduler(clock=clock, notifier=notifier) as scheduler:
        notifier.is_broken = True
        job = await scheduler.add_job(os.getpid, "interval", hours=1)

        assert await scheduler.get_job(job.id) is job


async def test_a_notifier_that_breaks_down_is_opened_again(clock: VirtualClock, notes: Any) -> None:
    notifier = Hints()

    async with AsyncScheduler(clock=clock, notifier=notifier) as scheduler:
        await scheduler.add_job(notes.time, "interval", seconds=10)
        await clock.advance(10)

        assert scheduler.running
    assert notifier.opened == 3
    assert notes == [10]


async def test_next_run_times_of_staged_jobs_are_those_of_the_start(
    clock: VirtualClock, at: Callable[[float], datetime]
) -> None:
    scheduler = AsyncScheduler(clock=clock, timezone="UTC")
    job = await scheduler.add_job(os.getpid, "cron", minute=0, second=30)
    await clock.advance(hours=5)

    async with scheduler:
        assert job.next_run_time == at(5 * 3600 + 30)
        assert job.next_run_time > START


def _all_of(job_id: str) -> Any:
    from apsched.jobstores.base import RunFilter

    return RunFilter(job_id=job_id)
