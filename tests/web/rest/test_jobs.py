"""The REST interface: jobs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apsched import AsyncScheduler
from apsched.testing.clock import VirtualClock
from apsched.web.app import create_app
from tests.web.rest.calls import work
from tests.web.rest.conftest import TOKEN, Client, client_of

WORK = "tests.web.rest.calls:work"


async def test_a_job_is_added_shown_changed_and_removed(client: Client) -> None:
    body = {"func": WORK, "trigger": "0 3 * * mon-fri", "id": "nightly", "args": [1], "tags": {"team": "billing"}}

    added = await client.ask("POST", "/jobs", json=body)
    changed = await client.ask("PATCH", "/jobs/nightly", json={"trigger": "every 5 minutes", "timeout": 2.5})
    shown = await client.ask("GET", "/jobs/nightly")
    removed = await client.ask("DELETE", "/jobs/nightly")

    assert (added.status_code, added.headers["location"]) == (201, "/api/jobs/nightly")
    assert added.json()["trigger_words"] == "at 03:00 on Monday to Friday"
    assert added.json()["next_run_time"] == "2026-01-01T03:00:00+02:00"
    assert added.json()["tags"] == {"team": "billing"}
    assert (changed.json()["trigger_words"], changed.json()["timeout"]) == ("every 5 minutes", 2.5)
    assert changed.json()["args"] == [1]
    assert shown.json() == changed.json()
    assert (removed.status_code, removed.content) == (204, b"")
    assert (await client.ask("GET", "/jobs/nightly")).status_code == 404


@pytest.mark.parametrize("job_id", ["a/b", "/", "a b?c#d%2F", "run", "x/pause", "ä@ö:ü", "'<script>"])
async def test_a_job_of_any_id_is_reached_by_the_location_that_is_answered(client: Client, job_id: str) -> None:
    added = await client.ask("POST", "/jobs", json={"func": WORK, "trigger": "@daily", "id": job_id})
    location = added.headers["location"].removeprefix("/api")

    assert (await client.ask("GET", location)).json()["id"] == job_id
    assert (await client.ask("POST", f"{location}/pause")).json()["state"] == "paused"
    assert (await client.ask("POST", f"{location}/resume")).json()["state"] == "scheduled"
    ran = await client.ask("POST", f"{location}/run")
    assert (await client.ask("GET", ran.headers["location"].removeprefix("/api"))).json()["job_id"] == job_id
    assert (await client.ask("DELETE", location)).status_code == 204


@pytest.mark.parametrize(
    ("trigger", "words"),
    [
        ("every 90 minutes", "every 1 hour and 30 minutes"),
        ({"type": "interval", "settings": {"hours": 2}}, "every 2 hours"),
        ({"type": "cron", "settings": {"hour": 3}}, "at 03:00 every day"),
        ({"type": "date", "settings": {"run_date": "2026-02-01"}}, "once, at 2026-02-01 00:00:00"),
        (
            {"type": "or", "settings": {"triggers": ["0 3 * * *", {"type": "cron", "settings": {"hour": 5}}]}},
            "at 03:00 every day; and at 05:00 every day",
        ),
    ],
)
async def test_a_trigger_is_a_text_or_a_kind_with_its_settings(client: Client, trigger: Any, words: str) -> None:
    added = await client.ask("POST", "/jobs", json={"func": WORK, "trigger": trigger})

    assert added.json()["trigger_words"] == words


async def test_without_a_trigger_a_job_runs_now(client: Client, clock: VirtualClock) -> None:
    await client.ask("POST", "/jobs", json={"func": WORK, "id": "now", "kwargs": {"a": None}})
    await clock.run_until_idle()

    (run,) = (await client.ask("GET", "/runs?job=now")).json()["runs"]

    assert (run["outcome"], run["retval"], run["is_manual"]) == ("succeeded", [{"a": None}], False)


async def test_jobs_are_listed_page_by_page_and_filtered(client: Client, scheduler: AsyncScheduler) -> None:
    for number in range(5):
        tags = {"parity": "even" if number % 2 == 0 else "odd"}
        await scheduler.add_job(work, "cron", hour=number, id=f"job-{number}", tags=tags)
    await scheduler.pause_job("job-4")

    async def ids(query: str) -> list[str]:
        found, after = [], ""
        while True:
            page = (await client.ask("GET", f"/jobs?{query}{after}")).json()
            found += [job["id"] for job in page["jobs"]]
            if page["next"] is None:
                return found
            after = f"&after={page['next']}"

    assert await ids("limit=2") == ["job-2", "job-3", "job-0", "job-1", "job-4"]
    assert await ids("limit=2&tag=parity=even") == ["job-2", "job-0", "job-4"]
    assert await ids("state=paused") == ["job-4"]
    assert await ids("text=B-3") == ["job-3"]
    assert await ids("tag=parity=even&tag=parity=odd") == ["job-3", "job-1"]


async def test_a_job_runs_now_with_other_arguments_and_its_schedule_stays(client: Client, clock: VirtualClock) -> None:
    before = (await client.ask("POST", "/jobs", json={"func": WORK, "trigger": "@daily", "id": "job"})).json()

    ran = await client.ask("POST", "/jobs/job/run", json={"args": [7], "kwargs": {"x": 1}})
    await clock.run_until_idle()

    assert (ran.status_code, ran.json()["outcome"]) == (202, "pending")
    run = (await client.ask("GET", ran.headers["location"].removeprefix("/api"))).json()
    assert (run["outcome"], run["retval"], run["is_manual"]) == ("succeeded", [7, {"x": 1}], True)
    assert (await client.ask("GET", "/jobs/job")).json() == before


async def test_an_id_that_is_taken_is_a_conflict_unless_the_request_says_what_happens(client: Client) -> None:
    body = {"func": WORK, "trigger": "@daily", "id": "job"}
    await client.ask("POST", "/jobs", json=body)
    await client.ask("POST", "/jobs/job/pause")

    refused = await client.ask("POST", "/jobs", json=body)
    replaced = await client.ask("POST", "/jobs", json={**body, "name": "new", "on_conflict": "replace"})
    reset = await client.ask("POST", "/jobs", json={**body, "on_conflict": "reset"})

    assert refused.status_code == 409
    assert refused.json()["detail"] == (
        "There is a job 'job' already; choose another id, or say by on_conflict what happens."
    )
    assert (replaced.json()["name"], replaced.json()["state"]) == ("new", "paused")
    assert reset.json()["state"] == "scheduled"


async def test_a_job_that_has_no_time_to_come_is_not_resumed(client: Client, scheduler: AsyncScheduler) -> None:
    await scheduler.add_job(work, "interval", hours=1, end_date="2025-06-01", next_run_time=None, id="over")

    answer = await client.ask("POST", "/jobs/over/resume")

    assert answer.status_code == 409
    assert answer.json()["detail"] == "job 'over' had no time to come, and was removed."


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({}, "the body must have func."),
        ([], "the body must be an object, got []."),
        ({"func": 5}, "func must be text, got 5."),
        ({"func": WORK, "trigr": ""}, 'the body has no "trigr"; there are: func, trigger, id'),
        ({"func": "os"}, "func must be a callable or a text 'package.module:qualified.name', got 'os'"),
        ({"func": "os:nix"}, "the reference 'os:nix' leads to nothing: 'os' has no 'nix'"),
        ({"func": WORK, "trigger": "soon"}, "a trigger must be a text such as '0 3 * * *' or 'every 5 minutes'"),
        ({"func": WORK, "trigger": "61 * * * *"}, "61"),
        ({"func": WORK, "trigger": {"type": "sun"}}, "no trigger has the alias 'sun'; there are: after, and, calendar"),
        (
            {"func": WORK, "trigger": {"type": "cron", "settings": {"hours": 3}}},
            "'cron' has no argument 'hours'",
        ),
        ({"func": WORK, "trigger": {"type": "and", "settings": {"triggers": [5]}}}, "5"),
        (
            {"func": WORK, "trigger": {"type": "interval", "settings": {"hours": 1, "end_date": "2025-01-01"}}},
            "the trigger must have a time to come, got interval",
        ),
        ({"func": WORK, "executor": "nix"}, "No such executor for job 'work': nix; there are: asyncio, default"),
        ({"func": WORK, "max_instances": 0}, "max_instances must be a whole number from 1, got 0."),
        ({"func": WORK, "max_instances": 1.5}, "max_instances must be a whole number from 1, got 1.5."),
        ({"func": WORK, "coalesce": 1}, "coalesce must be true or false, got 1."),
        ({"func": WORK, "timeout": -1}, "timeout must be None or more than 0 seconds, got -1"),
        (
            {"func": WORK, "overlap": "maybe"},
            "overlap must be one of skip, queue_one, queue_all, ",
        ),
        ({"func": WORK, "tags": {"a": 1}}, "tags.a must be text, got 1."),
        ({"func": WORK, "next_run_time": "noon"}, "next_run_time must be text of the form 'YYYY-MM-DD'"),
        ({"func": WORK, "id": ""}, "id must be a text of 1 to 191 characters, got 0 characters: ''"),
        ({"func": WORK, "id": "\ud800"}, 'id must be text that UTF-8 can write, got "\\ud800".'),
        ({"func": WORK, "id": "a\0b"}, 'id must be text without the character NUL, got "a\\u0000b".'),
        ({"func": WORK, "store": "nix"}, "No such job store: nix; there are: default"),
        ({"func": "tests.web.rest.calls:fail", "args": [1]}, "the arguments for fail must fit its signature"),
    ],
)
async def test_a_job_that_cannot_be_is_refused_in_one_sentence(client: Client, body: Any, detail: str) -> None:
    content, headers = json.dumps(body), {"content-type": "application/json"}

    answer = await client.ask("POST", "/jobs", content=content, headers=headers)

    assert answer.status_code == 422
    assert detail in answer.json()["detail"]
    assert (await client.ask("GET", "/jobs")).json()["jobs"] == []


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("limit=0", "limit must be a whole number from 1 to 1000, got 0."),
        ("limit=ten", 'limit must be a whole number from 1 to 1000, got "ten".'),
        ("limit=1&limit=2", "limit must be given once, got 2 of it."),
        ("limits=1", 'the query has no "limits"; there are: text, state, tag, store, limit, after.'),
        ("state=tired", 'state must be one of scheduled, paused, quarantined, got "tired".'),
        ("tag=team", "tag must be of the form name=value, got 'team'."),
        ("after=nix", "'nix' is no place at which a page of jobs begins; begin with the first page"),
        ("after=default:nix", "job 'nix', after which the page begins, is gone; begin with the first page"),
        ("store=nix", "No such job store: nix; there are: default"),
        ("text=%00", 'text must be text without the character NUL, got "\\u0000".'),
    ],
)
async def test_a_wrong_query_is_refused_in_one_sentence(client: Client, query: str, detail: str) -> None:
    answer = await client.ask("GET", f"/jobs?{query}")

    assert (answer.status_code, answer.json()["detail"]) == (422, detail)


@pytest.mark.parametrize(
    ("content", "media", "status"),
    [
        (b"{", "application/json", 422),
        (b"NaN", "application/json", 422),
        (b"\xff", "application/json", 422),
        (b"[" * 100_000, "application/json", 422),
        (b"{}", "text/xml", 415),
        (b'{"func": "os:getpid"}', "application/x-www-form-urlencoded", 415),
        (b" " * (2 << 20), "application/json", 413),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # httpx leaves what it sends half-way
async def test_a_body_that_is_no_json_is_refused(client: Client, content: bytes, media: str, status: int) -> None:
    answer = await client.http.post("/api/jobs", content=content, headers={"content-type": media})

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_job_is_changed_by_what_is_given_alone(client: Client) -> None:
    await client.ask("POST", "/jobs", json={"func": WORK, "trigger": "@daily", "id": "job", "timeout": 5})

    for change in (
        {"name": "new"},
        {"priority": -10, "requires": ["gpu", "x86"]},
        {"timeout": None},
        {"max_instances": 3, "overlap": "queue_all"},
        {"next_run_time": "2026-01-01T12:00:00+02:00"},
        {"args": [1, {"a": [None]}], "kwargs": {"b": 2}},
        {"misfire_grace_time": 1.5, "keep_runs": 0, "on_crash": "abandon", "coalesce": False, "tags": {}},
    ):
        before = (await client.ask("PATCH", "/jobs/job", json={})).json()
        assert (await client.ask("PATCH", "/jobs/job", json=change)).json() == {**before, **change}
    assert (await client.ask("PATCH", "/jobs/job", json={"next_run_time": None})).json()["state"] == "paused"
    assert (await client.ask("PATCH", "/jobs/nix", json={"name": "new"})).status_code == 404
    refused = await client.ask("PATCH", "/jobs/job", json={"id": "other"})
    assert refused.json()["detail"].startswith('the body has no "id"; there are: func, trigger, name')


async def test_where_nobody_is_asked_who_he_is_nobody_names_a_callable(scheduler: AsyncScheduler) -> None:
    await scheduler.add_job(work, "cron", hour=3, id="job")

    async with client_of(create_app(scheduler), token=None) as client:
        added = await client.ask("POST", "/jobs", json={"func": WORK})
        changed = await client.ask("PATCH", "/jobs/job", json={"func": "os:getpid"})
        renamed = await client.ask("PATCH", "/jobs/job", json={"name": "new"})

    assert [added.status_code, changed.status_code, renamed.status_code] == [403, 403, 200]
    assert added.json()["detail"].startswith("Without a token or a password nobody may name a callable")


async def test_nothing_is_changed_read_only(scheduler: AsyncScheduler) -> None:
    await scheduler.add_job(work, "cron", hour=3, id="job")

    async with client_of(create_app(scheduler, token=TOKEN, read_only=True)) as client:
        answers = [
            await client.ask("POST", "/jobs", json={"func": WORK}),
            await client.ask("PATCH", "/jobs/job", json={"name": "new"}),
            await client.ask("DELETE", "/jobs/job"),
            *[await client.ask("POST", f"/jobs/job/{verb}") for verb in ("pause", "resume", "run")],
        ]

        assert [answer.status_code for answer in answers] == [403] * 6
        assert (await client.ask("GET", "/jobs/job")).json()["name"] == "work"


async def test_without_the_token_nothing_is_answered(scheduler: AsyncScheduler) -> None:
    async with client_of(create_app(scheduler, token=TOKEN)) as client:
        client.http.headers["authorization"] = "Bearer wrong"

        answer = await client.ask("GET", "/jobs")

    assert answer.status_code == 401
    assert answer.json() == {
        "type": "about:blank",
        "title": "Who are you?",
        "status": 401,
        "detail": "This dashboard asks who you are.",
    }
