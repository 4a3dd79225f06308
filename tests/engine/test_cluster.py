"""Several schedulers on one shared store: who runs what, and what becomes of it when one dies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from apsched.async_scheduler import AsyncScheduler
from apsched.engine import open_store
from apsched.events import (
    EVENT_JOB_ABANDONED,
    EVENT_JOB_EXECUTED,
    EVENT_LEASE_LOST,
    EVENT_NODE_LOST,
)
from apsched.exceptions import RetryLater, RunFailedError
from apsched.jobstores.memory import MemoryJobStore
from apsched.run import DEATH, Outcome
from apsched.serializers.base import Unstorable
from apsched.testing.clock import VirtualClock
from tests.engine.cluster import Line
from tests.engine.test_hints import Wire, WireNotifier

CLUSTER_EVENTS = EVENT_JOB_ABANDONED | EVENT_LEASE_LOST | EVENT_NODE_LOST


class Member:
    """One node of the cluster."""

    def __init__(self, core: MemoryJobStore, clock: VirtualClock, **options: Any) -> None:
        self.line = Line(core, clock)
        self.clock = clock
        self.scheduler = AsyncScheduler(clock=clock, timezone="UTC", jobstores={"default": self.line}, **options)
        self.events: list[Any] = []

    @property
    def names(self) -> list[str]:
        return [event.name.removeprefix("EVENT_") for event in self.events]

    async def listen(self) -> None:
        async def keep(event: object) -> None:
            self.events.append(event)

        await self.scheduler.add_listener(keep, CLUSTER_EVENTS)

    async def outcomes(self, job_id: str) -> list[tuple[Outcome, int]]:
        return [(run.outcome, run.epoch) for run in reversed(await self.scheduler.get_runs(job_id))]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test wait at its end for a store that does not answer."""
    monkeypatch.setattr(open_store, "END_PATIENCE", 0.05)


@pytest.fixture
def core() -> MemoryJobStore:
    return MemoryJobStore()


@pytest.fixture
async def one(core: MemoryJobStore, clock: VirtualClock) -> AsyncIterator[Member]:
    member = Member(core, clock)
    await member.listen()
    async with member.scheduler:
        yield member
        member.line.heal()


@pytest.fixture
async def two(core: MemoryJobStore, clock: VirtualClock) -> AsyncIterator[Member]:
    member = Member(core, clock)
    await member.listen()
    async with member.scheduler:
        yield member
        member.line.heal()


# together


async def test_each_nominal_time_runs_on_one_node(one: Member, two: Member, clock: VirtualClock, notes: Any) -> None:
    await one.scheduler.add_job(notes.time, "interval", seconds=1, id="job")

    await clock.advance(100)

    assert notes == list(range(1, 101))
    runs = await two.scheduler.get_runs("job", limit=1000)
    assert len(runs) == 100
    assert {run.node for run in runs} <= {one.scheduler.node, two.scheduler.node}
    assert one.names == two.names == []


async def test_a_due_job_of_an_executor_that_no_node_has_is_not_looked_at_time_and_again(
    one: Member, clock: VirtualClock, notes: Any
) -> None:
    await one.scheduler.add_executor("threadpool", "extra")
    await one.scheduler.add_job(notes.time, "interval", seconds=1, executor="extra")
    await one.scheduler.remove_executor("extra")
    await one.scheduler.add_job(notes.time, "interval", seconds=10)

    await clock.advance(60)

    assert notes == [10, 20, 30, 40, 50, 60]
    assert one.line.calls.count("take_due") < 60


async def test_nodes_that_live_are_left_alone(one: Member, two: Member, clock: VirtualClock) -> None:
    await clock.advance(hours=1)

    health = await one.scheduler.health()
    assert health.is_ok
    assert health.jobstores["default"].live_nodes == 2
    assert health.jobstores["default"].last_beat == clock.now()
    assert one.names == two.names == []


async def test_a_node_that_has_left_is_not_taken_for_dead(one: Member, clock: VirtualClock, core: Any) -> None:
    other = Member(core, clock)
    async with other.scheduler:
        await clock.advance(20)
        during = (await one.scheduler.health()).jobstores["default"].live_nodes
    await clock.advance(60)

    assert during == 2
    assert (await one.scheduler.health()).jobstores["default"].live_nodes == 1
    assert one.names == []


