"""The page that changes a job."""

from __future__ import annotations

import html
import logging
import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import httpx
import pytest

from apsched import AsyncScheduler
from apsched.triggers.after import After
from tests.web.asking import EVIL, client_of
from tests.web.calls import succeed

PAGE = "/job/change?id=nightly"


class Fields(HTMLParser):
    """The fields of the form of a page, what they say, and the names of all tags and attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self._area: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        self.attributes.update(given)
        name = given.get("name")
        if tag == "input" and name and (given.get("type") != "checkbox" or "checked" in given):
            self.values[name] = given.get("value") or "on" * (given.get("type") == "checkbox")
        elif tag == "textarea" and name:
            self._area = name
            self.values[name] = ""

    def handle_data(self, data: str) -> None:
        if self._area is not None:
            self.values[self._area] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea" and self._area is not None:
            self.values[self._area] = self.values[self._area].removeprefix("\n")  # as browsers do
            self._area = None


def problem(page: str, name: str) -> str:
    """Return what is wrong with a field, or ""."""
    found = re.search(rf'id="problem-{name}"[^>]*>([^<]*)<', page)
    return html.unescape(found[1]) if found else ""


async def save(http: httpx.AsyncClient, path: str = PAGE, **written: str | None) -> httpx.Response:
    """Open the form, write into its fields, and send it; None unchecks a box."""
    return await save_again(http, (await http.get(path)).text, **written)


async def save_again(http: httpx.AsyncClient, page: str, **written: str | None) -> httpx.Response:
    """Do the same with the form of a page that is open."""
    values = {**Fields(page).values, **written}
    return await http.post("/job/change", data={name: value for name, value in values.items() if value is not None})


@pytest.fixture(autouse=True)
async def nightly(scheduler: AsyncScheduler) -> None:
    await scheduler.add_job(
        succeed, "cron", hour=3, id="nightly", timeout=90.5, misfire_grace_time=3600, tags={"team": "ops"}
    )


async def test_options_are_changed_and_the_rest_stays(
    scheduler: AsyncScheduler, http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "apsched.audit")
    before = await scheduler.get_job("nightly")
    assert before is not None
    due = before.next_run_time

    answer = await save(
        http, name="Night", misfire_grace_time="5 min", max_instances="3", tags="a=1\r\n\r\n b = 2 ", coalesce=None
    )

    assert (answer.status_code, answer.headers["location"]) == (303, "/job?id=nightly&store=default")
    job = await scheduler.get_job("nightly")
    assert job is not None
    assert (job.name, job.misfire_grace_time, job.max_instances, job.coalesce) == ("Night", 300, 3, False)
    assert (job.tags, job.timeout, job.next_run_time) == ({"a": "1", "b": "2"}, 90.5, due)
    assert "done: modify_job 'nightly' by anonymous from 127.0.0.1" in caplog.text


async def test_a_form_that_is_sent_as_it_came_changes_nothing(
    scheduler: AsyncScheduler, http: httpx.AsyncClient
) -> None:
    job = await scheduler.get_job("nightly")
    assert job is not None
    before = job.__getstate__()
    assert (await save(http)).status_code == 303
    assert job.__getstate__() == before


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("name", " ", "one character"),
        ("misfire_grace_time", "soon", "must be a text such as '5m'"),
        ("misfire_grace_time", "9999999 weeks", "at most 100 years"),
        ("timeout", "-1", "more than 0 seconds"),
        ("timeout", "nan", "more than 0 seconds"),
        ("max_instances", "0", "from 1 on, got 0"),
        ("max_instances", "9" * 5000, "write a whole number"),
        ("priority", "11", "from -10 to 10, got 11"),
        ("tags", "team", "name=value"),
        ("tags", "=x", "name=value"),
    ],
)
async def test_what_is_wrong_stands_beside_its_field_and_changes_nothing(
    scheduler: AsyncScheduler, http: httpx.AsyncClient, name: str, text: str, words: str
) -> None:
    others = {"priority": "5"} if name != "priority" else {}
    answer = await save(http, **others, **{name: text})
    assert answer.status_code == 422
    assert words in problem(answer.text, name)
    assert Fields(answer.text).values[name] == text
    job = await scheduler.get_job("nightly")
    assert job is not None
    assert job.priority == 0


async def test_new_times_are_shown_before_they_are_taken(scheduler: AsyncScheduler, http: httpx.AsyncClient) -> None:
    answer = await save(http, schedule="30 4 * * mon", priority="7")
    assert "at 04:30 on Monday" in answer.text
    assert answer.text.count('<time class="rel"') == 5
    assert "Mon 2026-11-23 04:30 CET" in answer.text
    job = await scheduler.get_job("nightly")
    assert job is not None
    assert job.priority == 0

    answer = await save_again(http, answer.text)

    assert answer.status_code == 303
    job = await scheduler.get_job("nightly")
    assert job is not None
    assert (job.next_run_time, job.priority) == (datetime(2026, 11, 23, 3, 30, tzinfo=UTC), 7)


async def test_times_that_were_changed_since_are_shown_anew(scheduler: AsyncScheduler, http: httpx.AsyncClient) -> None:
    answer = await save(http, schedule="30 4 * * mon")
    answer = await save_again(http, answer.text, timezone="Asia/Tokyo")
    assert answer.status_code == 200
    assert "Mon 2026-11-23 04:30 JST" in answer.text
    await save_again(http, answer.text)
    job = await scheduler.get_job("nightly")
    assert job is not None
    assert job.next_run_time == datetime(2026, 11, 22, 19, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "zone", "words"),
    [
        ("@daily", "", "at 00:00 every day"),
        ("every 5 minutes", "UTC", "Sat 2026-11-21 09:46 UTC"),
        ("2026-12-24 18:00", "Europe/Berlin", "once, at 2026-12-24 18:00:00"),
        ("30 2 * * *", "Europe/Berlin", "2027-03-28"),  # a remark: clocks change
        ("", "", "next times are shown here"),
        ("soon", "", "'soon' is no line of a crontab"),
        ("61 * * * *", "", "61"),
        ("0 0 30 2 *", "", "no time to come"),
        ("2020-01-01", "", "no time to come"),
        ("every 9999999999 weeks", "", "beyond the year 9999"),
        ("@daily", "Mars", "got 'Mars'"),
        (EVIL, EVIL, "&lt;img"),
    ],
)
async def test_a_text_is_said_in_words_while_it_is_written(
    http: httpx.AsyncClient, schedule: str, zone: str, words: str
) -> None:
    answer = await http.get("/job/preview", params={"schedule": schedule, "timezone": zone})
    assert answer.status_code == 200
    assert words in answer.text.replace("&#39;", "'")
    assert "<img" not in answer.text


async def test_no_text_in_the_form_becomes_markup(http: httpx.AsyncClient) -> None:
    names = Fields((await http.get(PAGE)).text).values.keys() - {"csrf", "id", "store"}
    answer = await save(http, **dict.fromkeys(names, EVIL))
    fields = Fields(answer.text)
    assert answer.status_code == 422
    assert {name: fields.values[name] for name in ("name", "schedule", "tags")} == dict.fromkeys(
        ("name", "schedule", "tags"), EVIL
    )
    assert fields.tags.isdisjoint({"img", "style", "iframe"})
    assert not [name for name in fields.attributes if name.startswith("on") or name == "style"]


async def test_a_job_that_waits_or_follows_another_one_runs_by_its_new_times(
    scheduler: AsyncScheduler, http: httpx.AsyncClient
) -> None:
    await scheduler.add_job(succeed, After("nightly"), id="report")
    for job_id in ("nightly", "report"):
        await scheduler.pause_job(job_id)
        answer = await save(http, f"/job/change?id={job_id}", schedule="@hourly")
        assert "It is paused; with new times it runs again." in answer.text
        assert (await save_again(http, answer.text)).status_code == 303
        job = await scheduler.get_job(job_id)
        assert job is not None
        assert job.next_run_time == datetime(2026, 11, 21, 10, tzinfo=UTC)


async def test_who_may_change_nothing_is_offered_nothing(scheduler: AsyncScheduler) -> None:
    async with client_of(scheduler, read_only=True) as http:
        assert "/job/change" not in (await http.get("/job?id=nightly")).text
        assert (await http.get(PAGE)).status_code == 403
        form = {"csrf": http.cookies["apsched_csrf"], "id": "nightly", "name": "x", "max_instances": "1"}
        assert (await http.post("/job/change", data={**form, "priority": "0"})).status_code == 403


async def test_a_forged_form_and_one_of_a_job_that_is_gone_are_refused(http: httpx.AsyncClient) -> None:
    assert (await save(http, csrf="x")).status_code == 403
    assert (await save(http, id="gone")).status_code == 404
    assert (await http.get("/job/change?id=gone")).status_code == 404
