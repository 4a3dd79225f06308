"""Jobs that are expected to succeed within a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from apsched.async_scheduler import AsyncScheduler
from apsched.events import EVENT_JOB_OVERDUE
from apsched.jobstores.memory import MemoryJobStore
from apsched.testing.clock import VirtualClock
from apsched.testing.cluster import Cluster


async def test_a_job_that_does_not_succeed_is_told_of_once_until_it_has(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    async def work() -> None:
        if 3600 <= notes.seconds < 7200:
            raise ValueError

    async def tell(event: Any) -> None:
        notes.append((notes.seconds // 60, event.job_id, event.detail.partition(", ")[2]))

    await scheduler.add_listener(tell, EVENT_JOB_OVERDUE)
    await scheduler.add_job(work, "interval", minutes=10, id="job", expect_success_within=900)

    await clock.advance(3600 + 3000)
    during = (await scheduler.health()).jobstores["default"].overdue
    await clock.advance(3600)

    assert notes == [(65, "job", "and the last success was at 2026-01-01 00:50:00+00:00")]
    assert during == ("job",)
    health = await scheduler.health()
    assert health.jobstores["default"].overdue == ()
    assert health.is_ok


async def test_a_job_that_never_succeeded_is_overdue_from_when_it_was_seen_first(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    await scheduler.add_listener(notes.event, EVENT_JOB_OVERDUE)
    await clock.advance(500)
    await scheduler.add_job(divmod, "interval", seconds=10, args=[1, 0], id="job", expect_success_within=60)

    await clock.advance(59)
    assert notes == []
    await clock.advance(5)
    assert notes == ["JOB_OVERDUE"]


@pytest.mark.parametrize("verb", ["pause_job", "remove_job"])
async def test_a_job_that_is_not_to_run_is_not_overdue(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any, verb: str
) -> None:
    await scheduler.add_listener(notes.event, EVENT_JOB_OVERDUE)
    await scheduler.add_job(divmod, "interval", seconds=10, args=[1, 0], id="job", expect_success_within=60)
    await clock.advance(30)

    await getattr(scheduler, verb)("job")
    await clock.advance(600)

    assert notes == []


async def test_what_is_expected_can_change_while_it_is_waited_for(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    await scheduler.add_listener(notes.event, EVENT_JOB_OVERDUE)
    await scheduler.add_job(divmod, "interval", seconds=10, args=[1, 0], id="job")
    await clock.advance(600)

    await scheduler.modify_job("job", expect_success_within=30)
    await clock.advance(20)
    assert notes == []
    await clock.advance(20)
    assert notes == ["JOB_OVERDUE"]


async def test_each_node_of_a_cluster_tells(clock: VirtualClock) -> None:
    told: list[str] = []

    async def tell(event: Any) -> None:
        told.append(event.job_id)

    cluster = Cluster(clock)
    async with cluster.node() as one, cluster.node() as two:
        for node in (one, two):
            await node.scheduler.add_listener(tell, EVENT_JOB_OVERDUE)
        await one.scheduler.add_job(divmod, "interval", seconds=10, args=[1, 0], id="job", expect_success_within=60)
        await clock.advance(200)

        assert told == ["job", "job"]


async def test_the_last_success_is_found_in_the_history_after_a_restart(
    clock: VirtualClock, at: Callable[[float], datetime], notes: Any
) -> None:
    store = MemoryJobStore()
    options: dict[str, Any] = {"args": [0], "id": "job", "expect_success_within": 60}
    async with AsyncScheduler(clock=clock, timezone="UTC", jobstores={"default": store}) as scheduler:
        await scheduler.add_job(clock.sleep, "date", run_date=at(10), **options)
        await clock.advance(40)
    async with AsyncScheduler(clock=clock, timezone="UTC", jobstores={"default": store}) as scheduler:
        await scheduler.add_listener(notes.event, EVENT_JOB_OVERDUE)
        await scheduler.add_job(clock.sleep, "date", run_date=at(10_000), **options)
        await clock.advance(25)
        assert notes == []
        await clock.advance(10)
        assert notes == ["JOB_OVERDUE"]


@pytest.mark.parametrize("value", [0, -1, True, "60"])
async def test_what_is_expected_is_checked(scheduler: AsyncScheduler, value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="expect_success_within must be None or"):
        await scheduler.add_job(divmod, args=[1, 1], expect_success_within=value)


async def test_a_success_counts_although_the_history_has_forgotten_it_for_later_failures(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    async def work() -> None:
        if notes.seconds % 1800:  # every third run succeeds
            raise ValueError

    await scheduler.add_listener(notes.event, EVENT_JOB_OVERDUE)
    await scheduler.add_job(work, "interval", minutes=10, id="job", expect_success_within=2400, keep_runs=2)

    await clock.advance(hours=3)
    assert notes == []

    await scheduler.modify_job("job", func="builtins:iter")
    await clock.advance(minutes=41)
    assert notes == ["JOB_OVERDUE"]
