"""Who may look at a dashboard, and who may change anything."""

from __future__ import annotations

import logging
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.types import Message

from apsched import AsyncScheduler
from apsched.web.app import create_app
from tests.web.asking import FAR, LOCAL, client_of, press
from tests.web.calls import succeed

TOKEN = "tell-nobody"  # noqa: S105  # of these tests


@pytest.fixture(autouse=True)
async def _job(scheduler: AsyncScheduler) -> None:
    await scheduler.add_job(succeed, "cron", hour=3, id="nightly")


async def state(scheduler: AsyncScheduler) -> str:
    job = await scheduler.get_job("nightly")
    assert job is not None
    return "paused" if job.next_run_time is None else "scheduled"


# who is let in


async def test_without_a_token_or_password_only_this_machine_is_answered(scheduler: AsyncScheduler) -> None:
    async with client_of(scheduler, client=FAR) as far:
        answer = await far.get("/")
    assert answer.status_code == 403
    assert "give it token=, basic= or authorize=" in answer.text
    async with client_of(scheduler) as near:
        assert (await near.get("/")).status_code == 200


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "x-real-ip"])
async def test_what_came_by_a_proxy_of_this_machine_is_not_taken_for_local(
    scheduler: AsyncScheduler, header: str
) -> None:
    async with client_of(scheduler) as near:
        assert (await near.get("/", headers={header: "203.0.113.9"})).status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "", "[::2]"])
async def test_a_name_that_was_bent_to_this_machine_is_refused(scheduler: AsyncScheduler, host: str) -> None:
    async with client_of(scheduler) as near:
        assert (await near.get("/", headers={"host": host})).status_code == 421


@pytest.mark.parametrize("host", ["localhost:8600", "127.0.0.1", "127.9.9.9:1", "[::1]:8600", "apsched.localhost"])
async def test_the_names_of_this_machine_are_answered(scheduler: AsyncScheduler, host: str) -> None:
    async with client_of(scheduler) as near:
        assert (await near.get("/", headers={"host": host})).status_code == 200


async def test_a_token_lets_one_in_by_header_address_cookie_and_form(scheduler: AsyncScheduler) -> None:
    async with client_of(scheduler, client=FAR, host="http://jobs.example", token=TOKEN) as far:
        assert (await far.get("/")).status_code == 401
        assert (await far.get("/", headers={"authorization": "Bearer wrong"})).status_code == 401
        assert (await far.get("/", headers={"authorization": f"Bearer {TOKEN}"})).status_code == 200
        answer = await far.get(f"/runs?job=a&token={TOKEN}")
        assert (answer.status_code, answer.headers["location"]) == (303, "/runs?job=a")
        assert TOKEN not in answer.headers["set-cookie"]
        assert "HttpOnly; SameSite=Lax" in answer.headers["set-cookie"]
        assert (await far.get("/runs")).status_code == 200  # by the cookie
    async with client_of(scheduler, client=FAR, host="https://jobs.example", token=TOKEN) as far:
        asked = await far.get("/")
        assert 'name="token"' in asked.text
        form = {"csrf": far.cookies["apsched_csrf"], "token": TOKEN}
        assert (await far.post("/login", data={**form, "token": "wrong"})).status_code == 401
        answer = await far.post("/login", data=form)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert answer.headers["set-cookie"].endswith("; Secure")
        assert (await far.get("/")).status_code == 200


async def test_a_cookie_that_was_made_up_lets_nobody_in(scheduler: AsyncScheduler) -> None:
    async with client_of(scheduler, client=FAR, token=TOKEN) as far:
        far.cookies["apsched_login"] = TOKEN
        assert (await far.get("/")).status_code == 401


async def test_a_user_and_a_password_are_asked_for_and_serve(scheduler: AsyncScheduler) -> None:
    async with client_of(scheduler, client=FAR, basic=("ann", "pässword")) as far:
        answer = await far.get("/")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Basic ")
        for wrong in (("ann", "x"), ("bob", "pässword"), ("", "")):
            assert (await far.get("/", auth=wrong)).status_code == 401
        assert (await far.get("/", headers={"authorization": "Basic !!"})).status_code == 401
        assert (await far.get("/", auth=("ann", "pässword"))).status_code == 200


async def test_authorize_is_asked_for_each_look_and_each_action(scheduler: AsyncScheduler) -> None:
    asked: list[tuple[str, str]] = []

    async def authorize(request: Request, action: str) -> bool:
        asked.append((request.url.path, action))
        return action != "remove_job"

    async with client_of(scheduler, client=FAR, authorize=authorize) as far:
        assert (await press(far, "pause_job", id="nightly")).status_code == 303
        assert (await press(far, "remove_job", id="nightly")).status_code == 403
    assert asked[-2:] == [("/do/remove_job", "view"), ("/do/remove_job", "remove_job")]
    assert await state(scheduler) == "paused"


async def test_a_token_must_have_a_character(scheduler: AsyncScheduler) -> None:
    with pytest.raises(ValueError, match="at least one character"):
        create_app(scheduler, token="")
    with pytest.raises(TypeError, match="source must be a scheduler"):
        create_app("sqlite:///jobs.db")  # type: ignore[arg-type]


# who may change anything


