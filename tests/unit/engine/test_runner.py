"""Runs from their start to their end."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from apsched import _eventloop
from apsched.engine.current import current_run
from apsched.engine.results import Finished
from apsched.engine.runner import REFUSED, Runner
from apsched.engine.slots import Slots
from apsched.exceptions import ExecutorRefusedError, SchedulerStateError
from apsched.executors.asyncio import AsyncIOExecutor
from apsched.executors.base import Call, Executor
from apsched.job import Job
from apsched.run import Outcome, Run
from apsched.testing.clock import START, VirtualClock
from apsched.triggers.date import DateTrigger


class Refusing(Executor):
    capacity = 5

    async def execute(self, call: Call) -> Any:
        raise ExecutorRefusedError("no room")


class World:
    """A runner and what comes out of it."""

    def __init__(self, tasks: _eventloop.TaskPool) -> None:
        self.clock = VirtualClock()
        self.slots = Slots(lambda: None)
        self.runner = Runner(self.clock, self.slots, tasks)
        self.ended: list[Finished] = []

    def start(self, func: Any, executor: str = "asyncio") -> Run:
        job = Job(id="job", name="job", func=func, trigger=DateTrigger(START), executor=executor)
        run = Run(
            job_id="job",
            nominal_time=START,
            due_time=START,
            outcome=Outcome.RUNNING,
            epoch=1,
            node="here",
            claimed_at=START,
        )
        self.runner.start(job, run, self._take)
        return run

    def _take(self, finished: Finished) -> None:
        self.ended.append(finished)
        self.clock.work_ended()  # as the recorder does


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with AsyncIOExecutor() as executor, _eventloop.current().task_pool() as tasks:
        world = World(tasks)
        world.slots.add("asyncio", executor)
        world.slots.add("refusing", Refusing())
        yield world
        tasks.cancel()


@pytest.fixture
def first_steps_come_later(anyio_backend_name: str) -> None:
    """Skip a test where a run takes its first step as soon as it is started: `asyncio.Task(eager_start=True)`."""
    if anyio_backend_name == "asyncio" and sys.version_info >= (3, 12):
        pytest.skip("a run takes its first step when it is started")


async def nothing() -> str:
    return "done"


async def test_a_run_ends_with_what_its_callable_returned(world: World) -> None:
    world.start(nothing)
    await world.runner.wait_until_idle()

    (finished,) = world.ended
    assert (finished.run.outcome, finished.run.retval) == (Outcome.SUCCEEDED, "done")
    assert len(world.runner) == 0


@pytest.mark.usefixtures("first_steps_come_later")
async def test_a_run_that_is_cancelled_before_its_first_step_is_cancelled_and_takes_none(world: World) -> None:
    entered = []

    async def enter() -> None:
        entered.append(True)

    run = world.start(enter)
    found = world.runner.cancel(run, "by hand")
    await world.clock.run_until_idle()
    await anyio.wait_all_tasks_blocked()

    assert found
    assert entered == []
    assert [(finished.run.outcome, finished.run.reason) for finished in world.ended] == [(Outcome.CANCELLED, "by hand")]


@pytest.mark.usefixtures("first_steps_come_later")
async def test_at_a_shutdown_a_run_before_its_first_step_goes_back(world: World) -> None:
    world.start(nothing)
    world.runner.cancel_all("the end")
    await anyio.wait_all_tasks_blocked()

    assert [finished.run.outcome for finished in world.ended] == [Outcome.PENDING]


async def test_at_a_shutdown_a_run_under_way_is_cancelled(world: World) -> None:
    world.start(anyio.sleep_forever)
    await anyio.wait_all_tasks_blocked()
    world.runner.cancel_all("the end")
    await world.runner.wait_until_idle()

    assert [finished.run.outcome for finished in world.ended] == [Outcome.CANCELLED]


async def test_a_run_may_cancel_itself_in_its_first_step(world: World) -> None:
    async def enter() -> None:
        world.runner.cancel(current_run(), "by itself")
        await anyio.sleep_forever()

    world.start(enter)
    await world.runner.wait_until_idle()

    assert [(finished.run.outcome, finished.run.reason) for finished in world.ended] == [
        (Outcome.CANCELLED, "by itself")
    ]


async def test_cancelling_twice_is_cancelling_once(world: World) -> None:
    run = world.start(anyio.sleep_forever)
    await anyio.wait_all_tasks_blocked()
    world.runner.cancel(run, "first")
    world.runner.cancel_all("second")
    await world.runner.wait_until_idle()

    assert [finished.run.reason for finished in world.ended] == ["first"]


async def test_a_run_that_is_not_under_way_is_not_cancelled(world: World) -> None:
    run = world.start(nothing)
    await world.runner.wait_until_idle()

    assert not world.runner.cancel(run, "too late")


async def test_a_run_that_its_executor_refuses_goes_back_after_a_pause(world: World) -> None:
    world.start(nothing, "refusing")
    await world.clock.advance(REFUSED.total_seconds() / 2)
    assert world.ended == []
    await world.clock.advance(REFUSED)

    assert [(finished.run.outcome, finished.run.reason) for finished in world.ended] == [(Outcome.PENDING, "no room")]
    assert world.slots.in_use()["refusing"] == 0


async def test_that_pause_ends_with_the_scheduler(world: World) -> None:
    world.start(nothing, "refusing")
    await world.clock.advance()
    world.runner.cancel_all("the end")
    await world.runner.wait_until_idle()

    assert [finished.run.outcome for finished in world.ended] == [Outcome.PENDING]


async def test_a_run_whose_executor_is_gone_fails_and_says_so(world: World) -> None:
    world.start(nothing, "gone")

    (finished,) = world.ended
    assert finished.run.outcome is Outcome.FAILED
    assert finished.run.reason == "no executor has the alias 'gone' any more"


async def test_a_reference_that_leads_nowhere_fails_its_run(world: World) -> None:
    world.start("math:no_such_function")
    await world.runner.wait_until_idle()

    (finished,) = world.ended
    assert finished.run.outcome is Outcome.FAILED
    assert "no_such_function" in (finished.run.error or "")


async def test_slots_are_taken_and_given_back(world: World) -> None:
    run = world.start(anyio.sleep_forever)
    during = world.slots.in_use()["asyncio"]
    await anyio.wait_all_tasks_blocked()
    world.runner.cancel(run, "enough")
    await world.runner.wait_until_idle()

    assert (during, world.slots.in_use()["asyncio"]) == (1, 0)


async def test_the_runner_knows_the_job_to_which_code_belongs(world: World) -> None:
    async def look() -> tuple[bool, str | None]:
        job = world.runner.current_job
        return world.runner.is_inside, None if job is None else job.id

    world.start(look)
    await world.runner.wait_until_idle()

    assert world.ended[0].run.retval == (True, "job")
    assert not world.runner.is_inside


def test_outside_of_a_run_there_is_no_current_run() -> None:
    with pytest.raises(SchedulerStateError, match="call it from a job's callable"):
        current_run()