# death


async def test_the_run_of_a_node_that_died_is_started_again(one: Member, two: Member, clock: VirtualClock) -> None:
    started: list[str] = []

    async def work() -> None:
        started.append("began")
        await clock.sleep(40)
        started.append("ended")

    await two.scheduler.pause()
    await one.scheduler.add_job(work, id="job")
    await clock.advance(2)
    await two.scheduler.resume()
    one.line.cut = {"all"}
    await clock.advance(30)
    during = await two.outcomes("job")
    await clock.advance(60)

    assert during == [(Outcome.RUNNING, DEATH + 2)]
    assert await two.outcomes("job") == [(Outcome.SUCCEEDED, DEATH + 2)]
    (run,) = await two.scheduler.get_runs("job")
    assert (run.deaths, run.attempt) == (1, 2)
    assert run.reason is not None
    assert run.reason.endswith("died while it was under way; it is run again")
    assert two.names == ["NODE_LOST"]
    assert "gave no sign of life for 15 s" in two.events[0].detail
    assert started.count("began") == 2


async def test_the_run_of_a_node_that_died_is_abandoned_if_the_job_says_so(
    one: Member, two: Member, clock: VirtualClock
) -> None:
    await two.scheduler.pause()
    await one.scheduler.add_job(clock.sleep, args=[1000], id="job", on_crash="abandon")
    await clock.advance(2)
    await two.scheduler.resume()
    one.line.cut = {"all"}
    await clock.advance(60)

    assert await two.outcomes("job") == [(Outcome.ABANDONED, DEATH + 1)]
    assert two.names == ["NODE_LOST", "JOB_ABANDONED"]
    assert two.events[1].run.node == one.scheduler.node


async def test_a_node_that_was_taken_for_dead_cancels_its_runs_and_goes_on_under_another_id(
    one: Member, two: Member, clock: VirtualClock, notes: Any
) -> None:
    await two.scheduler.pause()
    await one.scheduler.add_job(clock.sleep, args=[200], id="job", on_crash="abandon")
    await clock.advance(2)
    one.line.cut = {"all"}
    await clock.advance(60)
    one.line.cut = set()
    await clock.advance(40)
    health = await one.scheduler.health()
    await one.scheduler.add_job(notes.time_later, id="after")
    await clock.advance(1)

    assert one.names == ["LEASE_LOST"]
    assert health.is_ok
    assert health.runs_under_way == 0
    assert health.jobstores["default"].node != one.scheduler.node
    assert await one.outcomes("job") == [(Outcome.ABANDONED, DEATH + 1)]
    assert await one.outcomes("after") == [(Outcome.SUCCEEDED, 1)]
    assert health.jobstores["default"].live_nodes == 2


async def test_a_node_that_cannot_be_sure_of_its_lease_starts_nothing(
    one: Member, clock: VirtualClock, notes: Any
) -> None:
    await one.scheduler.add_job(notes.time, "interval", seconds=1, coalesce=False, max_instances=100)
    await clock.advance(2)
    one.line.cut = {"beat"}

    await clock.advance(20)
    health = await one.scheduler.health()
    latest = max(notes)
    one.line.cut = set()
    await clock.advance(6)

    assert latest <= 10
    assert not health.jobstores["default"].is_trusted
    assert not health.is_ok
    assert (await one.scheduler.health()).is_ok
    assert max(notes) == 28
    assert one.names == []  # nobody was there to take it for dead


async def test_what_was_claimed_too_late_is_handed_back(one: Member, clock: VirtualClock, notes: Any) -> None:
    async def late() -> None:
        await clock.sleep(12)

    take_due = one.line.take_due
    is_slow = True

    async def slow(*args: Any) -> Any:
        plans = await take_due(*args)
        if plans and is_slow:
            one.line.cut = {"beat"}
            await late()
        return plans

    one.line.take_due = slow  # type: ignore[assignment, method-assign]  # a server that takes its time
    await one.scheduler.add_job(notes.time, id="job", next_run_time=clock.now() + timedelta(seconds=4))
    await clock.advance(20)
    during = await one.outcomes("job")
    is_slow = False
    one.line.cut = set()
    await clock.advance(10)

    assert during == [(Outcome.PENDING, 1)]
    assert await one.outcomes("job") == [(Outcome.SUCCEEDED, 2)]
    assert len(notes) == 1


