"""The methods that job stores had in APScheduler 3, on each job store of our own, with a scheduler and without."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from apsched.exceptions import ConflictingIdError, JobLookupError
from apsched.job import Job
from apsched.jobstores._blocking import BlockingMethods
from apsched.jobstores.memory import MemoryJobStore
from apsched.jobstores.mongodb import MongoDBJobStore
from apsched.jobstores.redis import RedisJobStore
from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore
from apsched.schedulers.background import BackgroundScheduler
from apsched.triggers.interval import IntervalTrigger
from tests.servers import MongoDB, Redis

T0 = datetime(2036, 7, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def work() -> None: ...


def make_job(id: str, due: datetime | None) -> Job:
    trigger = IntervalTrigger(hours=1, start_date=T0, timezone="UTC")
    return Job(id=id, name=id, func=work, trigger=trigger, next_run_time=due, next_nominal_time=due)


@pytest.fixture(params=["memory", "sqlite", "redis", "mongodb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlockingMethods:
    if request.param == "memory":
        return MemoryJobStore()
    if request.param == "sqlite":
        return SQLAlchemyJobStore(f"sqlite:///{tmp_path / 'jobs.db'}")
    if request.param == "redis":
        server: Redis = request.getfixturevalue("redis_server")
        return RedisJobStore(url=server.url, jobs_key=str(tmp_path))
    mongodb: MongoDB = request.getfixturevalue("mongodb_server")
    return MongoDBJobStore(host=mongodb.url, database=tmp_path.name)


@pytest.fixture(params=["alone", "open"])
def used(request: pytest.FixtureRequest, store: BlockingMethods) -> Iterator[BlockingMethods]:
    scheduler = BackgroundScheduler(jobstores={"mine": store}, timezone="UTC")
    if request.param == "open":
        scheduler.start()
    yield store
    store.remove_all_jobs()
    if request.param == "open":
        scheduler.shutdown()


def test_they_do_what_they_did(used: BlockingMethods) -> None:
    for added in (make_job("paused", None), make_job("late", T0 + HOUR), make_job("early", T0)):
        used.add_job(added)

    assert [job.id for job in used.get_all_jobs()] == ["early", "late", "paused"]
    assert used.get_next_run_time() == T0
    assert [job.id for job in used.get_due_jobs(T0)] == ["early"]
    assert [job.id for job in used.get_due_jobs(T0 + HOUR)] == ["early", "late"]
    job = used.lookup_job("early")
    assert job is not None
    changed = job.copy()
    changed.name, changed.next_run_time = "changed", T0 + 2 * HOUR
    used.update_job(changed)
    found = used.lookup_job("early")
    assert found is not None
    assert (found.name, found.next_run_time, found.next_nominal_time) == ("changed", T0 + 2 * HOUR, T0 + 2 * HOUR)
    used.remove_job("late")
    assert used.lookup_job("late") is None
    with pytest.raises(ConflictingIdError):
        used.add_job(make_job("early", T0))
    with pytest.raises(JobLookupError):
        used.update_job(make_job("late", T0))
    with pytest.raises(JobLookupError):
        used.remove_job("late")
    used.remove_all_jobs()
    assert used.get_all_jobs() == []
    assert used.get_next_run_time() is None
