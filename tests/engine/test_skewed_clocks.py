"""Nodes whose clocks differ, and machines that sleep: nothing twice, nothing lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from apsched.async_scheduler import AsyncScheduler
from apsched.events import EVENT_CLOCK_JUMPED, EVENT_JOB_ABANDONED, EVENT_LEASE_LOST, EVENT_NODE_LOST
from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore
from apsched.run import Outcome, Run
from apsched.testing.clock import START, SkewedClock, VirtualClock
from apsched.testing.cluster import Cluster

HOUR = 3600
DAY = 24 * HOUR
BAD = EVENT_JOB_ABANDONED | EVENT_LEASE_LOST | EVENT_NODE_LOST


def assert_each_once(runs: list[Run], step: float, until: float, first: int = 0) -> None:
    """Every nominal time, from step *first* up to *until*, is in one record, and no other is."""
    covered: list[datetime] = []
    for run in runs:
        moment = run.first_nominal_time or run.nominal_time
        while moment <= run.nominal_time:
            covered.append(moment)
            moment += timedelta(seconds=step)
    wanted = [START + timedelta(seconds=step * number) for number in range(first, int(until // step) + 1)]
    assert sorted(covered) == wanted


# one machine


@pytest.mark.parametrize("seconds", [60, HOUR, 40 * DAY])
@pytest.mark.parametrize("monotonic_stands", [True, False])
async def test_what_was_due_while_the_machine_slept_runs_late_once(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any, seconds: float, monotonic_stands: bool
) -> None:
    job = await scheduler.add_job(notes.time, "interval", seconds=30)
    await clock.advance(30)

    await (clock.jump(seconds) if monotonic_stands else clock.suspend(seconds))
    await clock.advance(60)

    assert notes == [30, 30 + seconds, 60 + seconds, 90 + seconds]
    assert [run.outcome for run in await scheduler.get_runs(job.id)].count(Outcome.SUCCEEDED) == 4
    assert sum(run.count or 0 for run in await scheduler.get_runs(job.id)) in (3 + seconds / 30, 4)


async def test_a_sleep_that_the_monotonic_clock_has_seen_is_no_jump(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    await scheduler.add_listener(notes.event, EVENT_CLOCK_JUMPED)
    await scheduler.add_job(int, "interval", seconds=30)

    await clock.suspend(DAY)

    assert notes == []


async def test_a_machine_cannot_sleep_less_than_nothing(clock: VirtualClock) -> None:
    with pytest.raises(ValueError, match="suspend needs 0 seconds or more, got -1"):
        await clock.suspend(-1)


@pytest.mark.parametrize("jump", [3 * HOUR, -3 * HOUR, 2 * DAY, -2 * DAY])
@pytest.mark.parametrize("date", ["2026-03-29", "2026-10-25"])
async def test_a_jump_over_the_change_of_the_clocks_runs_a_nightly_job_once_a_night(date: str, jump: float) -> None:
    clock = VirtualClock(datetime.fromisoformat(f"{date}T00:00+00:00"))  # the clocks change an hour later
    async with AsyncScheduler(clock=clock, timezone="Europe/Berlin") as scheduler:
        job = await scheduler.add_job(int, "cron", hour=2, minute=30)
        await clock.advance(minutes=5)
        await clock.jump(jump)
        await clock.advance(days=6)

        runs = await scheduler.get_runs(job.id)

    nights = [run.nominal_time.date() for run in runs for _ in range(run.count or 0)]
    assert len(set(nights)) == len(runs)
    assert len(nights) == (max(runs, key=lambda run: run.nominal_time).nominal_time.date() - min(nights)).days + 1
    assert str(min(nights)) == date


async def test_a_timeout_counts_what_time_a_run_had_however_the_clock_is_set(
    scheduler: AsyncScheduler, clock: VirtualClock
) -> None:
    await scheduler.add_job(clock.sleep, "cron", [HOUR], hour=0, minute=1, id="job", timeout=600)
    await clock.advance(60)

    await clock.jump(DAY / 2)
    await clock.advance(590)
    before = [run.outcome for run in await scheduler.get_runs("job")]
    await clock.advance(10)

    assert before == [Outcome.RUNNING]
    assert [run.outcome for run in await scheduler.get_runs("job")] == [Outcome.TIMED_OUT]


async def test_a_retry_comes_when_its_time_has_come_by_the_wall_clock(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    def fail() -> None:
        notes.time()
        raise RuntimeError

    retry = {"max_attempts": 3, "backoff": 60, "factor": 1}
    await scheduler.add_job(fail, "cron", hour=0, minute=1, id="job", retry=retry)
    await clock.advance(60)

    await clock.jump(-30)
    await clock.advance(89)
    before = list(notes)
    await clock.advance(1)
    await clock.jump(HOUR)

    assert before == [60]
    assert notes == [60, 120, 120 + HOUR]
    [run] = await scheduler.get_runs("job")
    assert (run.outcome, run.attempt) == (Outcome.FAILED, 3)


# a cluster


@asynccontextmanager
async def nodes(cluster: Cluster, *skews: float) -> AsyncIterator[list[Any]]:
    async with AsyncExitStack() as stack:
        members = []
        for skew in skews:
            await cluster.clock.advance(0.7)  # so that their monotonic clocks differ too
            members.append(await stack.enter_async_context(cluster.node(ahead=skew)))
        yield members


@pytest.mark.parametrize("skew", [5, -300, 1800])
async def test_nodes_whose_clocks_differ_run_each_nominal_time_once(skew: float, clock: VirtualClock) -> None:
    cluster = Cluster(clock)
    told: list[Any] = []
    async with nodes(cluster, 0, skew) as (one, two):
        for node in (one, two):
            await node.scheduler.add_listener(told.append, BAD | EVENT_CLOCK_JUMPED)
        await one.scheduler.add_job(int, "interval", seconds=20, id="job", start_date=START, next_run_time=START)
        await clock.advance(minutes=12)

        runs = cluster.store.history()
        passed = (clock.now() - START).total_seconds()
        assert_each_once(runs, 20, passed + max(skew, 0))
        assert {run.outcome for run in runs} <= {Outcome.SUCCEEDED, Outcome.COALESCED}
        assert told == []
        assert (await one.scheduler.health()).jobstores["default"].live_nodes == 2


async def test_a_node_is_not_taken_for_dead_for_what_its_clock_shows(clock: VirtualClock) -> None:
    cluster = Cluster(clock)
    told: list[Any] = []
    async with nodes(cluster, 0, 0) as (one, two):
        for node in (one, two):
            await node.scheduler.add_listener(told.append, BAD)
        await one.scheduler.add_job(clock.sleep, "interval", [25], seconds=30, id="job")
        for jump in (-HOUR, 3 * HOUR, -DAY, DAY):
            await clock.advance(minutes=2)
            await one.clock.jump(jump)
        await clock.advance(minutes=2)

        assert told == []
        runs = cluster.store.history()
        assert len({run.nominal_time for run in runs}) == len(runs)
        assert {run.outcome for run in runs} <= {Outcome.SUCCEEDED, Outcome.COALESCED, Outcome.SKIPPED, Outcome.RUNNING}


async def test_the_clock_of_one_node_jumps_and_it_alone_tells(clock: VirtualClock) -> None:
    cluster = Cluster(clock)
    told: list[str] = []
    async with nodes(cluster, 0, 0) as (one, two):
        for name, node in (("one", one), ("two", two)):
            await node.scheduler.add_listener(lambda event, name=name: told.append(f"{name}: {event.detail}"))
        told.clear()

        await two.clock.jump(-600)
        await clock.advance(minutes=1)

    assert [text for text in told if "moved" in text] == ["two: the wall clock was moved by -600.000 s"]


@pytest.mark.parametrize("monotonic_stands", [True, False])
async def test_after_all_machines_have_slept_none_is_taken_for_dead(
    monotonic_stands: bool, clock: VirtualClock
) -> None:
    cluster = Cluster(clock)
    told: list[Any] = []
    async with nodes(cluster, 0, 30, -30) as members:
        for node in members:
            await node.scheduler.add_listener(told.append, BAD)
        await members[0].scheduler.add_job(int, "interval", seconds=20, id="job", start_date=START, next_run_time=START)
        await clock.advance(minutes=1)
        await (clock.jump(HOUR) if monotonic_stands else clock.suspend(HOUR))
        await clock.advance(minutes=1)

        assert told == []
        runs = cluster.store.history()
        assert_each_once(runs, 20, (clock.now() - START).total_seconds() + 30)


async def test_a_run_goes_to_another_node_although_the_clock_of_that_is_slow(clock: VirtualClock) -> None:
    cluster = Cluster(clock)
    async with nodes(cluster, 0, -600) as (one, two):
        await two.scheduler.pause()
        await one.scheduler.add_job(clock.sleep, args=[40], id="job")
        await clock.advance(2)
        await two.scheduler.resume()

        await one.kill()
        await clock.advance(minutes=2)
        before = [run.outcome for run in cluster.store.history()]
        await clock.advance(minutes=10)  # a pending run is due when it was due, by the slow clock too

        [run] = cluster.store.history()
        assert before == [Outcome.PENDING]
        assert (run.outcome, run.attempt, run.node) == (Outcome.SUCCEEDED, 2, two.scheduler.node)


# a real store


@pytest.mark.parametrize("skew", [-120, 120])
async def test_nodes_whose_clocks_differ_share_a_file(clock: VirtualClock, tmp_path: Path, skew: float) -> None:
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    told: list[Any] = []
    async with AsyncExitStack() as stack:
        clocks = [SkewedClock(clock), SkewedClock(clock, skew)]
        schedulers = [
            await stack.enter_async_context(
                AsyncScheduler(clock=each, timezone="UTC", jobstores={"default": SQLAlchemyJobStore(url)})
            )
            for each in clocks
        ]
        for scheduler in schedulers:
            await scheduler.add_listener(told.append, BAD)
        await schedulers[0].add_job(
            "builtins:int", "interval", seconds=20, id="job", start_date=START, next_run_time=START
        )
        await clock.advance(minutes=1)
        await clocks[0].jump(-HOUR)
        await clock.advance(minutes=1)
        await clocks[0].jump(HOUR)
        await clock.advance(seconds=20)

        runs = await schedulers[0].get_runs("job", limit=1000)
        assert_each_once(runs, 20, (clock.now() - START).total_seconds() + max(skew, 0))
        assert {run.outcome for run in runs} <= {Outcome.SUCCEEDED, Outcome.COALESCED, Outcome.SKIPPED}
        assert told == []


async def test_a_jump_is_survived_with_a_file(clock: VirtualClock, tmp_path: Path) -> None:
    store = SQLAlchemyJobStore(f"sqlite:///{tmp_path / 'jobs.db'}")
    async with AsyncScheduler(clock=clock, timezone="UTC", jobstores={"default": store}) as scheduler:
        await scheduler.add_job("builtins:int", "interval", seconds=20, id="job")
        for jump in (HOUR, -HOUR, -600, 3 * HOUR):
            await clock.advance(seconds=30)
            await clock.jump(jump)
        await clock.advance()

        runs = await scheduler.get_runs("job", limit=1000)
        assert_each_once(runs, 20, (clock.now() - START).total_seconds(), first=1)
        assert (await scheduler.health()).is_ok