async def test_an_outage_of_the_store_kills_nobody(one: Member, two: Member, clock: VirtualClock, notes: Any) -> None:
    await one.scheduler.add_job(notes.time, "interval", seconds=7, id="job", coalesce=False, max_instances=100)
    await clock.advance(20)
    one.line.cut = two.line.cut = {"all"}
    await clock.advance(minutes=5)
    one.line.cut = two.line.cut = set()
    await clock.advance(minutes=1)

    assert one.names == two.names == []
    assert (await one.scheduler.health()).is_ok
    runs = await one.scheduler.get_runs("job", limit=1000)
    assert len(notes) == len(runs) == 380 // 7


# a loop that makes no progress


async def test_a_core_that_is_stuck_in_its_store_is_taken_for_dead(
    one: Member, two: Member, clock: VirtualClock
) -> None:
    one.line.stuck = {"take_due"}
    await one.scheduler.wakeup()
    await clock.advance(60)

    assert two.names == ["NODE_LOST"]


async def test_a_core_that_was_stuck_starts_nothing_of_what_others_have_taken_over(
    one: Member, two: Member, clock: VirtualClock, notes: Any
) -> None:
    take_due = one.line.take_due

    async def slow(*args: Any) -> Any:
        plans = await take_due(*args)
        if plans:
            one.line.take_due = take_due  # type: ignore[method-assign]  # only once
            await clock.sleep(60)
        return plans

    await two.scheduler.pause()
    one.line.take_due = slow  # type: ignore[assignment, method-assign]  # a server that takes its time
    await one.scheduler.add_job(notes.time, id="job", on_crash="rerun")
    await clock.advance(2)
    await two.scheduler.resume()
    await clock.advance(50)
    during = list(notes)
    await clock.advance(60)

    assert len(during) == 1
    assert notes == during
    assert await two.outcomes("job") == [(Outcome.SUCCEEDED, DEATH + 2)]
    assert (one.names, two.names) == (["LEASE_LOST"], ["NODE_LOST"])
    assert (await one.scheduler.health()).is_ok


# answers that get lost


async def test_a_claim_that_got_no_answer_is_found_and_started(one: Member, clock: VirtualClock, notes: Any) -> None:
    one.line.mute = {"take_due"}
    await one.scheduler.add_job(notes.time, id="job")
    await clock.advance()
    before = list(notes)
    one.line.mute = set()
    await clock.advance(10)

    assert before == []
    assert len(notes) == 1
    assert await one.outcomes("job") == [(Outcome.SUCCEEDED, 1)]


async def test_a_claim_that_is_carried_out_late_is_found_and_started(
    one: Member, clock: VirtualClock, notes: Any
) -> None:
    one.line.is_late = True
    await clock.advance(5)
    one.line.is_late = False
    await clock.advance(20)
    await one.scheduler.pause()
    await one.scheduler.add_job(
        notes.time, "interval", days=1, id="job", next_run_time=clock.now() - timedelta(seconds=25)
    )
    await one.line.deliver()
    await one.scheduler.resume()
    await clock.advance(60)

    assert len(notes) == 1
    assert await one.outcomes("job") == [(Outcome.SUCCEEDED, 1)]


async def test_what_is_under_way_is_not_started_again_after_a_claim_without_answer(
    one: Member, clock: VirtualClock
) -> None:
    began: list[str] = []

    async def work(name: str) -> None:
        began.append(name)
        await clock.sleep(30)

    await one.scheduler.add_job(work, args=["a"], id="a")
    await clock.advance(1)
    one.line.mute = {"take_due"}
    await one.scheduler.add_job(work, args=["b"], id="b")
    await clock.advance(1)
    one.line.mute = set()
    await clock.advance(60)

    assert sorted(began) == ["a", "b"]


