"""What is kept of runs, and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from apsched.async_scheduler import AsyncScheduler
from apsched.exceptions import AliasLookupError
from apsched.jobstores.memory import MemoryJobStore
from apsched.run import Outcome
from apsched.testing.clock import VirtualClock


async def test_runs_come_latest_first(
    scheduler: AsyncScheduler, clock: VirtualClock, at: Callable[[float], datetime]
) -> None:
    await scheduler.add_job(int, "interval", seconds=10, id="a")
    await scheduler.add_job(int, "interval", seconds=15, id="b")

    await clock.advance(30)

    assert [run.nominal_time for run in await scheduler.get_runs()] == [at(30), at(30), at(20), at(15), at(10)]


async def test_runs_are_picked_by_job_outcome_and_time(
    scheduler: AsyncScheduler, clock: VirtualClock, at: Callable[[float], datetime]
) -> None:
    await scheduler.add_job(int, "interval", seconds=10, id="good")
    await scheduler.add_job(int, "interval", ["x"], seconds=10, id="bad")

    await clock.advance(50)

    assert {run.job_id for run in await scheduler.get_runs("good")} == {"good"}
    assert {run.job_id for run in await scheduler.get_runs(outcome="failed")} == {"bad"}
    assert len(await scheduler.get_runs(outcome=["failed", Outcome.SUCCEEDED])) == 10
    some = await scheduler.get_runs("good", since=at(20), until="2026-01-01 00:00:40")
    assert [run.nominal_time for run in some] == [at(40), at(30), at(20)]


async def test_runs_are_read_page_by_page(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    await scheduler.add_jobs([{"func": int, "trigger": "interval", "seconds": 10, "id": name} for name in "abc"])
    await clock.advance(100)

    pages = [await scheduler.get_runs(limit=7)]
    while pages[-1]:
        pages.append(await scheduler.get_runs(limit=7, after=pages[-1][-1]))

    everything = await scheduler.get_runs(limit=1000)
    assert [run for page in pages for run in page] == everything
    assert len(everything) == 30


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": 0}, "limit must be a whole number from 1 on"),
        ({"limit": True}, "limit must be a whole number from 1 on"),
        ({"outcome": "done"}, "outcome must be one or several of pending, running, "),
    ],
)
async def test_values_out_of_range_are_refused(
    scheduler: AsyncScheduler, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        await scheduler.get_runs(**options)


async def test_an_unknown_store_is_refused(scheduler: AsyncScheduler) -> None:
    with pytest.raises(AliasLookupError):
        await scheduler.get_runs(jobstore="nowhere")


async def test_reading_deletes_nothing(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    await scheduler.add_job(int)
    await clock.advance()

    assert await scheduler.get_runs() == await scheduler.get_runs() != []


async def test_the_history_of_a_removed_job_stays(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    await scheduler.add_job(int, "interval", seconds=10, id="job")
    await clock.advance(20)

    await scheduler.remove_job("job")

    assert len(await scheduler.get_runs("job")) == 2


async def test_a_job_keeps_its_last_hundred_runs_or_as_many_as_it_says(
    scheduler: AsyncScheduler, clock: VirtualClock, at: Callable[[float], datetime]
) -> None:
    await scheduler.add_job(int, "interval", seconds=10, id="hundred")
    await scheduler.add_job(int, "interval", seconds=10, id="three", keep_runs=3)

    await clock.advance(2000)

    assert len(await scheduler.get_runs("hundred", limit=1000)) == 100
    assert [run.nominal_time for run in await scheduler.get_runs("three")] == [at(2000), at(1990), at(1980)]


async def test_ten_thousand_runs_leave_a_bounded_history(clock: VirtualClock) -> None:
    store = MemoryJobStore(keep_runs=10, keep_gone_jobs=50)
    count = 0

    async def work() -> None:
        nonlocal count
        count += 1

    async with AsyncScheduler(clock=clock, jobstores={"default": store}) as scheduler:
        await scheduler.add_jobs(
            [{"func": work, "trigger": "interval", "seconds": 1, "id": str(number)} for number in range(100)]
        )
        await clock.advance(97)
        for _ in range(3):  # and jobs that come and go
            await scheduler.add_jobs([{"func": work} for _ in range(100)])
            await clock.advance()
        runs = await scheduler.get_runs(limit=1_000_000)
        health = await scheduler.health()

    assert count == 10_000
    assert len(runs) == 100 * 10 + 50
    assert health.runs_under_way == health.jobstores["default"].unrecorded == 0
