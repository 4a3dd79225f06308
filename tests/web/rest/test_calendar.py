"""The calendar of the times to come."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import httpx
import pytest
from icalendar import Calendar

from apsched import AsyncScheduler
from apsched.testing.clock import VirtualClock
from apsched.web.app import create_app
from apsched.web.security import calendar_key
from tests.web.rest.calls import work
from tests.web.rest.conftest import TOKEN


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(datetime(2026, 3, 27, tzinfo=UTC))


@pytest.fixture
async def http(scheduler: AsyncScheduler) -> AsyncGenerator[httpx.AsyncClient]:
    app = create_app(scheduler, token=TOKEN, title="Shop")
    params = {"key": calendar_key(TOKEN)}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://localhost", params=params
    ) as client:
        yield client


async def test_each_time_to_come_is_an_event_in_utc_whatever_clocks_do(
    http: httpx.AsyncClient, scheduler: AsyncScheduler
) -> None:
    await scheduler.add_job(work, "cron", hour=3, minute=30, id="nightly", name="Nightly; report,\nall")
    await scheduler.add_job(work, "cron", hour=4, id="paused", next_run_time=None)

    answer = await http.get("/calendar.ics", params={"days": 4})
    calendar = Calendar.from_ical(answer.content)

    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    assert calendar.calendar_name == "Shop"
    # Clocks in Helsinki skip the time from 3 to 4 on March 29th.
    assert [event.start for event in calendar.events] == [
        datetime(2026, 3, 27, 1, 30, tzinfo=UTC),
        datetime(2026, 3, 28, 1, 30, tzinfo=UTC),
        datetime(2026, 3, 29, 1, 0, tzinfo=UTC),
        datetime(2026, 3, 30, 0, 30, tzinfo=UTC),
    ]
    event = calendar.events[0]
    assert event.uid == "default/nightly@2026-03-27T01:30:00Z"
    assert str(event["summary"]) == "Nightly; report,\nall"
    assert str(event["url"]) == "http://localhost/job?id=nightly&store=default"
    assert (event["transp"], event.walk("VALARM")) == ("TRANSPARENT", [])
    assert b"DTSTART:20260327T013000Z\r\n" in answer.content


async def test_read_again_the_events_are_the_same(
    http: httpx.AsyncClient, scheduler: AsyncScheduler, clock: VirtualClock
) -> None:
    await scheduler.add_job(work, "interval", hours=5, id="work")

    first = Calendar.from_ical((await http.get("/calendar.ics", params={"days": 1})).content)
    await clock.advance(5 * 3600)
    second = Calendar.from_ical((await http.get("/calendar.ics", params={"days": 1})).content)

    assert [event.uid for event in second.events][:3] == [event.uid for event in first.events][1:]
    assert first.uid == second.uid


async def test_it_may_be_of_one_job_and_shows_so_many_times_of_a_busy_one(
    http: httpx.AsyncClient, scheduler: AsyncScheduler
) -> None:
    await scheduler.add_job(work, "interval", minutes=1, id="busy")
    await scheduler.add_job(work, "cron", hour=3, id="nightly")

    whole = Calendar.from_ical((await http.get("/calendar.ics")).content).events
    one = Calendar.from_ical((await http.get("/calendar.ics", params={"job": "nightly", "days": 2})).content).events

    assert len([event for event in whole if event.uid.startswith("default/busy@")]) == 50
    assert "these are the next 50 times" in str(whole[0]["description"])
    assert [event.uid.partition("@")[0] for event in one] == ["default/nightly"] * 2
    assert (await http.get("/calendar.ics", params={"job": "nix"})).status_code == 404
    assert (await http.get("/calendar.ics", params={"days": 400})).status_code == 422


@pytest.mark.parametrize("job_id", ["a\nUID:b", "ä,;:\\", "x\r\nBEGIN:VALARM", "\x07\x1b[0m"])
async def test_no_id_or_name_gets_out_of_its_place(
    http: httpx.AsyncClient, scheduler: AsyncScheduler, job_id: str
) -> None:
    await scheduler.add_job(work, "cron", hour=3, id=job_id, name=job_id)

    (event,) = Calendar.from_ical((await http.get("/calendar.ics", params={"days": 1})).content).events

    assert event.walk("VALARM") == []
    assert event.start == datetime(2026, 3, 27, 1, 0, tzinfo=UTC)
    assert "\n" not in event.uid


async def test_the_key_opens_nothing_else(scheduler: AsyncScheduler) -> None:
    transport = httpx.ASGITransport(create_app(scheduler, token=TOKEN))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        statuses = [
            (await client.get(path)).status_code
            for path in (
                f"/calendar.ics?key={calendar_key(TOKEN)}",
                "/calendar.ics?key=wrong",
                "/calendar.ics",
                f"/api/jobs?key={calendar_key(TOKEN)}",
                f"/?key={calendar_key(TOKEN)}",
            )
        ]

    assert statuses == [200, 401, 401, 401, 401]