async def test_an_attempt_whose_claim_got_no_answer_is_found_although_the_end_of_the_last_one_got_none_either(
    one: Member, clock: VirtualClock, notes: Any
) -> None:
    async def work() -> None:
        notes.time()
        if len(notes) == 1:
            one.line.mute = {"finish", "take_due"}
            raise RetryLater(1)

    await one.scheduler.add_job(work, id="job")
    await clock.advance(10)
    one.line.mute = {"finish"}
    await clock.advance(60)
    one.line.mute = set()
    await clock.advance(60)

    assert len(notes) == 2
    assert await one.outcomes("job") == [(Outcome.SUCCEEDED, 2)]


async def test_a_claim_without_answer_whose_arguments_cannot_be_read_has_failed(
    one: Member, clock: VirtualClock
) -> None:
    entered: list[object] = []
    await one.scheduler.add_job(entered.append, "interval", id="job", args=["its own"], hours=1)
    one.line.mute = {"take_due"}
    await one.scheduler.run_job("job", args=(Unstorable("its arguments cannot be read: they are damaged"),))
    await clock.advance(1)
    one.line.mute = set()
    await clock.advance(60)

    (run,) = await one.scheduler.get_runs("job")
    assert (run.outcome, run.reason) == (Outcome.FAILED, "its arguments cannot be read: they are damaged")
    assert entered == []


async def test_a_claim_without_answer_is_handed_back_at_the_end(core: MemoryJobStore, clock: VirtualClock) -> None:
    member = Member(core, clock)
    async with member.scheduler:
        member.line.mute = {"take_due"}
        await member.scheduler.add_job(int, id="job", on_crash="abandon")
        await clock.advance()

    async with Member(core, clock).scheduler as other:
        await clock.advance(1)
        (run,) = await other.get_runs("job")

    assert (run.outcome, run.epoch) == (Outcome.SUCCEEDED, 2)


# the end


