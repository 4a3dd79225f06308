"""The REST interface: export and import."""

from __future__ import annotations

from pathlib import Path

from apsched import AsyncScheduler
from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore
from apsched.testing.clock import VirtualClock
from apsched.web.app import create_app
from apsched.web.backend import open_store
from tests.web.rest.calls import work
from tests.web.rest.conftest import TOKEN, Client, client_of


async def test_what_is_exported_here_is_imported_there(
    client: Client, scheduler: AsyncScheduler, clock: VirtualClock, tmp_path: Path
) -> None:
    await scheduler.add_job(work, "cron", hour=3, id="nightly", args=[1])
    await scheduler.add_job(work, "interval", hours=1, id="paused", next_run_time=None)
    before = (await client.ask("GET", "/jobs")).json()["jobs"]
    file = (await client.ask("GET", "/export")).json()
    store = SQLAlchemyJobStore(f"sqlite:///{tmp_path}/jobs.db")

    async with open_store(store, clock=clock) as backend, client_of(create_app(backend, token=TOKEN)) as other:
        imported = await other.ask("POST", "/import", json=file)
        again = await other.ask("POST", "/import", json=file)
        reset = await other.ask("POST", "/import?on_conflict=reset", json=file)
        after = (await other.ask("GET", "/jobs")).json()["jobs"]

    assert [job["id"] for job in imported.json()["jobs"]] == ["nightly", "paused"]
    assert after == before
    assert (again.status_code, reset.status_code) == (409, 200)
    assert again.json()["detail"] == "There is a job 'nightly' already, so none is imported."


async def test_what_was_not_exported_is_refused_and_nothing_is_imported(client: Client) -> None:
    good = {"id": "a", "func": "tests.web.rest.calls:work", "trigger": {"type": "date"}}
    for body, detail in (
        ({}, "the body must have version, jobs."),
        ({"version": 99, "jobs": []}, "the file is of version 99"),
        ({"version": 2, "jobs": [good]}, "the file, job 1 of 1 ('a') cannot be imported"),
    ):
        refused = await client.ask("POST", "/import", json=body)
        assert refused.status_code == 422
        assert detail in refused.json()["detail"]
    assert (await client.ask("GET", "/jobs")).json()["jobs"] == []


async def test_a_job_that_has_no_name_to_write_is_named(client: Client, scheduler: AsyncScheduler) -> None:
    await scheduler.add_job(lambda: None, "cron", hour=3, id="nameless")

    answer = await client.ask("GET", "/export")

    assert answer.status_code == 409
    assert "1 of 1 jobs cannot be exported" in answer.json()["detail"]
    assert "job 'nameless'" in answer.json()["detail"]


async def test_read_only_nothing_is_imported_but_exported(scheduler: AsyncScheduler) -> None:
    async with client_of(create_app(scheduler, token=TOKEN, read_only=True)) as client:
        assert (await client.ask("GET", "/export")).json() == {"version": 2, "jobs": []}
        assert (await client.ask("POST", "/import", json={"version": 2, "jobs": []})).status_code == 403
