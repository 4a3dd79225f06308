"""The fixtures that the package gives to everybody's tests do what they say, on both event loops and without one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from inspect import iscoroutinefunction
from typing import Any

import pytest
import time_machine

from apsched import AsyncScheduler, Outcome
from apsched.events import EVENT_JOB_ABANDONED, EVENT_JOBSTORE_FAILED, EVENT_JOBSTORE_RECOVERED, EVENT_NODE_LOST
from apsched.exceptions import SchedulerNotRunningError
from apsched.job import OnCrash
from apsched.jobstores.base import JobStore
from apsched.schedulers.background import BackgroundScheduler
from apsched.testing import BlockingClock, Cluster, FaultyJobStore, VirtualClock
from apsched.testing import assert_fired as assert_fired_of
from apsched.testing.store import METHODS

START = datetime(2026, 1, 1, tzinfo=UTC)

AssertFired = Callable[..., None]


class Calls(list[str]):
    """What was called, in order."""

    def call(self) -> None:
        self.append("called")

    def fail(self) -> None:
        self.append("failed")
        raise ConnectionError("nobody answers")


@pytest.fixture
def calls() -> Calls:
    return Calls()


# on an event loop


async def test_a_scheduler_runs_its_jobs_as_time_is_let_pass(
    apsched_scheduler: AsyncScheduler, apsched_clock: VirtualClock, calls: Calls, assert_fired: AssertFired
) -> None:
    await apsched_scheduler.add_job(calls.call, "cron", hour=2, minute=30, id="nightly")

    await apsched_clock.advance(days=7)

    assert len(calls) == 7
    assert_fired("nightly", times=7, outcome="succeeded")


async def test_a_scheduler_of_an_overridden_clock_and_options(
    apsched_scheduler: AsyncScheduler, apsched_clock: VirtualClock
) -> None:
    assert apsched_clock.now() == START
    assert str(apsched_scheduler.timezone) == "UTC"
    assert apsched_scheduler.running


async def test_a_store_fails_when_it_is_told_to_and_the_scheduler_goes_on(
    apsched_scheduler: AsyncScheduler,
    apsched_clock: VirtualClock,
    apsched_store: FaultyJobStore,
    calls: Calls,
    assert_fired: AssertFired,
) -> None:
    told: list[str] = []
    mask = EVENT_JOBSTORE_FAILED | EVENT_JOBSTORE_RECOVERED
    await apsched_scheduler.add_listener(lambda event: told.append(event.name), mask)
    await apsched_scheduler.add_job(calls.call, "interval", seconds=10, id="job")
    await apsched_clock.run_until_idle()
    apsched_store.fail_next("take_due", OSError("no route"), times=3)

    await apsched_clock.advance(10)
    failed = await apsched_scheduler.health()
    await apsched_clock.advance(20)

    assert failed.jobstores["default"].last_error == "OSError: no route"
    assert told == ["EVENT_JOBSTORE_FAILED", "EVENT_JOBSTORE_RECOVERED"]
    assert_fired("job", times=3)
    assert apsched_store.history()[0].lateness > 0  # type: ignore[operator]


async def test_a_call_of_the_store_takes_as_long_as_it_is_told_to(
    apsched_scheduler: AsyncScheduler, apsched_clock: VirtualClock, apsched_store: FaultyJobStore, calls: Calls
) -> None:
    await apsched_scheduler.add_job(calls.call, "date", run_date=START + timedelta(seconds=10), id="job")
    await apsched_clock.run_until_idle()
    apsched_store.delay_next("take_due", 5)

    await apsched_clock.advance(14)
    before = len(calls)
    await apsched_clock.advance(1)

    assert (before, len(calls)) == (0, 1)


async def test_a_verb_fails_when_its_call_of_the_store_does(
    apsched_scheduler: AsyncScheduler, apsched_store: FaultyJobStore, calls: Calls
) -> None:
    apsched_store.fail_next("add", TimeoutError)

    with pytest.raises(TimeoutError, match="add was told to fail"):
        await apsched_scheduler.add_job(calls.call, id="job")
    await apsched_scheduler.add_job(calls.call, id="job")


async def test_a_store_that_is_cut_off_fails_until_it_is_healed(
    apsched_scheduler: AsyncScheduler, apsched_clock: VirtualClock, apsched_store: FaultyJobStore, calls: Calls
) -> None:
    await apsched_scheduler.add_job(calls.call, "interval", minutes=1, id="job")
    apsched_store.cut()
    await apsched_clock.advance(minutes=3)
    with pytest.raises(ConnectionResetError, match="get does not arrive"):
        await apsched_scheduler.get_job("job")
    before = len(calls)

    apsched_store.heal()
    await apsched_clock.advance(minutes=1)

    assert before == 0
    assert [run.outcome for run in apsched_store.history()].count(Outcome.SUCCEEDED) == len(calls) >= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("take_do",), "method must be one of add, add_run, .*, got 'take_do'"),
        (("add", OSError, 0), "times must be a whole number from 1 on, got 0"),
    ],
)
def test_a_fault_that_cannot_happen_is_refused(
    apsched_store: FaultyJobStore, arguments: tuple[Any, ...], message: str
) -> None:
    method, error, times = (*arguments, OSError, 1)[:3] if len(arguments) == 1 else arguments

    with pytest.raises(ValueError, match=message):
        apsched_store.fail_next(method, error, times=times)


async def test_every_call_of_the_port_may_fail(apsched_store: FaultyJobStore) -> None:
    port = {name for name, method in vars(JobStore).items() if iscoroutinefunction(method) and not name.startswith("_")}
    assert {*port - {"add_in"}, "beat"} == set(METHODS)  # a store in memory has no transactions to add jobs in

    apsched_store.cut()
    for name in METHODS:
        if name != "beat":
            method = getattr(apsched_store, name)
            with pytest.raises(ConnectionResetError, match=f"{name} does not arrive"):
                await method()


# clusters


async def test_the_nodes_of_a_cluster_share_the_work(apsched_cluster: Cluster, calls: Calls) -> None:
    async with apsched_cluster.node() as one, apsched_cluster.node() as two:
        await one.scheduler.add_job(calls.call, "interval", seconds=1, id="job")

        await apsched_cluster.clock.advance(60)

        assert (await two.scheduler.health()).jobstores["default"].live_nodes == 2
    assert len(calls) == 60
    assert_fired_of(apsched_cluster.store.history(), "job", times=60, outcome=Outcome.SUCCEEDED)


@pytest.mark.parametrize("on_crash", ["rerun", "abandon"])
async def test_the_run_of_a_node_that_is_killed_is_settled_by_another(
    apsched_cluster: Cluster, on_crash: OnCrash
) -> None:
    clock = apsched_cluster.clock
    told: list[str] = []
    async with apsched_cluster.node() as one, apsched_cluster.node() as two:
        await two.scheduler.pause()
        await two.scheduler.add_listener(lambda event: told.append(event.name), EVENT_NODE_LOST | EVENT_JOB_ABANDONED)
        await one.scheduler.add_job(clock.sleep, args=[40], id="job", on_crash=on_crash)
        await clock.advance(2)
        await two.scheduler.resume()

        await one.kill()
        assert not one.scheduler.running
        with pytest.raises(SchedulerNotRunningError):
            await one.kill()
        await clock.advance(90)

    (run,) = apsched_cluster.store.history()
    if on_crash == "rerun":
        assert told == ["EVENT_NODE_LOST"]
        assert (run.outcome, run.node, run.deaths) == (Outcome.SUCCEEDED, two.scheduler.node, 1)
    else:
        assert told == ["EVENT_NODE_LOST", "EVENT_JOB_ABANDONED"]
        assert (run.outcome, run.node) == (Outcome.ABANDONED, one.scheduler.node)


async def test_a_claim_whose_answer_is_lost_is_found_again(apsched_cluster: Cluster, calls: Calls) -> None:
    async with apsched_cluster.node() as one:
        await one.scheduler.add_job(calls.call, "date", run_date=START + timedelta(seconds=5), id="job")
        one.store.fail_next("take_due", is_late=True, times=2)

        await apsched_cluster.clock.advance(30)

    assert calls == ["called"]
    assert_fired_of(apsched_cluster.store.history(), "job", times=1, outcome="succeeded")


async def test_a_node_that_is_cut_off_is_taken_for_dead_and_comes_back(apsched_cluster: Cluster) -> None:
    told: list[str] = []
    async with apsched_cluster.node() as one, apsched_cluster.node() as two:
        await two.scheduler.add_listener(lambda event: told.append(event.name), EVENT_NODE_LOST)
        one.store.cut()
        await apsched_cluster.clock.advance(60)
        one.store.heal()
        await apsched_cluster.clock.advance(60)

        assert (await one.scheduler.health()).is_ok
        assert (await two.scheduler.health()).jobstores["default"].live_nodes == 2
    assert told == ["EVENT_NODE_LOST"]


# without an event loop


def test_a_background_scheduler_runs_its_jobs_as_time_is_let_pass(
    apsched_background: BackgroundScheduler,
    apsched_background_clock: BlockingClock,
    calls: Calls,
    assert_fired: AssertFired,
) -> None:
    apsched_background.add_job(calls.call, "interval", minutes=10, id="job")

    apsched_background_clock.advance(hours=1)

    assert len(calls) == 6
    assert_fired("job", at=[START + timedelta(minutes=minutes) for minutes in range(10, 70, 10)])
    assert apsched_background_clock.now() == START + timedelta(hours=1)


def test_a_background_scheduler_may_be_shut_down_and_sees_the_clock_jump(
    apsched_background: BackgroundScheduler, apsched_background_clock: BlockingClock, calls: Calls
) -> None:
    apsched_background.add_job(calls.call, "interval", minutes=10, id="job")
    apsched_background_clock.jump(1200)
    apsched_background_clock.run_until_idle()
    apsched_background.shutdown()

    assert calls == ["called"]  # one for both, since they are late
    with pytest.raises(SchedulerNotRunningError):
        apsched_background_clock.advance(1)


def test_a_blocking_clock_needs_a_virtual_one() -> None:
    with pytest.raises(TypeError, match=r"must be a VirtualClock, got .*; pass clock= to it"):
        BlockingClock(BackgroundScheduler(timezone="UTC"))


# beside time-machine


async def test_a_time_machine_moves_the_jobs_idea_of_time_and_not_the_schedulers(
    apsched_scheduler: AsyncScheduler, apsched_clock: VirtualClock, assert_fired: AssertFired
) -> None:
    seen: list[datetime] = []
    moment = datetime(1999, 12, 31, 23, 59, tzinfo=UTC)
    with time_machine.travel(moment, tick=False):
        await apsched_scheduler.add_job(lambda: seen.append(datetime.now(UTC)), "interval", hours=1, id="job")  # noqa: TID251
        await apsched_clock.advance(hours=3)

    assert seen == [moment] * 3
    assert_fired("job", times=3)