async def test_a_store_that_is_away_does_not_hang_the_end(
    core: MemoryJobStore, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    member = Member(core, clock)
    with anyio.fail_after(10):
        async with member.scheduler:
            member.line.cut = {"finish", "claimed", "leave", "close"}
            await member.scheduler.add_job(int, id="job")
            await clock.advance()

    assert "how 1 runs ended cannot be stored" in caplog.text
    assert "cannot take leave" in caplog.text
    await clock.advance(100)


async def test_an_answer_that_comes_after_the_end_is_waited_for(core: MemoryJobStore, clock: VirtualClock) -> None:
    member = Member(core, clock)
    take_due = member.line.take_due

    async def slow(*args: Any) -> Any:
        with anyio.CancelScope(shield=True), clock.parked():  # a transaction that is on its way
            await anyio.sleep(0.1)
        return await take_due(*args)

    async with member.scheduler:
        await member.scheduler.pause()
        await member.scheduler.add_job(int, id="job", on_crash="abandon")
        await clock.advance()
        member.line.take_due = slow  # type: ignore[assignment, method-assign]  # a server that takes its time
        await member.scheduler.resume()
        await anyio.lowlevel.checkpoint()

    async with Member(core, clock).scheduler as other:
        await clock.advance(1)
        (run,) = await other.get_runs("job")

    assert run.outcome is Outcome.SUCCEEDED


# turns


async def test_a_run_that_waits_for_one_on_another_node_starts_when_that_ends(
    core: MemoryJobStore, clock: VirtualClock, at: Any
) -> None:
    began: list[datetime] = []

    async def work() -> None:
        began.append(clock.now())
        await clock.sleep(15)

    wire = Wire()
    one, two = (Member(core, clock, max_idle=3600) for _ in range(2))
    for member in (one, two):
        member.line.own = WireNotifier(wire)
    async with one.scheduler, two.scheduler:
        await two.scheduler.pause()
        await one.scheduler.add_job(work, "interval", seconds=10, id="job", overlap="queue_all", end_date=at(20))
        await clock.advance(11)
        await one.scheduler.pause()
        await two.scheduler.resume()
        await clock.advance(10)  # the second node puts the second run into the queue
        await one.scheduler.resume()
        await clock.advance(60)

    assert began == [at(10), at(25)]


async def test_a_run_that_is_started_by_hand_begins_when_the_one_in_its_way_ends(
    core: MemoryJobStore, clock: VirtualClock, at: Any
) -> None:
    began: list[datetime] = []

    async def work() -> None:
        began.append(clock.now())
        await clock.sleep(15)

    async with Member(core, clock, max_idle=3600).scheduler as scheduler:
        await scheduler.add_job(work, "interval", hours=1, start_date=at(10), id="job")
        await clock.advance(11)
        await scheduler.run_job("job")
        await clock.advance(60)

    assert began == [at(10), at(25)]


# waiting for runs


async def test_a_run_that_is_under_way_here_is_not_asked_for(one: Member, clock: VirtualClock) -> None:
    await one.scheduler.add_job(clock.sleep, "interval", [20], hours=1, id="job")
    handle = await one.scheduler.run_job("job")
    await clock.advance(1)
    before = one.line.calls.count("runs")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(handle.result)
        await anyio.wait_all_tasks_blocked()
        await clock.advance(30)

    assert one.line.calls.count("runs") == before


async def test_the_result_of_a_run_on_another_node_is_fetched(one: Member, two: Member, clock: VirtualClock) -> None:
    await one.scheduler.pause()
    await one.scheduler.add_job(_add, "interval", [1, 2], hours=1, id="job")
    results: list[Any] = []

    async def wait() -> None:
        handle = await one.scheduler.run_job("job")
        results.append(await handle.result())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        await clock.advance(10)

    assert results == [3]


async def test_an_exception_on_another_node_comes_with_its_traceback(
    one: Member, two: Member, clock: VirtualClock
) -> None:
    await one.scheduler.pause()
    await one.scheduler.add_job(_fail, "interval", hours=1, id="job")

    async def wait() -> None:
        handle = await one.scheduler.run_job("job")
        with pytest.raises(RunFailedError, match="LookupError: nothing here") as caught:
            await handle.result()
        assert "_fail" in (caught.value.traceback or "")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        await clock.advance(10)


async def test_an_exception_here_comes_as_it_is(one: Member, clock: VirtualClock) -> None:
    await one.scheduler.add_job(_fail, "interval", hours=1, id="job")
    handle = await one.scheduler.run_job("job")

    async def wait() -> None:
        with pytest.raises(LookupError, match="nothing here"):
            await handle.result()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await clock.advance(10)


def _add(one: int, other: int) -> int:
    return one + other


def _fail() -> None:
    raise LookupError("nothing here")


# the rest


async def test_old_runs_are_forgotten_every_few_minutes(core: MemoryJobStore, clock: VirtualClock) -> None:
    member = Member(core, clock, keep_history=timedelta(days=3))
    async with member.scheduler:
        await clock.advance(hours=1)

    prunings = [call for call in member.line.calls if call.startswith("prune")]
    assert 8 <= len(prunings) <= 24
    assert prunings[0].startswith("prune before 2025-12-29T00:0")


async def test_events_of_one_node_are_its_own(one: Member, two: Member, clock: VirtualClock, notes: Any) -> None:
    await two.scheduler.add_listener(notes.event, EVENT_JOB_EXECUTED)
    await two.scheduler.pause()
    await one.scheduler.add_job(int)
    await clock.advance(10)

    assert notes == []


@pytest.mark.parametrize("lease", [0, 0.9, -1, True, float("nan"), float("inf")])
def test_a_lease_is_a_second_or_more(lease: Any) -> None:
    with pytest.raises(ValueError, match="lease must be a number of seconds from 1 on"):
        AsyncScheduler(lease=lease)


@pytest.mark.parametrize(("keep", "lease"), [(timedelta(minutes=59), 15), (timedelta(hours=1), 200)])
def test_the_history_is_kept_for_an_hour_and_twenty_leases(keep: timedelta, lease: float) -> None:
    with pytest.raises(ValueError, match="keep_history must be at least"):
        AsyncScheduler(keep_history=keep, lease=lease)
