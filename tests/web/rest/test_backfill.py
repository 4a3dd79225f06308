"""The REST interface makes up for the past."""

from __future__ import annotations

import json
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from apsched import AsyncScheduler
from apsched.run import Outcome
from apsched.testing.clock import VirtualClock
from apsched.web.app import create_app
from tests.web.rest.calls import fail, wait, work
from tests.web.rest.conftest import TOKEN, Client

DAYS = {"start": "2025-12-28T00:00:00+02:00", "end": "2025-12-30T12:00:00+02:00"}
TIMES = [f"2025-12-{day}T03:00:00+02:00" for day in (28, 29, 30)]


async def backfilled(client: Client, clock: VirtualClock, job_id: str, **body: Any) -> httpx.Response:
    """Ask for a backfill, and let the clock go on until it is answered."""
    answers: list[httpx.Response] = []

    async def ask() -> None:
        answers.append(await client.ask("POST", f"/jobs/{job_id}/backfill", json=body))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        while not answers:
            await anyio.lowlevel.checkpoint()
            await clock.advance(0.125)
    return answers[0]


async def test_times_without_a_record_are_run_and_others_left_alone(
    client: Client, scheduler: AsyncScheduler, clock: VirtualClock
) -> None:
    await scheduler.add_job(work, "cron", hour=3, id="work")

    dry = (await backfilled(client, clock, "work", **DAYS, dry_run=True)).json()
    first = (await backfilled(client, clock, "work", **DAYS, max_parallel=2)).json()
    second = (await backfilled(client, clock, "work", start=DAYS["start"])).json()  # up to now

    assert (dry["nominal_times"], dry["dry_run"], dry["outcomes"]) == (TIMES, True, {})
    assert (first["nominal_times"], first["outcomes"], first["recorded"]) == (TIMES, {"succeeded": 3}, 0)
    assert (len(second["nominal_times"]), second["outcomes"], second["recorded"]) == (4, {"succeeded": 1}, 3)


async def test_runs_that_failed_are_told(client: Client, scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    await scheduler.add_job(fail, "cron", hour=3, id="fail")

    report = (await backfilled(client, clock, "fail", **DAYS)).json()

    assert report["outcomes"] == {"failed": 3}
    assert [run["nominal_time"] for run in report["failed"]] == TIMES


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, "must have start"),
        ({"start": DAYS["end"], "end": DAYS["start"]}, "must not be before its start"),
        ({"start": "2025-12-28", "end": "2031-01-01"}, "must not be after now"),
        ({**DAYS, "max_parallel": 0}, "from 1"),
    ],
)
async def test_what_cannot_be_made_up_for_is_refused(
    client: Client, scheduler: AsyncScheduler, clock: VirtualClock, body: dict[str, Any], problem: str
) -> None:
    await scheduler.add_job(work, "cron", hour=3, id="work")
    refused = await backfilled(client, clock, "work", **body)
    assert refused.status_code == 422
    assert problem in refused.json()["detail"]
    assert (await backfilled(client, clock, "nix", **DAYS)).status_code == 404


async def test_a_client_that_goes_ends_it(scheduler: AsyncScheduler) -> None:
    await scheduler.add_job(wait, "cron", hour=3, id="wait")
    gone = anyio.Event()
    sent: list[dict[str, Any]] = []
    body = [{"type": "http.request", "body": json.dumps(DAYS).encode(), "more_body": False}]

    async def receive() -> dict[str, Any]:
        if body:
            return body.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/jobs/wait/backfill",
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {TOKEN}".encode()), (b"content-type", b"application/json")],
    }
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(create_app(scheduler, token=TOKEN), scope, receive, send)
        while not await scheduler.get_runs(outcome="running"):
            await anyio.lowlevel.checkpoint()
        gone.set()

    assert sent[0]["status"] == 408
    assert [run.outcome for run in await scheduler.get_runs()] == [Outcome.RUNNING]  # the others were not queued
