"""Serve the times to come as a calendar, which calendar programs subscribe to (layer 10).

Times are told in UTC (RFC 5545), so that what clocks do where the calendar is shown does not matter. The id of an event
is that of the store and the run: a program that reads the calendar again knows which events it has.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, TypedDict
from urllib.parse import quote, urlencode

import anyio.to_thread
from icalendar import TRANSP, Calendar, Event
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from apsched.run import run_id
from apsched.triggers.words import describe
from apsched.web.answers import Upcoming
from apsched.web.rest.asking import read_request
from apsched.web.security import CALENDAR

JOBS, TIMES, EVENTS = 200, 50, 1000  # jobs, times of each job, and events, at most
REFRESH = timedelta(hours=1)


class CalendarAsked(TypedDict, total=False):
    """
    Which calendar is asked for.

    Attributes:
        job: Only the times of the job of this id.
        store: Only those of jobs in the store of this alias.
        days: How many days it reaches ahead, from 1 to 366; by default 14.
        key: Opens the calendar and nothing else.
    """

    job: str
    store: str
    days: Annotated[int, ("minimum", 1), ("maximum", 366)]
    key: str


def routes() -> list[BaseRoute]:
    """Return the route of the calendar."""
    return [Route(CALENDAR, _serve)]


async def _serve(request: Request) -> Response:
    asked = await read_request(request, CalendarAsked, None)
    query, now = asked.query, asked.backend.now
    found = await asked.backend.upcoming(
        now + timedelta(days=query.get("days", 14)),
        job_id=query.get("job"),
        store=query.get("store"),
        jobs=JOBS,
        times=TIMES,
    )
    uid = f"apsched?{urlencode({name: query.get(name, '') for name in ('store', 'job')})}"

    def write() -> bytes:
        events = [event for each in found for event in _events(each, now, f"{request.base_url}job")]
        calendar = Calendar.new(
            prodid="-//apsched//apsched//EN",
            uid=uid,
            name=_text(asked.web.title),
            method="PUBLISH",
            refresh_interval=REFRESH,
            subcomponents=events[:EVENTS],
        )
        content: bytes = calendar.to_ical()
        return content

    written = await anyio.to_thread.run_sync(write)  # it takes a second for the most events that there may be
    return Response(written, media_type="text/calendar; charset=utf-8")


def _events(upcoming: Upcoming, now: datetime, page: str) -> list[Event]:
    """Return an event for each time of a job; it takes no time, and shows nobody as busy."""
    job = upcoming.job
    told = f"{describe(job.trigger)}\n{job.func_ref or ''}".strip()
    if upcoming.has_more:
        told += f"\nIt comes more often than this calendar shows: these are the next {TIMES} times."
    return [
        Event.new(
            uid=quote(f"{job.jobstore}/{run_id(job.id, time)}", safe="@:/"),
            stamp=now,
            start=time.astimezone(UTC),
            summary=_text(job.name),
            description=_text(told),
            transparency=TRANSP.TRANSPARENT,
            url=f"{page}?{urlencode({'id': job.id, 'store': job.jobstore})}",
        )
        for time in upcoming.times
    ]


def _text(text: str) -> str:
    """Return *text* with spaces in place of what calendars do not take."""
    return "".join(each if each.isprintable() or each == "\n" else " " for each in text)
