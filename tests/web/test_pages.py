"""What the pages show, and what their buttons do."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from litestar import Litestar, asgi
from starlette.applications import Starlette
from starlette.routing import Mount

from apsched import AsyncScheduler
from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore
from apsched.retry import Retry
from apsched.run import Attempt, Outcome, Report
from apsched.triggers.after import After
from apsched.triggers.base import BaseTrigger
from apsched.web.app import create_app
from tests.web.asking import EVIL, LOCAL, press, record
from tests.web.calls import succeed

MINUTE = timedelta(minutes=1)


async def text(http: httpx.AsyncClient, path: str, status: int = 200) -> str:
    answer = await http.get(path)
    assert answer.status_code == status, answer.text
    return answer.text


def cells(page: str, name: str) -> list[str]:
    """Return the words of the cells of that class, row by row."""
    found = re.findall(rf'<td class="{name}[ "].*?</td>', page, re.DOTALL)
    return [" ".join(html.unescape(re.sub(r"<[^>]*>", " ", cell)).split()) for cell in found]


async def test_the_first_page_says_what_runs_when_and_how_it_went(
    scheduler: AsyncScheduler, http: httpx.AsyncClient
) -> None:
    await scheduler.add_job(succeed, "cron", hour=11, id="reports", tags={"team": "sales"})
    started = datetime(2026, 11, 21, 9, 31, tzinfo=UTC)
    await record(
        scheduler, "reports", Outcome.SUCCEEDED, 10 * MINUTE, started_at=started, finished_at=started + 2 * MINUTE
    )
    await record(scheduler, "reports", Outcome.FAILED, 70 * MINUTE, error="Traceback ...\nKeyError: 'total'\n")
    page = await text(http, "/")
    assert cells(page, "c-when") == ["at 11:00 every day cron[hour='11']"]
    assert cells(page, "c-last") == ["succeeded 2 min"]
    assert cells(page, "c-next") == ["in 19 min 11:00"]
    assert 'aria-label="the last 2 runs: 1 succeeded, 1 failed"' in page
    assert "team=sales" in page
    assert "KeyError: &#39;total&#39;" in page
    assert "Europe/Berlin (CET)" in page


async def test_an_empty_store_says_how_a_job_gets_there(http: httpx.AsyncClient) -> None:
    assert "There are no jobs yet" in await text(http, "/")


async def test_a_search_finds_ids_names_callables_and_tags(scheduler: AsyncScheduler, http: httpx.AsyncClient) -> None:
    await scheduler.add_job(succeed, "cron", hour=1, id="alpha", name="Close the books")
    await scheduler.add_job("os:getcwd", "cron", hour=2, id="beta", tags={"team": "ops"})
    await scheduler.pause_job("beta")
    for query, found in {
        "q=ALPHA": ["alpha"],
        "q=books": ["alpha"],
        "q=posix:getcwd": ["beta"],
        "q=team%3Dops": ["beta"],
        "tag=team%3Dops": ["beta"],
        "state=paused": ["beta"],
        "state=scheduled": ["alpha"],
        "state=quarantined": [],
        "q=a&state=paused": ["beta"],
        "q=nothing": [],
    }.items():
        page = await text(http, f"/?{query}")
        assert [cell.split()[0] for cell in cells(page, "c-job")] == found, query


async def test_jobs_come_page_by_page(scheduler: AsyncScheduler, http: httpx.AsyncClient) -> None:
    await scheduler.add_jobs({"func": succeed, "trigger": "cron", "hour": 1, "id": f"job-{n:03}"} for n in range(60))
    seen: list[str] = []
    path: str | None = "/"
    while path is not None:
        page = await text(http, path)
        seen += [cell.split()[0] for cell in cells(page, "c-job")]
        onward = re.search(r'rel="next" href="([^"]*)"', page)
        path = onward[1].replace("&amp;", "&") if onward else None
    assert seen == [f"job-{n:03}" for n in range(60)]
    assert await text(http, "/?after=default:gone", 422)
    assert await text(http, "/?after=gone", 422)


async def test_the_buttons_do_what_they_say(scheduler: AsyncScheduler, http: httpx.AsyncClient) -> None:
    await scheduler.add_job(succeed, "cron", hour=1, id="a/b ?#%&")
    wanted = {"id": "a/b ?#%&", "store": "default"}
    answer = await press(http, "pause_job", **wanted)
    assert answer.headers["location"] == "/job?id=a%2Fb+%3F%23%25%26&store=default"
    assert "paused" in await text(http, answer.headers["location"])
    answer = await press(http, "resume_job", **wanted)
    assert "scheduled" in await text(http, answer.headers["location"])
    answer = await press(http, "run_job", **wanted)
    assert "started by hand" in await text(http, answer.headers["location"])
    (run,) = await scheduler.get_runs()
    answer = await press(http, "cancel_run", id=run.id, store="default")
    assert "cancelled by hand" in await text(http, answer.headers["location"])
    assert (await press(http, "cancel_run", id=run.id)).status_code == 404  # it has ended
    assert "Pending runs are cancelled" in await text(http, "/job/remove?id=a%2Fb+%3F%23%25%26")
    answer = await press(http, "remove_job", **wanted)
    assert answer.headers["location"] == "/"
    assert await scheduler.get_job("a/b ?#%&") is None
    assert "This job is gone" in await text(http, "/job?id=a%2Fb+%3F%23%25%26")
    assert (await press(http, "run_job", **wanted)).status_code == 404


async def test_a_script_is_told_what_was_done_by_a_header(scheduler: AsyncScheduler, http: httpx.AsyncClient) -> None:
    await scheduler.add_job(succeed, "cron", hour=1, id="nachtläufer")
    await http.get("/")
    headers = {"hx-request": "true", "x-csrf-token": http.cookies["apsched_csrf"]}
    answer = await http.post("/do/pause_job", data={"id": "nachtläufer"}, headers=headers)
    assert answer.status_code == 204
    assert r"nachtl\u00e4ufer is paused." in answer.headers["hx-trigger"]


async def test_runs_are_filtered(scheduler: AsyncScheduler, http: httpx.AsyncClient) -> None:
    await record(scheduler, "a", Outcome.FAILED, 5 * MINUTE, error="ValueError: x", node="one")
    await record(scheduler, "a", Outcome.SUCCEEDED, 65 * MINUTE, node="two")
    await record(scheduler, "b", Outcome.MISSED, 6 * MINUTE, reason="it was late")
    for query, found in {
        "": ["a", "b", "a"],
        "job=b": ["b"],
        "outcome=failed": ["a"],
        "outcome=failed&outcome=missed": ["a", "b"],
        "node=two": ["a"],
        "since=2026-11-21+10:30": ["a", "b"],  # in the zone of the scheduler
        "until=2026-11-21T09:00:00Z": ["a"],
        "job=c": [],
    }.items():
        assert cells(await text(http, f"/runs?{query}"), "c-job") == found, query
    assert "is no time" in await text(http, "/runs?since=soon")
    await text(http, "/runs?outcome=great", 422)
    await text(http, "/runs?after=nothing", 422)


async def test_a_run_shows_its_steps_its_error_and_how_often_that_came_before(
    scheduler: AsyncScheduler, http: httpx.AsyncClient
) -> None:
    for ago in (3, 2, 1):
        begun = datetime(2026, 11, 21, 9, 41, tzinfo=UTC) - ago * MINUTE
        await record(
            scheduler,
            "sync",
            Outcome.FAILED,
            ago * MINUTE,
            claimed_at=begun,
            started_at=begun + timedelta(seconds=1),
            finished_at=begun + timedelta(seconds=5),
            error="Traceback (most recent call last):\nTimeoutError: no answer\n",
            node="vm:1:abc",
        )
    page = await text(http, "/run?id=sync@2026-11-21T09:40:00Z")
    assert "same error as the 2 runs before" in page
    assert "got ready 1.0 s; ran 4.0 s;" in page
    assert "2026-11-21 10:40:05.000 CET" in page
    assert "Run now" not in page  # its job is gone
    assert "same error" not in await text(http, "/run?id=sync@2026-11-21T09:38:00Z")
    await text(http, "/run?id=sync@2026-11-21T09:40:01Z", 404)
    await text(http, "/run?id=nonsense", 404)


async def test_a_run_under_way_shows_its_attempts_its_progress_and_its_log(
    scheduler: AsyncScheduler, http: httpx.AsyncClient
) -> None:
    earlier = Attempt(number=1, outcome=Outcome.FAILED, node="vm:1", error="Traceback ...\nOSError: no way\n")
    await record(
        scheduler,
        "sync",
        Outcome.RUNNING,
        MINUTE,
        attempts=(earlier,),
        report=Report(progress=0.25, message="page 5 of 20", log="10:40:01 INFO <b>begun</b>\n"),
        cancel_reason="it is not needed",
    )
    page = await text(http, "/run?id=sync@2026-11-21T09:40:00Z")
    for words in ("OSError: no way", "25 %", "page 5 of 20", "&lt;b&gt;begun", "being cancelled: it is not needed"):
        assert words in page
    assert "every 2s" in page  # it follows what it does
    assert "page 5 of 20" in await text(http, "/runs")


async def test_a_job_page_explains_a_time(scheduler: AsyncScheduler, http: httpx.AsyncClient) -> None:
    await scheduler.add_job(succeed, "cron", hour=3, id="nightly", args=[1], kwargs={"size": "big"})
    page = await text(http, "/job?id=nightly&when=2026-11-22+03:00")
    assert "will be due at 2026-11-22 03:00:00+01:00" in page
    assert "size=&#39;big&#39;" in page
    assert "is no time" in await text(http, "/job?id=nightly&when=soon")
    await text(http, "/job?id=nobody", 404)
    await text(http, "/job?id=nightly&store=other", 404)


async def test_a_job_that_follows_another_one_says_so(scheduler: AsyncScheduler, http: httpx.AsyncClient) -> None:
    await scheduler.add_job(succeed, After("load"), id="report", retry=Retry(5, 60.0), expect_success_within=86_400)
    assert cells(await text(http, "/"), "c-next") == ["after load"]
    page = await text(http, "/job?id=report")
    assert "It follows the runs of" in page
    assert "5 attempts in all, the second after 1 min, then 2 times as long each" in page
    assert "every 1 d" in page
    assert "9999" not in page
    await text(http, "/load")


async def test_the_pictures_of_a_job_lead_to_its_runs(scheduler: AsyncScheduler, http: httpx.AsyncClient) -> None:
    await scheduler.add_job(succeed, "cron", hour=3, id="nightly")
    begun = datetime(2026, 11, 21, 9, 40, tzinfo=UTC)
    for minutes, seconds in ((1, 30), (2, 10), (3, 20)):
        ended = begun + timedelta(seconds=seconds)
        await record(scheduler, "nightly", Outcome.SUCCEEDED, minutes * MINUTE, started_at=begun, finished_at=ended)
    page = await text(http, "/job?id=nightly")
    assert "usually 20 s, at most 30 s" in page
    assert page.count('<a href="/run?id=nightly%40') == 3


async def test_the_load_is_counted_by_the_hour(scheduler: AsyncScheduler, http: httpx.AsyncClient) -> None:
    await scheduler.add_job(succeed, "cron", minute="*", id="dense")
    await record(scheduler, "dense", Outcome.FAILED, 41 * MINUTE)
    await record(scheduler, "dense", Outcome.SUCCEEDED, 40 * MINUTE)
    page = await text(http, "/load")
    assert 'aria-label="Sat 10:00: 2 runs, 1 failed"' in page
    assert 'title="Sat 23:00: 60 runs"' in page
    assert 'title="Fri 23:00: 60 runs"' in page  # estimated: a minute's job has too many times to be counted
    assert 'title="Sat 10:00: 19 runs"' in page  # what is left of the present hour


async def test_a_quarantined_job_is_shown_with_its_reason_and_what_to_do(
    scheduler: AsyncScheduler, http: httpx.AsyncClient
) -> None:
    assert "No job is quarantined" in await text(http, "/quarantine")
    job = await scheduler.add_job(succeed, "cron", hour=3, id="nightly")
    job.quarantine = "No module named 'legacy'"
    page = await text(http, "/quarantine")
    assert "No module named &#39;legacy&#39;" in page
    assert "Deploy the code" in page
    assert "quarantined" in await text(http, "/health?examine=1")
    await press(http, "resume_job", id="nightly")
    assert "No job is quarantined" in await text(http, "/quarantine")


class Failing(BaseTrigger):
    """Has one time, and fails when it is asked for another one."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        if previous_fire_time is not None:
            raise RuntimeError("of the user")
        return now + MINUTE

    def __getstate__(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize("path", ["/", "/job?id=bad", "/job/change?id=bad", "/load", "/calendar.ics"])
async def test_a_trigger_that_fails_breaks_no_page(
    scheduler: AsyncScheduler, http: httpx.AsyncClient, path: str
) -> None:
    await scheduler.add_job(succeed, Failing(), id="bad")
    assert "bad" in await text(http, path) or path == "/load"


async def test_nodes_and_health_are_told(scheduler: AsyncScheduler, http: httpx.AsyncClient) -> None:
    assert scheduler.node in await text(http, "/nodes")
    page = await text(http, "/health")
    assert "All is well" in page
    assert "0 of 10 in use" in page


class Tags(HTMLParser):
    """The tags of a page, and the names of their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, list[str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, [name for name, _ in attrs]))


PAGES = ["/", "/?q={e}&tag={e}%3D{e}", "/job?id={e}&when={e}", "/job/remove?id={e}", "/runs?job={e}&node={e}&since={e}"]


@pytest.mark.parametrize("path", [*PAGES, "/run?id={run}", "/load", "/nodes", "/quarantine", "/health?examine=1"])
async def test_no_text_of_a_user_becomes_markup(scheduler: AsyncScheduler, http: httpx.AsyncClient, path: str) -> None:
    job = await scheduler.add_job(
        succeed, "cron", hour=3, id=EVIL, name=EVIL, args=[EVIL], kwargs={EVIL: EVIL}, tags={EVIL: EVIL}
    )
    job.quarantine = EVIL
    run = await record(scheduler, EVIL, Outcome.FAILED, MINUTE, error=EVIL, reason=EVIL, node=EVIL, retval=EVIL)
    escaped = httpx.QueryParams({"e": EVIL, "run": run.id})
    page = await text(
        http, path.format(**{name: str(httpx.QueryParams({name: escaped[name]}))[len(name) + 1 :] for name in escaped})
    )
    tags = Tags()
    tags.feed(page)
    assert not [name for _, names in tags.found for name in names if name.startswith("on") or name == "style"]
    assert {tag for tag, _ in tags.found}.isdisjoint({"img", "style", "iframe"})
    assert all("src" in names for tag, names in tags.found if tag == "script")
    assert "{{7*7}}" in page or path in ("/load", "/nodes")


@pytest.mark.parametrize("path", ["/", "/runs", "/job?id={e}", "/quarantine", "/load"])
async def test_a_text_that_is_no_unicode_breaks_no_page(
    scheduler: AsyncScheduler, http: httpx.AsyncClient, path: str
) -> None:
    broken = "b\ud800"
    job = await scheduler.add_job(succeed, "cron", hour=3, id=broken, args=[broken], tags={"a": broken})
    job.quarantine = broken
    await record(scheduler, broken, Outcome.FAILED, MINUTE, error=broken, node=broken)
    assert (await http.get(path.format(e="b%EF%BF%BD"))).status_code in (200, 404)


async def test_a_page_after_the_first_is_of_the_same_filter(scheduler: AsyncScheduler, http: httpx.AsyncClient) -> None:
    for minutes in range(120):
        outcome = (Outcome.FAILED, Outcome.MISSED, Outcome.SUCCEEDED)[minutes % 3]
        await record(scheduler, "job", outcome, minutes * MINUTE)
    page = await text(http, "/runs?outcome=failed&outcome=missed")
    onward = re.search(r'rel="next" href="([^"]*)"', page)
    assert onward is not None
    rest = cells(await text(http, html.unescape(onward[1])), "c-out")
    assert (len(rest), set(rest)) == (30, {"failed", "missed"})


async def test_a_long_argument_is_shortened(scheduler: AsyncScheduler, http: httpx.AsyncClient) -> None:
    await scheduler.add_job(succeed, "cron", hour=3, id="nightly", args=["x" * 100_000])
    assert "(100,002 characters)" in await text(http, "/job?id=nightly")


def in_starlette(dashboard: Starlette) -> Any:
    return Starlette(routes=[Mount("/ops/jobs", dashboard)])


def in_fastapi(dashboard: Starlette) -> Any:
    app = FastAPI()
    app.mount("/ops/jobs", dashboard)
    return app


def in_litestar(dashboard: Starlette) -> Any:
    mounting = asgi("/ops/jobs", is_mount=True, copy_scope=True)
    return Litestar(route_handlers=[mounting(dashboard)], logging_config=None)


@pytest.mark.parametrize("mount", [in_starlette, in_fastapi, in_litestar])
async def test_it_is_mounted_anywhere_and_its_links_know(
    scheduler: AsyncScheduler, mount: Callable[[Starlette], Any]
) -> None:
    await scheduler.add_job(succeed, "cron", hour=3, id="nightly")
    transport = httpx.ASGITransport(app=mount(create_app(scheduler)), client=LOCAL)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", follow_redirects=True) as http:
        page = await text(http, "/ops/jobs")
        links = set(re.findall(r'(?:href|src|action|hx-post|hx-get|data-live)="([^"#]+)"', page))
        assert links
        assert all(link.startswith("/ops/jobs/") for link in links)
        for path in ("static/app.css", "job?id=nightly", "runs", "api/jobs/nightly"):
            assert (await http.get(f"/ops/jobs/{path}")).status_code == 200
        form = {"csrf": http.cookies["apsched_csrf"], "id": "nightly", "store": "default"}
        answer = await http.post("/ops/jobs/do/pause_job", data=form)
        assert str(answer.url) == "http://localhost/ops/jobs/job?id=nightly&store=default"
        assert "paused" in answer.text


async def test_a_store_alone_is_opened_by_the_lifespan_and_joined_by_nobody(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    async with AsyncScheduler(jobstores={"default": SQLAlchemyJobStore(url)}, start_paused=True) as scheduler:
        await scheduler.add_job(succeed, "cron", hour=3, id="nightly")
    app = create_app(SQLAlchemyJobStore(url))
    transport = httpx.ASGITransport(app=app, client=LOCAL)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        await text(http, "/", 503)
        async with app.router.lifespan_context(app):
            assert "Nobody works on this store" in await text(http, "/")
            assert "Nobody works on this store" in await text(http, "/nodes")
            assert "looks at a store alone" in await text(http, "/health")
            assert cells(await text(http, "/"), "c-when") == ["at 03:00 every day cron[hour='3']"]
            for action, state in {"pause_job": "paused", "resume_job": "scheduled"}.items():
                answer = await press(http, action, id="nightly")
                assert state in await text(http, answer.headers["location"])
            answer = await press(http, "run_job", id="nightly")
            page = await text(http, answer.headers["location"])
            assert "pending" in page
            run_id = httpx.URL(answer.headers["location"]).params["id"]
            answer = await press(http, "cancel_run", id=run_id)
            assert "cancelled by hand" in await text(http, answer.headers["location"])
            await press(http, "remove_job", id="nightly")
            assert "There are no jobs yet" in await text(http, "/")
