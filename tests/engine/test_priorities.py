"""Who comes first, and who may take what."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from apsched.async_scheduler import AsyncScheduler
from apsched.events import EVENT_JOB_QUARANTINED
from apsched.executors.asyncio import AsyncIOExecutor
from apsched.jobstores.memory import MemoryJobStore
from apsched.run import Outcome
from apsched.testing.clock import VirtualClock
from apsched.testing.cluster import Cluster


@pytest.fixture
async def narrow(clock: VirtualClock) -> Any:
    """A scheduler that runs one coroutine at a time."""
    executors = {"asyncio": AsyncIOExecutor(max_concurrent=1)}
    async with AsyncScheduler(clock=clock, timezone="UTC", executors=executors) as scheduler:
        yield scheduler


async def test_where_not_all_may_run_the_most_urgent_come_first_and_then_the_earliest(
    narrow: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    async def work(name: str) -> None:
        notes.append(name)
        await clock.sleep(10)

    for name, priority, second in (("a", 0, 1), ("b", 0, 2), ("low", -1, 1), ("high", 5, 8), ("higher", 10, 9)):
        options: dict[str, Any] = {"args": [name], "id": name, "priority": priority}
        await narrow.add_job(work, "date", run_date=f"2026-01-01 00:00:0{second}", **options)

    await clock.advance(100)

    assert notes == ["a", "higher", "high", "b", "low"]


async def test_priorities_of_one_executor_do_not_claim_more_than_it_takes(
    narrow: AsyncScheduler, clock: VirtualClock
) -> None:
    for number in range(6):
        await narrow.add_job(clock.sleep, args=[10], id=str(number), priority=number - 2)

    await clock.advance(5)

    runs = await narrow.get_runs()
    assert [run.job_id for run in runs] == ["5"]


async def test_what_waits_for_its_turn_is_sorted_too(narrow: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    async def work(name: str) -> None:
        notes.append(name)
        await clock.sleep(10)

    for name, priority in (("a", 0), ("b", 0), ("c", 3)):
        await narrow.add_job(work, "cron", month=12, args=[name], id=name, priority=priority)
    for name in "abc":
        await narrow.run_job(name)
    await clock.advance(100)

    assert notes == ["c", "a", "b"]


async def test_a_job_whose_priority_is_changed_goes_on(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    await scheduler.add_job(notes.time_later, "interval", seconds=10, id="job")
    await clock.advance(15)
    await scheduler.modify_job("job", priority=7)
    await clock.advance(10)
    await scheduler.modify_job("job", priority=0)
    await clock.advance(10)

    assert notes == [10, 20, 30]


async def test_jobs_that_were_added_before_the_start_run(clock: VirtualClock, notes: Any) -> None:
    scheduler = AsyncScheduler(clock=clock, capabilities=["gpu"])
    await scheduler.add_job(notes.time_later, priority=3)
    await scheduler.add_job(notes.time_later, requires="gpu")
    async with scheduler:
        await clock.advance(5)

    assert notes == [0, 0]


async def test_a_node_takes_only_what_it_can_do(clock: VirtualClock) -> None:
    cluster = Cluster(clock)
    async with cluster.node() as plain, cluster.node(capabilities=("gpu", "eu")) as able:
        for name, requires in (("gpu", "gpu"), ("both", ["gpu", "eu"]), ("none", ()), ("other", ["us"])):
            await plain.scheduler.add_job(clock.sleep, "interval", seconds=10, args=[0], id=name, requires=requires)
        await clock.advance(45)

        nodes: dict[str, set[str | None]] = {}
        for run in await plain.scheduler.get_runs():
            nodes.setdefault(run.job_id, set()).add(run.node)
        assert nodes["gpu"] == nodes["both"] == {able.scheduler.node}
        assert "other" not in nodes
        assert {run.outcome for run in await plain.scheduler.get_runs()} == {Outcome.SUCCEEDED}
        jobs = await plain.scheduler.get_jobs()
        assert [job.id for job in jobs if job.quarantine is not None] == []

        async with cluster.node(capabilities="us"):
            await clock.advance(15)
            assert await plain.scheduler.get_runs("other")


async def test_where_nobody_else_could_the_job_is_quarantined_with_the_reason(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    await scheduler.add_listener(notes.event, EVENT_JOB_QUARANTINED)
    await scheduler.add_job(clock.sleep, args=[0], id="job", requires=["gpu", "eu"])

    await clock.advance(1)

    job = await scheduler.get_job("job")
    assert job is not None
    assert job.quarantine is not None
    assert job.quarantine.startswith("it requires eu, gpu, which node ")
    assert notes == ["JOB_QUARANTINED"]


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"priority": 11}, ValueError, "priority must be a whole number from -10 to 10, got 11"),
        ({"priority": "high"}, TypeError, "priority must be a whole number from -10 to 10, got 'high'"),
        ({"requires": ["a b"]}, ValueError, "requires must be words of letters"),
        ({"requires": [1]}, TypeError, r"requires must be a word or several, got \[1\]"),
    ],
)
async def test_what_is_wrong_is_said(
    scheduler: AsyncScheduler, options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        await scheduler.add_job(print, **options)
    everywhere = {"job_defaults": options} if "priority" in options else {"capabilities": options["requires"]}
    with pytest.raises(kind, match=message.replace("requires", "capabilities")):
        AsyncScheduler(**everywhere)


async def test_a_store_that_fails_between_two_priorities_loses_nothing(clock: VirtualClock, notes: Any) -> None:
    class Failing(MemoryJobStore):
        calls = 0

        async def take_due(self, *args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.calls in (2, 6):
                raise ConnectionResetError
            return await super().take_due(*args, **kwargs)

    async with AsyncScheduler(clock=clock, jobstores={"default": Failing()}) as scheduler:
        for priority in (5, 0, -5):
            await scheduler.add_job(partial(notes.keep, priority), id=str(priority), priority=priority)
        await clock.advance(60)

    assert sorted(notes) == [-5, 0, 5]
