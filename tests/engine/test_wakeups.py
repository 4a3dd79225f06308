"""New jobs wake the loop only where it would come too late for them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import anyio
import pytest

from apsched.async_scheduler import AsyncScheduler
from apsched.clock import SystemClock
from apsched.jobstores.memory import MemoryJobStore
from apsched.run import Plan, Planner


class Store(MemoryJobStore):
    """Counts how often it was looked at."""

    looks = 0

    async def take_due(self, now: datetime, slots: Mapping[str, int], plan: Planner, owner: str) -> list[Plan]:
        self.looks += 1
        return await super().take_due(now, slots, plan, owner)


def nothing() -> None:
    pass


def soon(seconds: float) -> datetime:
    return SystemClock().now() + timedelta(seconds=seconds)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
async def scheduler(store: Store) -> AsyncIterator[AsyncScheduler]:
    async with AsyncScheduler(jobstores={"default": store}, timezone="UTC", max_idle=3600) as scheduler:
        await anyio.wait_all_tasks_blocked()
        yield scheduler


async def add(scheduler: AsyncScheduler, when: datetime | None, **options: Any) -> None:
    """Add a job and let the loop do what it likes."""
    await scheduler.add_job(nothing, "date", run_date=soon(9000), next_run_time=when, **options)
    await anyio.wait_all_tasks_blocked()


@pytest.mark.parametrize("when", [soon(8000), None])
async def test_a_job_that_comes_after_the_next_look_wakes_nobody(
    scheduler: AsyncScheduler, store: Store, when: datetime | None
) -> None:
    looks = store.looks

    await add(scheduler, when)

    assert store.looks == looks


async def test_a_job_that_comes_before_the_next_look_wakes_the_loop(scheduler: AsyncScheduler, store: Store) -> None:
    looks = store.looks

    await add(scheduler, soon(1000))
    await add(scheduler, soon(900))

    assert store.looks == looks + 2


async def test_of_many_jobs_one_that_comes_before_the_next_look_wakes_the_loop(
    scheduler: AsyncScheduler, store: Store
) -> None:
    looks = store.looks

    await scheduler.add_jobs(
        {"func": nothing, "trigger": "date", "run_date": soon(seconds)} for seconds in (8000, 1000, 7000)
    )
    await anyio.wait_all_tasks_blocked()

    assert store.looks == looks + 1


async def test_a_job_that_may_replace_another_wakes_the_loop(scheduler: AsyncScheduler, store: Store) -> None:
    """Since runs may wait for what the other was."""
    looks = store.looks

    await add(scheduler, soon(8000), id="a", replace_existing=True)

    assert store.looks == looks + 1
