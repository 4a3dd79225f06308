"""The methods that job stores had in APScheduler 3, on job stores of our own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from apsched.async_scheduler import AsyncScheduler
from apsched.exceptions import SchedulerStateError, TransientJobError
from apsched.job import Job
from apsched.jobstores.memory import MemoryJobStore
from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore
from apsched.schedulers.background import BackgroundScheduler
from apsched.triggers.interval import IntervalTrigger

if TYPE_CHECKING:
    from tests.face.conftest import Record

T0 = datetime(2036, 7, 1, 12, tzinfo=UTC)


def work() -> None: ...


def make_job(id: str, due: datetime | None) -> Job:
    trigger = IntervalTrigger(hours=1, start_date=T0, timezone="UTC")
    return Job(id=id, name=id, func=work, trigger=trigger, next_run_time=due, next_nominal_time=due)


@pytest.fixture
def sqlite(tmp_path: Path) -> SQLAlchemyJobStore:
    return SQLAlchemyJobStore(f"sqlite:///{tmp_path / 'jobs.db'}")


def test_jobs_of_an_open_store_have_the_verbs_of_its_scheduler(
    sqlite: SQLAlchemyJobStore, make: Callable[..., BackgroundScheduler]
) -> None:
    scheduler = make(jobstores={"mine": sqlite})
    scheduler.start()
    scheduler.add_job(work, "interval", hours=1, id="job", jobstore="mine")

    job = sqlite.lookup_job("job")
    assert job is not None
    job.pause()

    assert job.jobstore == "mine"
    assert [job.next_run_time for job in sqlite.get_all_jobs()] == [None]


def test_what_is_added_to_an_open_store_runs(make: Callable[..., BackgroundScheduler], record: Record) -> None:
    store = MemoryJobStore()
    make(jobstores={"default": store}, max_idle=0.01).start()
    job = make_job("job", datetime(2026, 1, 1, tzinfo=UTC))
    job.func, job.args = record.note, ("it ran",)

    store.add_job(job)

    record.wait_for("it ran")


def test_a_call_in_the_event_loop_of_the_scheduler_is_refused(
    sqlite: SQLAlchemyJobStore, make: Callable[..., BackgroundScheduler], record: Record
) -> None:
    scheduler = make(jobstores={"mine": sqlite})
    scheduler.start()

    async def look() -> None:
        try:
            sqlite.get_all_jobs()
        except SchedulerStateError as exc:
            record.note(str(exc))
        record.note(await asyncio.to_thread(sqlite.get_all_jobs))

    scheduler.add_job(look)

    message, jobs = record.wait(2)
    assert "await its asynchronous methods" in message
    assert jobs == []


async def test_a_call_beside_a_running_event_loop_is_refused(sqlite: SQLAlchemyJobStore) -> None:
    with pytest.raises(SchedulerStateError, match="would stand still"):
        sqlite.get_all_jobs()


async def test_a_store_in_memory_needs_not_be_waited_for() -> None:
    store = MemoryJobStore()
    async with AsyncScheduler(jobstores={"default": store}) as scheduler:
        await scheduler.add_job(work, "interval", hours=1, id="job")

        (job,) = store.get_all_jobs()

        assert (job.id, job.jobstore) == ("job", "default")


def test_threads_may_call_a_closed_store_at_once(sqlite: SQLAlchemyJobStore) -> None:
    threads = [threading.Thread(target=sqlite.add_job, args=(make_job(str(number), T0),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [job.id for job in sqlite.get_all_jobs()] == ["0", "1", "2", "3"]


def test_a_job_that_cannot_be_kept_is_refused(sqlite: SQLAlchemyJobStore) -> None:
    job = make_job("job", T0)
    job.func = lambda: None

    with pytest.raises(TransientJobError):
        sqlite.add_job(job)


def test_a_subclass_that_overrides_what_is_not_called_is_warned_of() -> None:
    with pytest.warns(UserWarning, match=r"Mine overrides add_job\(\), which the scheduler does not call"):

        class Mine(MemoryJobStore):
            def add_job(self, job: Job) -> None:
                super().add_job(job)
