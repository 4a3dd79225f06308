"""How much one call of a store is asked to do."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime

import anyio

from apsched.async_scheduler import AsyncScheduler
from apsched.executors.pool import ThreadPoolExecutor
from apsched.jobstores.memory import MemoryJobStore
from apsched.run import Plan, Planner, Run


class CountingStore(MemoryJobStore):
    """Notes how many jobs it gave at each look, and how many runs it took at a time."""

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__()
        self.is_shared = True
        self.seconds = seconds  # that it takes to store runs
        self.looks: list[int] = []
        self.batches: list[int] = []
        self.asked = anyio.Event()

    async def take_due(self, now: datetime, slots: Mapping[str, int], plan: Planner, owner: str) -> list[Plan]:
        plans = await super().take_due(now, slots, plan, owner)
        self.looks.append(len(plans))
        return plans

    async def next_run_time(self, slots: Mapping[str, int], owner: str) -> datetime | None:
        if not all(slots.values()):
            self.asked.set()
        return await super().next_run_time(slots, owner)

    async def finish(self, runs: Sequence[Run]) -> list[Run]:
        self.batches.append(len(runs))
        await anyio.sleep(self.seconds)
        return await super().finish(runs)


async def test_a_store_is_not_looked_at_again_at_once_for_an_executor_that_is_full() -> None:
    store = CountingStore()
    gate = threading.Event()

    async with AsyncScheduler(
        timezone="UTC",
        jobstores={"default": store},
        executors={"default": ThreadPoolExecutor(2)},
        start_paused=True,
    ) as scheduler:
        await scheduler.add_jobs({"func": gate.wait, "args": [30]} for _ in range(5))
        await scheduler.resume()
        with anyio.fail_after(10):
            await store.asked.wait()

        assert store.looks == [2]
        gate.set()


async def test_runs_that_end_in_a_row_are_stored_several_at_a_time() -> None:
    store = CountingStore(seconds=0.02)

    async def work(seconds: float = 0.0) -> None:
        await anyio.sleep(seconds)

    async with AsyncScheduler(timezone="UTC", jobstores={"default": store}) as scheduler:
        job = await scheduler.add_job(work, "interval", hours=1, max_instances=40)
        handles = [await scheduler.run_job(job.id, args=[number / 400]) for number in range(40)]
        for handle in handles:
            await handle.result()

    assert sum(store.batches) == 40
    assert len(store.batches) <= 10


async def test_of_many_runs_the_first_begin_before_the_last_are_started_and_all_are_stored_together() -> None:
    store = CountingStore()
    store.batch = 400
    under_way: list[int] = []

    async def work() -> None:
        under_way.append((await scheduler.health()).runs_under_way)

    async with AsyncScheduler(timezone="UTC", jobstores={"default": store}, start_paused=True) as scheduler:
        await scheduler.add_jobs({"func": work} for _ in range(400))
        await scheduler.resume()
        with anyio.fail_after(30):
            while sum(store.batches) < 400:  # noqa: ASYNC110  # the store tells nobody
                await anyio.sleep(0.01)

    assert store.looks[0] == 400
    assert max(under_way) <= 100
    assert store.batches == [400]
