"""Stores that APScheduler 3.11.3 itself has just filled are imported, and their jobs go on as they would have."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread

from apsched.cli.stores import make_store
from apsched.jobstores.base import JobFilter
from apsched.migration import import_jobs, read_jobs
from apsched.triggers.interval import IntervalTrigger
from tests.migration.peers import APS3, folder_of, run
from tests.migration.recorded import are_jittered, fire_times

PROGRAM = Path(__file__).parent / "aps3_jobs.py"
SERVERS = ("sqlite", "postgresql", "mysql", "redis", "mongodb")
DRIVERS = {"postgresql": ("psycopg", "asyncpg"), "mysql": ("pymysql", "asyncmy")}  # for SQLAlchemy: blocking, not so

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("anyio_backend", [("asyncio", {})], ids=["asyncio"])]


def fill(store: str) -> dict[str, Any]:
    """Let APScheduler 3 fill a store, and return what it would do."""
    told: dict[str, Any] = json.loads(run(PROGRAM, store, packages=(folder_of(*APS3),)))
    return told


@pytest.fixture
def database(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Give the URL of an empty database on a server."""

    def of(server: str) -> str:
        if server == "sqlite":
            return f"sqlite:///{tmp_path / 'jobs.db'}"
        url: str = request.getfixturevalue(f"{server}_database")
        return url.replace("://", f"+{DRIVERS[server][0]}://", 1) if server in DRIVERS else url

    return of


@pytest.mark.parametrize("server", SERVERS)
async def test_a_store_is_imported_where_it_is_and_its_jobs_go_on(server: str, database: Callable[[str], str]) -> None:
    url = database(server)
    told = await to_thread.run_sync(fill, url)
    table = "work" if server == "mongodb" else None  # theirs is in the very collection that ours would take

    report = await import_jobs(url, make_store(url, table))

    assert {job.id: job.problem for job in report.jobs if job.fate != "added"} == {}
    async with make_store(url, table) as store:
        jobs = await store.select(JobFilter())
    assert {job.id for job in jobs} == told.keys()
    for job in jobs:
        recorded = told[job.id]["times"]
        times = fire_times(job, len(recorded))
        assert times[:1] == recorded[:1]
        if not job.trigger.jitter:
            assert times == recorded
        elif not isinstance(job.trigger, IntervalTrigger):
            assert are_jittered(times[1:], recorded[1:], job.trigger.jitter)
    assert {job.fate for job in (await import_jobs(url, make_store(url, table))).jobs} == {"kept"}
    assert {job.id for job in await to_thread.run_sync(read_jobs, url)} == told.keys()


@pytest.mark.parametrize("server", DRIVERS)
async def test_drivers_that_do_not_block_read_the_same(server: str, database: Callable[[str], str]) -> None:
    url = database(server)
    told = await to_thread.run_sync(fill, url)

    blocking, other = DRIVERS[server]
    for driver in (f"+{other}", "+mysqldb" if server == "mysql" else "+psycopg2", ""):  # one that may be missing, none
        found = await to_thread.run_sync(read_jobs, url.replace(f"+{blocking}", driver))
        assert {job.id for job in found if job.problem is None} == told.keys()


async def test_an_export_is_read(tmp_path: Path) -> None:
    path = tmp_path / "jobs.json"
    told = await to_thread.run_sync(fill, str(path))

    found = await to_thread.run_sync(read_jobs, str(path))

    assert {job.id for job in found if job.problem is None} == told.keys()