async def test_nothing_is_changed_where_it_is_read_only(scheduler: AsyncScheduler) -> None:
    async with client_of(scheduler, read_only=True) as http:
        page = await http.get("/")
        assert "/do/" not in page.text
        assert "/job/remove" not in page.text
        assert (await http.get("/job/remove?id=nightly")).status_code == 403
        for action in ("run_job", "pause_job", "resume_job", "remove_job", "cancel_run"):
            answer = await press(http, action, id="nightly")
            assert answer.status_code == 403
            assert "read-only" in answer.text
    assert await state(scheduler) == "scheduled"
    assert await scheduler.get_runs() == []


@pytest.mark.parametrize(
    ("headers", "brings_field", "brings_cookie"),
    [
        ({}, False, True),
        ({}, True, False),
        ({}, False, False),
        ({"sec-fetch-site": "cross-site"}, True, True),
        ({"sec-fetch-site": "same-site"}, True, True),
        ({"sec-fetch-site": "none"}, True, True),
        ({"origin": "http://evil.example"}, True, True),
        ({"origin": "null"}, True, True),
    ],
)
async def test_a_form_of_another_site_changes_nothing(
    scheduler: AsyncScheduler, headers: dict[str, str], brings_field: bool, brings_cookie: bool
) -> None:
    async with client_of(scheduler) as http:
        await http.get("/")
        field = {"csrf": http.cookies["apsched_csrf"]} if brings_field else {}
        if not brings_cookie:
            http.cookies.clear()
        answer = await http.post("/do/pause_job", data={"id": "nightly", **field}, headers=headers)
    assert answer.status_code == 403
    assert await state(scheduler) == "scheduled"


@pytest.mark.parametrize("headers", [{}, {"sec-fetch-site": "same-origin"}, {"origin": "http://127.0.0.1"}])
async def test_a_form_of_the_dashboard_does_what_it_says(scheduler: AsyncScheduler, headers: dict[str, str]) -> None:
    async with client_of(scheduler) as http:
        await http.get("/")
        form = {"csrf": http.cookies["apsched_csrf"], "id": "nightly", "store": "default"}
        assert (await http.post("/do/pause_job", data=form, headers=headers)).status_code == 303
    assert await state(scheduler) == "paused"


async def test_a_get_never_changes_anything(scheduler: AsyncScheduler) -> None:
    async with client_of(scheduler) as http:
        assert (await http.get("/do/pause_job?id=nightly")).status_code == 405
    assert await state(scheduler) == "scheduled"


async def test_a_body_without_end_is_refused(scheduler: AsyncScheduler) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"a" * 65_536, "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/do/pause_job",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"cookie", b"apsched_csrf=a")],
        "client": LOCAL,
    }
    await create_app(scheduler)(scope, receive, send)
    assert sent[0]["status"] == 413


async def test_a_form_that_is_no_text_is_refused(scheduler: AsyncScheduler) -> None:
    async with client_of(scheduler) as http:
        await http.get("/")
        form = {"content-type": "application/x-www-form-urlencoded"}
        assert (await http.post("/do/pause_job", content=b"csrf=\xff&&&=", headers=form)).status_code == 403


async def test_every_action_is_told_to_the_audit_log(
    scheduler: AsyncScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="apsched.audit")
    async with client_of(scheduler, client=FAR, basic=("ann", "secret")) as far:
        far.auth = httpx.BasicAuth("ann", "secret")
        await press(far, "pause_job", id="nightly")
        await press(far, "run_job", id="n\nope")
    async with client_of(scheduler, read_only=True) as near:
        await press(near, "remove_job", id="nightly")
    told = [record.getMessage() for record in caplog.records if record.name == "apsched.audit"]
    assert told == [
        "done: pause_job 'nightly' by 'ann' from 203.0.113.9",
        "failed: run_job 'n\\nope' by 'ann' from 203.0.113.9: 'No job by the id of n\\nope was found'",
        "refused: remove_job 'nightly' for anonymous from 127.0.0.1",
    ]


# headers


@pytest.mark.parametrize("path", ["/", "/nope", "/static/app.css", "/api/nope"])
async def test_every_answer_forbids_what_pages_do_not_need(scheduler: AsyncScheduler, path: str) -> None:
    async with client_of(scheduler) as http:
        headers = (await http.get(path)).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


async def test_an_error_that_nobody_expected_tells_nothing_and_has_the_headers_too(scheduler: AsyncScheduler) -> None:
    async def authorize(request: Any, action: str) -> bool:
        raise RuntimeError("secret detail")

    async with client_of(scheduler, authorize=authorize) as http:
        http._transport.raise_app_exceptions = False  # type: ignore[attr-defined]
        answer = await http.get("/")
    assert answer.status_code == 500
    assert "secret detail" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_only_what_a_visitor_has_caused_is_told_to_be_his_mistake(scheduler: AsyncScheduler) -> None:
    async def authorize(request: Any, action: str) -> bool:
        if action != "view":
            raise ValueError("secret detail")
        return True

    async with client_of(scheduler, authorize=authorize) as http:
        http._transport.raise_app_exceptions = False  # type: ignore[attr-defined]
        answer = await press(http, "pause_job", id="nightly")
        assert (await http.get("/?after=nothing")).status_code == 422
    assert answer.status_code == 500
    assert "secret detail" not in answer.text
