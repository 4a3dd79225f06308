"""The REST interface: runs, what is to come, triggers, nodes and health."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from apsched import AsyncScheduler
from apsched.jobstores.memory import MemoryJobStore
from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore
from apsched.testing.clock import VirtualClock
from apsched.web.app import create_app
from apsched.web.backend import open_store
from tests.web.rest.calls import fail, wait, work
from tests.web.rest.conftest import TOKEN, Client, client_of


async def test_runs_are_listed_page_by_page_and_filtered(
    client: Client, scheduler: AsyncScheduler, clock: VirtualClock
) -> None:
    await scheduler.add_job(work, "interval", hours=1, id="work")
    await scheduler.add_job(fail, "interval", hours=2, id="fail")
    await clock.advance(4 * 3600)

    first = (await client.ask("GET", "/runs?limit=4")).json()
    second = (await client.ask("GET", "/runs", params={"limit": 4, "after": first["next"]})).json()
    failed = (await client.ask("GET", "/runs?outcome=failed&outcome=missed&job=fail")).json()["runs"]
    between = {"since": "2026-01-01T01:00:00Z", "until": "2026-01-01T02:00:00+00:00", "job": "work"}

    assert [run["job_id"] for run in first["runs"] + second["runs"]] == ["work", "fail", "work", "work", "fail", "work"]
    assert second["next"] is None
    assert [run["job_id"] for run in failed] == ["fail", "fail"]
    assert failed[0]["error"].endswith("OSError: the disk is full\n")
    assert len((await client.ask("GET", "/runs", params=between)).json()["runs"]) == 2
    assert (await client.ask("GET", "/runs?node=nix")).json() == {"runs": [], "next": None}


async def test_what_json_has_no_form_for_is_shown_as_text(
    client: Client, scheduler: AsyncScheduler, clock: VirtualClock
) -> None:
    await scheduler.add_job(work, "interval", hours=1, id="work", args=[float("nan"), {1, 2}, b"x", "\ud800"])
    await clock.advance(3600)

    (run,) = (await client.ask("GET", "/runs")).json()["runs"]
    (job,) = (await client.ask("GET", "/jobs")).json()["jobs"]

    assert job["args"] == ["nan", "{1, 2}", "b'x'", "\ud800"]
    assert run["retval"] == "[nan, {1, 2}, b'x', '\\ud800', {}]"


async def test_earlier_attempts_and_what_a_run_tells_of_itself_are_shown(client: Client, clock: VirtualClock) -> None:
    retry = {"max_attempts": 2, "backoff": 60, "on": ["builtins:OSError"]}
    added = await client.ask(
        "POST", "/jobs", json={"func": "tests.web.rest.calls:half", "trigger": "@daily", "id": "half", "retry": retry}
    )
    await client.ask("POST", "/jobs/half/run")
    await clock.advance(61)

    (run,) = (await client.ask("GET", "/runs?job=half")).json()["runs"]

    assert (added.json()["retry"]["max_attempts"], added.json()["retry"]["backoff"]) == (2, 60)
    assert (run["outcome"], run["attempt"], run["progress"], run["message"]) == ("failed", 2, 0.5, "half of it")
    (attempt,) = run["attempts"]
    assert (attempt["number"], attempt["outcome"]) == (1, "failed")
    assert attempt["error"].endswith("OSError: the disk is full\n")


async def test_a_job_that_follows_another_one_has_no_time_of_its_own(client: Client, clock: VirtualClock) -> None:
    trigger = {"type": "after", "settings": {"job": "load"}}
    work = "tests.web.rest.calls:work"
    await client.ask("POST", "/jobs", json={"func": work, "trigger": "@daily", "id": "load"})
    added = (await client.ask("POST", "/jobs", json={"func": work, "trigger": trigger, "id": "report"})).json()
    await client.ask("POST", "/jobs/load/run")
    await clock.run_until_idle()

    assert (added["next_run_time"], added["follows"], added["state"]) == (None, "load", "scheduled")
    assert len((await client.ask("GET", "/runs?job=report")).json()["runs"]) == 1


async def test_a_run_is_cancelled_once(client: Client, scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    await scheduler.add_job(wait, "cron", hour=5, id="wait")
    run_id = (await client.ask("POST", "/jobs/wait/run")).json()["id"]

    cancelled = await client.ask("POST", f"/runs/{run_id}/cancel")
    await clock.run_until_idle()
    again = await client.ask("POST", f"/runs/{run_id}/cancel")

    assert cancelled.status_code == 200
    assert (await client.ask("GET", f"/runs/{run_id}")).json()["outcome"] == "cancelled"
    assert again.status_code == 409
    assert "cannot be cancelled: it has ended" in again.json()["detail"]
    assert (await client.ask("POST", "/runs/nix/cancel")).status_code == 404
    assert (await client.ask("GET", "/runs/wait@2025-01-01T00:00:00Z")).status_code == 404


async def test_times_to_come_are_told_job_by_job(client: Client, scheduler: AsyncScheduler) -> None:
    await scheduler.add_job(work, "cron", hour=5, id="late", name="Late one")
    await scheduler.add_job(work, "interval", hours=1, id="often")
    await scheduler.add_job(work, "cron", hour=4, id="paused", next_run_time=None)

    found = (await client.ask("GET", "/upcoming?times=3")).json()
    longer = (await client.ask("GET", "/upcoming", params={"job": "late", "until": "2026-01-03T00:00:00Z"})).json()

    assert found["until"] == "2026-01-02T00:00:00+00:00"
    assert [(job["job_id"], len(job["times"]), job["has_more"]) for job in found["jobs"]] == [
        ("often", 3, True),
        ("late", 1, False),
    ]
    assert longer["jobs"] == [
        {
            "job_id": "late",
            "store": "default",
            "name": "Late one",
            "times": ["2026-01-01T05:00:00+02:00", "2026-01-02T05:00:00+02:00"],
            "has_more": False,
        }
    ]
    assert (await client.ask("GET", "/upcoming?job=nix")).status_code == 404
    for until in ("2025-12-31", "2028-01-01"):
        refused = await client.ask("GET", f"/upcoming?until={until}")
        assert refused.json()["detail"].startswith("until must be at most 366 days from now on")


async def test_a_nominal_time_is_explained(client: Client, scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    await scheduler.add_job(fail, "cron", hour=5, id="nightly")
    await clock.advance(4 * 3600)

    found = await client.ask("GET", "/explanation", params={"job": "nightly", "at": "2026-01-01T05:00:00", "count": 1})

    assert found.json()["next_times"] == ["2026-01-02T05:00:00+02:00"]
    assert [run["outcome"] for run in found.json()["runs"]] == ["failed"]
    assert "2026-01-01 05:00:00+02:00: failed" in found.json()["text"]
    assert (await client.ask("GET", "/explanation?job=nix")).json()["text"].startswith("There is no job 'nix'")


async def test_a_trigger_is_said_in_words_with_its_times(client: Client) -> None:
    asked = {"text": "30 3 * * *", "timezone": "Europe/Berlin", "begin": "2026-03-28T12:00:00", "count": 2}

    assert (await client.ask("GET", "/trigger", params=asked)).json() == {
        "schedule": "30 3 * * *",
        "words": "at 03:30 every day",
        "trigger": "cron[month='*', day='*', day_of_week='*', hour='3', minute='30']",
        "timezone": "Europe/Berlin",
        "next_times": ["2026-03-29T03:30:00+02:00", "2026-03-30T03:30:00+02:00"],
        "remarks": [],
    }
    for text, problem in (("61 * * * *", "61"), ("now and then", "a trigger must be a text such as")):
        refused = await client.ask("GET", "/trigger", params={"text": text})
        assert (refused.status_code, problem in refused.json()["detail"]) == (422, True)
    refused = await client.ask("GET", "/trigger", params={"text": "@daily", "timezone": "Europe/Brelin"})
    assert "the nearest names are 'Europe/Berlin'" in refused.json()["detail"]
    assert (await client.ask("GET", "/trigger")).json()["detail"] == "the query must have text."


async def test_nodes_and_health_are_told(client: Client, scheduler: AsyncScheduler) -> None:
    (node,) = (await client.ask("GET", "/nodes")).json()["nodes"]
    health = (await client.ask("GET", "/health")).json()

    assert (node["id"], node["running"]) == (scheduler.node, 0)
    assert (health["status"], health["node"], list(health["jobstores"])) == ("ok", scheduler.node, ["default"])


async def test_several_stores_are_told_apart(clock: VirtualClock) -> None:
    stores = {"default": MemoryJobStore(), "other": MemoryJobStore()}
    async with (
        AsyncScheduler(clock=clock, timezone="UTC", jobstores=stores) as scheduler,
        client_of(create_app(scheduler, token=TOKEN)) as client,
    ):
        for store in stores:
            body = {"func": "tests.web.rest.calls:work", "trigger": "@hourly", "id": "job", "store": store}
            await client.ask("POST", "/jobs", json=body)
        await client.ask("POST", "/jobs/job/pause?store=other")
        ran = await client.ask("POST", "/jobs/job/run?store=other")

        jobs = (await client.ask("GET", "/jobs")).json()["jobs"]
        assert [(job["store"], job["state"]) for job in jobs] == [("default", "scheduled"), ("other", "paused")]
        assert ran.json()["store"] == "other"
        assert len((await client.ask("GET", "/jobs?store=other")).json()["jobs"]) == 1
        assert (await client.ask("GET", "/jobs/job?store=nix")).json()["detail"] == (
            "No such job store: nix; there are: default, other"
        )


async def test_a_store_is_served_without_a_scheduler(tmp_path: Path, clock: VirtualClock) -> None:
    store = SQLAlchemyJobStore(f"sqlite:///{tmp_path}/jobs.db")
    async with (
        open_store(store, clock=clock) as backend,
        client_of(create_app(backend, token=TOKEN)) as client,
    ):
        body = {"func": "tests.web.rest.calls:work", "trigger": "0 3 * * *", "id": "job"}
        assert (await client.ask("POST", "/jobs", json=body)).status_code == 201
        assert (await client.ask("PATCH", "/jobs/job", json={"name": "new"})).json()["name"] == "new"
        assert (await client.ask("POST", "/jobs/job/pause")).json()["state"] == "paused"
        assert (await client.ask("POST", "/jobs/job/resume")).json()["state"] == "scheduled"
        run_id = (await client.ask("POST", "/jobs/job/run")).json()["id"]
        assert [run["id"] for run in (await client.ask("GET", "/runs")).json()["runs"]] == [run_id]
        assert (await client.ask("POST", f"/runs/{run_id}/cancel")).json()["outcome"] == "cancelled"
        assert len((await client.ask("GET", "/upcoming")).json()["jobs"]) == 1
        assert (await client.ask("GET", "/nodes")).json() == {"nodes": []}
        assert (await client.ask("GET", "/health")).json()["detail"] == (
            "This process runs no scheduler; its job store is opened alone."
        )
        assert (await client.ask("DELETE", "/jobs/job")).status_code == 204


async def test_it_is_served_where_the_dashboard_is_mounted(scheduler: AsyncScheduler) -> None:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    app = Starlette(routes=[Mount("/scheduler", create_app(scheduler, token=TOKEN))])
    headers: dict[str, Any] = {"authorization": f"Bearer {TOKEN}"}
    async with client_of(app, root="/scheduler") as client:
        added = await client.http.post(
            "/api/jobs", json={"func": "tests.web.rest.calls:work", "id": "job", "trigger": "@daily"}, headers=headers
        )

        assert added.headers["location"] == "/scheduler/api/jobs/job"
        assert client.document["servers"] == [{"url": "/scheduler/api"}]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS"])
async def test_another_method_is_refused_and_the_answer_names_those_there_are(client: Client, method: str) -> None:
    answer = await client.http.request(method, "/api/jobs")

    assert answer.status_code == 405
    assert sorted(answer.headers["allow"].split(", ")) == ["GET", "HEAD", "POST"]
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_path_that_is_not_there_is_a_problem_document_too(client: Client) -> None:
    answer = await client.http.get("/api/nix")

    assert (answer.status_code, answer.json()["status"]) == (404, 404)


async def test_an_error_inside_is_logged_and_not_told(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("apsched.web.backend.Backend.nodes", broken)

    answer = await client.http.get("/api/nodes")

    assert answer.status_code == 500
    assert answer.json()["detail"] == "This went wrong inside; the log of the process says how."
    assert "ZeroDivisionError: secret" in caplog.text
