"""Jobs of APScheduler 3 are added to a store, where they go on."""

from __future__ import annotations

import logging
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import anyio
import pytest

from apsched import AsyncScheduler, Job
from apsched.exceptions import JobStoreVersionError
from apsched.jobstores.base import JobFilter
from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore
from apsched.migration import import_jobs, read_jobs
from apsched.testing import VirtualClock
from tests.migration.recorded import EXPORT, NOW, fire_times, jobs_of, state_of, write_table

NEWEST = "3.11.3-protocol-5"
SOME = ("cron_minutes", "paused", "options", "missing")
RUNNABLE = ("cron_minutes", "paused", "missing")  # those whose executor every scheduler has


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A SQLite file with some jobs of APScheduler 3."""
    return write_table(tmp_path / "jobs.db", {job_id: state_of(NEWEST, job_id) for job_id in SOME})


@pytest.fixture
def runnable_url(tmp_path: Path) -> str:
    """The same without the job that needs an executor of its own."""
    return write_table(tmp_path / "jobs.db", {job_id: state_of(NEWEST, job_id) for job_id in RUNNABLE})


@pytest.fixture
def missing_module() -> Iterator[ModuleType]:
    """The module that a recorded job needs."""
    module = sys.modules["no_such_module"] = ModuleType("no_such_module")
    yield module
    del sys.modules["no_such_module"]


async def jobs_in(url: str) -> dict[str, Job]:
    async with SQLAlchemyJobStore(url) as store:
        return {job.id: job for job in await store.select(JobFilter())}


async def test_jobs_are_added_beside_the_old_table_which_stays_as_it_is(url: str, tmp_path: Path) -> None:
    before = {job.id: job for job in read_jobs(url)}

    report = await import_jobs(url, SQLAlchemyJobStore(url))

    assert [(job.id, job.fate) for job in report.jobs] == [(job_id, "added") for job_id in sorted(SOME)]
    found = await jobs_in(url)
    assert found.keys() == set(SOME)
    assert found["paused"].next_run_time is None
    assert fire_times(found["cron_minutes"], 21) == jobs_of(NEWEST)["cron_minutes"]["times"]
    assert {job.id: job for job in read_jobs(url)}.keys() == before.keys()


def test_reading_changes_no_byte(url: str, tmp_path: Path) -> None:
    before = (tmp_path / "jobs.db").read_bytes()

    read_jobs(url)

    assert (tmp_path / "jobs.db").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["jobs.db"]


async def test_importing_again_leaves_what_is_there(url: str) -> None:
    await import_jobs(url, SQLAlchemyJobStore(url))
    async with SQLAlchemyJobStore(url) as store:
        await store.remove("paused")
        await store.update("options", _renamed)

    report = await import_jobs(url, SQLAlchemyJobStore(url))

    assert {job.id: job.fate for job in report.jobs} == {
        "cron_minutes": "kept",
        "missing": "kept",
        "options": "kept",
        "paused": "added",
    }
    found = await jobs_in(url)
    assert len(found) == len(SOME)
    assert found["options"].name == "changed"


async def test_jobs_that_are_there_give_way_on_request(url: str) -> None:
    await import_jobs(url, SQLAlchemyJobStore(url))
    async with SQLAlchemyJobStore(url) as store:
        await store.update("options", _renamed)

    report = await import_jobs(url, SQLAlchemyJobStore(url), replace=True)

    assert {job.fate for job in report.jobs} == {"replaced"}
    assert (await jobs_in(url))["options"].name == "Näme"


def _renamed(job: Job) -> Job:
    job.name = "changed"
    return job


async def test_a_dry_run_tells_all_and_touches_nothing(url: str, tmp_path: Path) -> None:
    target = SQLAlchemyJobStore(f"sqlite:///{tmp_path / 'new.db'}")

    report = await import_jobs(url, target, dry_run=True)

    assert report.is_dry_run
    assert {job.fate for job in report.jobs} == {"added"}
    assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize("dry_run", [True, False])
async def test_what_cannot_be_carried_over_is_told_of_and_keeps_nothing_else_back(
    tmp_path: Path, dry_run: bool
) -> None:
    good = state_of(NEWEST, "cron_minutes")
    unstorable = state_of("3.11.3-protocol-0", "paused").replace(b"Vdumps\n", b"V\\ud800\n")  # a name that is no text
    states = {"bad": b"cos\nsystem\n(S'true'\ntR.", "good": good, "odd": unstorable, "other": good}
    url = write_table(tmp_path / "jobs.db", states)

    report = await import_jobs(url, SQLAlchemyJobStore(url), dry_run=dry_run)

    assert [job.fate for job in report.jobs] == ["refused", "added", "refused", "added"]
    bad, odd = report.of("refused")
    assert "os.system" in str(bad.problem)
    assert "name cannot be stored" in str(odd.problem)
    if not dry_run:
        assert (await jobs_in(url)).keys() == {"good", "other"}


def test_a_state_that_is_no_pickle_is_refused_alone(url: str, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as database, database:
        database.execute("UPDATE apscheduler_jobs SET job_state = 'text' WHERE id = 'paused'")

    assert {found.id: found.problem for found in read_jobs(url)} == {
        **dict.fromkeys(SOME),
        "paused": "its state must be the bytes of a pickle, got a str",
    }


async def test_a_table_of_another_name_is_imported_into_ours(tmp_path: Path) -> None:
    url = write_table(tmp_path / "jobs.db", {"job": state_of(NEWEST, "cron_list")}, "work")

    with pytest.raises(JobStoreVersionError, match="table 'work' is of APScheduler 3"):
        await import_jobs(url, SQLAlchemyJobStore(url, tablename="work"), table="work")
    report = await import_jobs(url, SQLAlchemyJobStore(url), table="work")

    assert [job.fate for job in report.jobs] == ["added"]


@pytest.mark.parametrize(
    ("source", "error", "problem"),
    [
        ("nothing.json", FileNotFoundError, "is no file"),
        (__file__, ValueError, "is no file that export_jobs has written"),
        ("sqlite:///nothing.db", FileNotFoundError, "there is no database 'nothing.db'"),
        ("nothing://at-all", ValueError, "whose driver is installed"),
        ("://", ValueError, "the source must be the URL of a database"),
    ],
)
def test_a_source_that_is_none_is_refused(source: str, error: type[Exception], problem: str) -> None:
    with pytest.raises(error, match=problem):
        read_jobs(source)


def test_a_table_that_is_missing_or_foreign_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="has no table 'other'; there are: 'apscheduler_jobs'"):
        read_jobs(url, table="other")
    with pytest.raises(ValueError, match="must have the columns id, next_run_time and job_state"):
        read_jobs(url, table="sqlite_master")


async def test_an_export_is_imported(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"

    report = await import_jobs(str(EXPORT), SQLAlchemyJobStore(url))

    assert len(report.of("added")) == len(jobs_of(NEWEST))


async def test_imported_jobs_run_at_their_times(runnable_url: str, missing_module: ModuleType) -> None:
    url = runnable_url
    missing_module.job = lambda: None  # type: ignore[attr-defined]  # as if it was there
    await import_jobs(url, SQLAlchemyJobStore(url))
    clock = VirtualClock(NOW - timedelta(seconds=1))
    due = [datetime.fromisoformat(time) for time in jobs_of(NEWEST)["cron_minutes"]["times"]]

    async with AsyncScheduler(
        jobstores={"default": SQLAlchemyJobStore(url)}, clock=clock, timezone="UTC", max_idle=600
    ) as scheduler:
        await clock.advance(minutes=12)
        runs = {job_id: await scheduler.get_runs(job_id) for job_id in RUNNABLE}

    ran = sorted(run.nominal_time.astimezone(UTC) for run in runs["cron_minutes"])
    assert ran == [time for time in due if time <= clock.now()]
    assert [run.nominal_time for run in runs["missing"]] == [NOW]
    assert runs["paused"] == []


async def test_a_job_whose_callable_is_missing_waits_in_quarantine(
    runnable_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = runnable_url
    caplog.set_level(logging.CRITICAL, "apsched")
    await import_jobs(url, SQLAlchemyJobStore(url))
    clock = VirtualClock(NOW)

    async with AsyncScheduler(
        jobstores={"default": SQLAlchemyJobStore(url)}, clock=clock, timezone="UTC", max_idle=600
    ) as scheduler:
        await clock.run_until_idle()
        job = await scheduler.get_job("missing")

    assert job is not None
    assert "no_such_module" in str(job.quarantine)


def test_reading_needs_no_event_loop_and_disturbs_none(url: str) -> None:
    async def main() -> int:
        return len(await anyio.to_thread.run_sync(read_jobs, url))

    assert anyio.run(main) == len(SOME)
