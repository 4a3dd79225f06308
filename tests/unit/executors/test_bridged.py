"""The bridge to executors that were written for APScheduler 3."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest

from apsched.events import EVENT_JOB_EXECUTED, EVENT_JOB_MISSED, JobExecutionEvent, SchedulerEvent
from apsched.exceptions import ExecutorRefusedError
from apsched.executors._bridged import CAPACITY, BridgedExecutor
from apsched.executors.base import BaseExecutor, Call
from apsched.job import Job
from apsched.run import Outcome, Run
from apsched.triggers.date import DateTrigger
from tests.users_executors import PoolExecutor

T0 = datetime(2026, 7, 1, 12, tzinfo=UTC)


class ByHand(BaseExecutor):
    """Keeps what is submitted; *then* is called with it."""

    def __init__(self, then: Callable[[ByHand, Job, datetime], object]) -> None:
        super().__init__()
        self.then = then

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        self.then(self, job, run_times[0])


def make_call(func: Callable[..., Any] = lambda: None) -> Call:
    job = Job(id="job", name="job", func=func, trigger=DateTrigger(T0), jobstore="mine", misfire_grace_time=1.0)
    run = Run(job_id="job", nominal_time=T0, due_time=T0, outcome=Outcome.RUNNING)
    return Call(func, (), {}, lambda: T0, job, run)


def event_of(job: Job, code: int, moment: datetime = T0, **details: Any) -> JobExecutionEvent:
    return JobExecutionEvent(code, job.id, "mine", moment, **details)


async def test_the_job_that_is_submitted_is_that_of_the_run() -> None:
    seen: list[Any] = []

    def then(executor: ByHand, job: Job, moment: datetime) -> None:
        seen.extend([job.id, job._jobstore_alias, job.misfire_grace_time, moment])
        executor._run_job_success(job.id, [event_of(job, EVENT_JOB_EXECUTED, retval="done")])

    async with BridgedExecutor(ByHand(then)) as executor:
        assert await executor.execute(make_call()) == "done"

    assert seen == ["job", "mine", None, T0]


async def test_an_executor_that_has_enough_runs_of_a_job_refuses_the_next() -> None:
    submitted = anyio.Event()
    calls: list[Job] = []

    def then(executor: ByHand, job: Job, moment: datetime) -> None:
        calls.append(job)

    executor = ByHand(then)
    async with BridgedExecutor(executor) as bridge, anyio.create_task_group() as tasks:

        async def give_up() -> None:
            with anyio.move_on_after(0.05):
                await bridge.execute(make_call())
            submitted.set()

        tasks.start_soon(give_up)
        await submitted.wait()
        with pytest.raises(ExecutorRefusedError, match=r"maximum number of instances \(1\)"):
            await bridge.execute(make_call())

        executor._run_job_success("job", [])
        executor.then = lambda executor, job, moment: executor._run_job_success(job.id, [])
        assert await bridge.execute(make_call()) is None
    assert len(calls) == 1


async def test_other_events_end_no_run() -> None:
    def then(executor: ByHand, job: Job, moment: datetime) -> None:
        executor._scheduler._dispatch_event(SchedulerEvent(1))
        executor._run_job_success("another job", [])
        executor._run_job_success(job.id, [event_of(job, EVENT_JOB_EXECUTED, retval=1)])

    async with BridgedExecutor(ByHand(then)) as executor:
        assert await executor.execute(make_call()) == 1


async def test_a_run_that_the_executor_took_for_too_late_has_failed() -> None:
    def then(executor: ByHand, job: Job, moment: datetime) -> None:
        executor._run_job_success(job.id, [event_of(job, EVENT_JOB_MISSED)])

    async with BridgedExecutor(ByHand(then)) as executor:
        with pytest.raises(RuntimeError, match="too late"):
            await executor.execute(make_call())


async def test_a_call_that_is_given_up_before_its_turn_is_not_submitted() -> None:
    entered, go_on = threading.Event(), threading.Event()
    submitted: list[str] = []

    def then(executor: ByHand, job: Job, moment: datetime) -> None:
        submitted.append(job.id)
        entered.set()
        go_on.wait(20)
        executor._run_job_success(job.id, [])

    async with BridgedExecutor(ByHand(then)) as executor, anyio.create_task_group() as tasks:
        tasks.start_soon(executor.execute, make_call())
        await anyio.to_thread.run_sync(entered.wait, 20)
        with anyio.move_on_after(0):
            await executor.execute(make_call())
        go_on.set()

    assert submitted == ["job"]


async def test_an_executor_that_does_not_start_is_not_entered() -> None:
    class Broken(ByHand):
        def start(self, scheduler: Any, alias: str) -> None:
            raise OSError("no way there")

    bridge = BridgedExecutor(Broken(lambda *args: None))

    with pytest.raises(OSError, match="no way there"):
        await bridge.__aenter__()
    with pytest.raises(ExecutorRefusedError):
        await bridge.execute(make_call())


async def test_an_executor_that_cannot_be_shut_down_is_left(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(ByHand):
        def shutdown(self, wait: bool = True) -> None:
            raise OSError("no way there")

    async with BridgedExecutor(Broken(lambda *args: None)):
        pass

    assert "cannot be shut down" in caplog.text


async def test_the_scheduler_is_shown_with_what_it_has() -> None:
    class Scheduler:
        timezone = UTC

    users = ByHand(lambda *args: None)
    bridge = BridgedExecutor(users)
    bridge.belong_to(Scheduler(), "mine")

    async with bridge:
        assert users._scheduler.timezone is UTC
        assert users._logger.name == "apsched.executors.mine"
        with pytest.raises(AttributeError):
            _ = users._scheduler.nothing


async def test_the_capacity_is_what_the_executor_says_or_its_pool_has() -> None:
    users = ByHand(lambda *args: None)
    assert BridgedExecutor(users).capacity == CAPACITY

    vars(users)["capacity"] = 7
    assert BridgedExecutor(users).capacity == 7

    async with BridgedExecutor(PoolExecutor(workers=3)) as executor:
        assert executor.capacity == 3
