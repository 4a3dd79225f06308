"""Stores and executors that users wrote for APScheduler 3, in the asynchronous scheduler."""

from __future__ import annotations

from apsched.async_scheduler import AsyncScheduler
from tests.users_executors import PoolExecutor
from tests.users_stores import DictStore


def add(one: int, other: int) -> int:
    return one + other


async def test_an_asynchronous_scheduler_takes_a_users_store_and_executor() -> None:
    async with AsyncScheduler(
        jobstores={"default": DictStore()}, executors={"default": PoolExecutor()}, timezone="UTC"
    ) as scheduler:
        await scheduler.add_job(add, "interval", hours=1, args=(1, 2), id="job")
        handle = await scheduler.run_job("job")

        assert await handle.result() == 3
