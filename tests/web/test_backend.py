"""What pages and the REST interface work on."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, timedelta
from pathlib import Path

import anyio
import pytest

from apsched import AsyncScheduler
from apsched.exceptions import AliasLookupError, JobLookupError
from apsched.jobstores.base import RunFilter
from apsched.jobstores.memory import MemoryJobStore
from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore
from apsched.run import Outcome
from apsched.schedulers.background import BackgroundScheduler
from apsched.testing.clock import VirtualClock
from apsched.web.answers import JobQuery
from apsched.web.backend import Backend, open_store
from apsched.web.cursors import CursorError
from apsched.web.reading import SEARCHED
from tests.web.asking import NOW, record
from tests.web.calls import succeed


@asynccontextmanager
async def two_stores() -> AsyncGenerator[AsyncScheduler]:
    stores = {"default": MemoryJobStore(), "second": MemoryJobStore()}
    async with AsyncScheduler(jobstores=stores, clock=VirtualClock(NOW), timezone="UTC", start_paused=True) as started:
        yield started


async def test_a_blocking_scheduler_is_worked_on_from_another_event_loop() -> None:
    scheduler = BackgroundScheduler(timezone="UTC")
    backend = Backend(scheduler)
    await anyio.to_thread.run_sync(scheduler.start)
    try:
        await backend.add_job("tests.web.calls:succeed", "cron", month=2, day=29, id="leap")
        assert [job.id for job in (await backend.jobs()).jobs] == ["leap"]
        assert (await backend.pause_job("leap")).next_run_time is None
        run = await backend.run_job("leap")
        assert (await backend.run(run.id)).store == "default"
        with backend.watching() as watch:
            before = await watch()
            handle = await anyio.to_thread.run_sync(scheduler.run_job, "leap")
            await anyio.to_thread.run_sync(handle.wait)
            assert (await backend.run(handle.run_id)).run.outcome is Outcome.SUCCEEDED
            assert await watch() != before
        health = await backend.health()
        assert health is not None
        assert health.is_ok
        await backend.remove_job("leap")
        with pytest.raises(JobLookupError):
            await backend.job("leap")
    finally:
        await anyio.to_thread.run_sync(scheduler.shutdown)


async def test_jobs_of_several_stores_come_store_by_store_and_page_by_page() -> None:
    async with two_stores() as scheduler:
        for store in ("default", "second"):
            for number in range(5):
                await scheduler.add_job(succeed, "cron", hour=number, id=f"{store}-{number}", jobstore=store)
        backend = Backend(scheduler)
        everything = [(job.jobstore, job.id) for job in (await backend.jobs()).jobs]
        for query in (JobQuery(), JobQuery(text="-"), JobQuery(state="scheduled")):
            seen, after = [], None
            for _ in range(10):
                page = await backend.jobs(query, 3, after)
                seen += [(job.jobstore, job.id) for job in page.jobs]
                after = page.next
                if after is None:
                    break
            assert seen == everything
            assert len(seen) == 10
        assert [job.id for job in (await backend.jobs(JobQuery(text="3", store="second"))).jobs] == ["second-3"]
        with pytest.raises(AliasLookupError):
            await backend.jobs(JobQuery(store="third"))


async def test_runs_of_several_stores_come_the_latest_first(scheduler: AsyncScheduler) -> None:
    for minutes in (5, 3, 4, 1, 2):
        await record(scheduler, f"job-{minutes}", Outcome.SUCCEEDED, timedelta(minutes=minutes))
    backend = Backend(scheduler)
    first = await backend.runs(limit=3)
    assert [each.run.job_id for each in first.runs] == ["job-1", "job-2", "job-3"]
    second = await backend.runs(limit=3, after=first.next)
    assert [each.run.job_id for each in second.runs] == ["job-4", "job-5"]
    assert second.next is None
    with pytest.raises(CursorError):
        await backend.runs(after="no place")


async def test_a_search_stops_after_so_many_jobs_and_goes_on_from_there(scheduler: AsyncScheduler) -> None:
    await scheduler.add_jobs(
        {"func": succeed, "trigger": "cron", "hour": 1, "id": f"job-{number:05}"} for number in range(SEARCHED + 100)
    )
    backend = Backend(scheduler)
    last = f"job-{SEARCHED + 99:05}"
    page = await backend.jobs(JobQuery(text=last[2:]))
    assert page.jobs == []
    assert not page.is_full
    assert [job.id for job in (await backend.jobs(JobQuery(text=last[2:]), after=page.next)).jobs] == [last]
    page = await backend.jobs(JobQuery(text=last))  # an id is found at once
    assert [job.id for job in page.jobs] == [last]


async def test_the_times_to_come_stop_at_the_end_of_the_window(scheduler: AsyncScheduler) -> None:
    await scheduler.add_job(succeed, "cron", minute="*/20", id="often")
    await scheduler.add_job(succeed, "cron", day=1, id="seldom")
    await scheduler.add_job(succeed, "cron", minute="*", id="paused")
    await scheduler.pause_job("paused")
    backend = Backend(scheduler)
    (often,) = await backend.upcoming(NOW + timedelta(hours=1))
    assert [f"{moment.astimezone(UTC):%H:%M}" for moment in often.times] == ["10:00", "10:20", "10:40"]
    assert not often.has_more
    (often,) = await backend.upcoming(NOW + timedelta(hours=1), times=2)
    assert often.has_more
    assert await backend.upcoming(NOW + timedelta(hours=1), job_id="seldom") == []
    with pytest.raises(JobLookupError):
        await backend.upcoming(NOW, job_id="nobody")


async def test_what_somebody_else_changes_in_a_store_is_noticed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    async with (
        AsyncScheduler(jobstores={"default": SQLAlchemyJobStore(url)}, start_paused=True) as scheduler,
        open_store(SQLAlchemyJobStore(url)) as backend,
    ):
        with backend.watching() as watch:
            seen = [await watch(), await watch()]
            assert seen[0] == seen[1]
            await scheduler.add_job(succeed, "cron", month=2, day=29, id="leap")
            seen.append(await watch())
            await backend.run_job("leap")
            seen.append(await watch())
            assert seen[1] != seen[2] != seen[3]
        assert [each.run.job_id for each in (await backend.runs(RunFilter(outcomes=(Outcome.PENDING,)))).runs] == [
            "leap"
        ]
        moved = await backend.reschedule_job("leap", trigger="cron", hour=5)
        assert moved.next_run_time is not None
        assert (await backend.modify_job("leap", name="Leap")).name == "Leap"
        with pytest.raises(ValueError, match="must have a time to come"):
            await backend.reschedule_job("leap", trigger="cron", year=2020)
