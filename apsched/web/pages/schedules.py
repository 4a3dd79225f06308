"""The first page: counters, the next 24 hours, and the jobs (layer 10)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import attrs
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from apsched._documents import State
from apsched.jobstores.base import RunFilter
from apsched.run import Outcome
from apsched.web.answers import JobQuery, RunPage, upcoming_of
from apsched.web.backend import Backend
from apsched.web.charts.lanes import WINDOW, lane, ticks
from apsched.web.load import FAILED, usual_length
from apsched.web.pages.view import JobRow, chosen_store, job_rows, link, run_rows
from apsched.web.state import Web
from apsched.web.templating import page
from apsched.web.words import more_than

JOBS = 25  # of a page
LANES = 12
TIMES = 150  # in a lane
COUNTED = 500  # runs of a counter
LATEST = 3  # failures
DAY = timedelta(hours=24)
STATES: tuple[State, ...] = ("scheduled", "paused", "quarantined")
OPEN = (Outcome.RUNNING, Outcome.PENDING)
NOT_RUN = (Outcome.MISSED, Outcome.SKIPPED)


@attrs.frozen(kw_only=True)
class Counter:
    """A number at the head of the page, the words below it, its color, and where it leads."""

    number: str
    words: str
    kind: str
    href: str


@attrs.frozen(kw_only=True)
class Lane:
    """A job of the picture of the next 24 hours."""

    row: JobRow
    picture: Markup


async def schedules(request: Request) -> Response:
    """Show the jobs, some at a time."""
    web = Web.of(request)
    backend, zone, now = web.backend, web.zone, web.backend.now
    query = read_query(request)
    found = await backend.jobs(query, JOBS, request.query_params.get("after"))
    rows = await job_rows(backend, found.jobs, zone)
    bad = await backend.runs(RunFilter(outcomes=(*FAILED, *NOT_RUN), since=now - DAY), COUNTED)
    failures = [each for each in bad.runs if each.run.outcome in FAILED]
    return page(
        request,
        "schedules.html",
        rows=rows,
        query=query,
        tag=request.query_params.get("tag", ""),
        states=STATES,
        stores=backend.stores,
        is_served=backend.scheduler is not None or any(not each.node.is_dead for each in await backend.nodes()),
        counters=await _counters(backend, now, bad),
        lanes=_lanes(web, rows, now),
        ticks=ticks(now, zone),
        failures=run_rows(failures[:LATEST]),
        next=None if found.next is None else link(request, after=found.next),
        first=None if "after" not in request.query_params else link(request, after=None),
        is_full=found.is_full,
        is_filtered=query != JobQuery(),
    )


def read_query(request: Request) -> JobQuery:
    """Return which jobs *request* asks for."""
    given = request.query_params
    states: dict[str, State] = {each: each for each in STATES}
    state = states.get(given.get("state", ""))
    name, separator, value = given.get("tag", "").partition("=")
    tags = {name.strip(): value.strip()} if separator else {}
    return JobQuery(text=given.get("q", "").strip(), state=state, tags=tags, store=chosen_store(request))


async def _counters(backend: Backend, now: datetime, bad: RunPage) -> list[Counter]:
    """Return the counters; each asks for few runs, since a store in memory looks through all of them each time."""
    open_runs = await backend.runs(RunFilter(outcomes=OPEN), COUNTED)
    ran = await backend.runs(RunFilter(since=now - DAY), COUNTED)

    def counter(found: RunPage, outcomes: Collection[Outcome], words: str, kind: str, href: str) -> Counter:
        count = sum(each.run.outcome in outcomes for each in found.runs)
        number = more_than(count, is_all=found.next is None)
        return Counter(number=number, words=words, kind=kind if count else "mute", href=href)

    return [
        counter(open_runs, (Outcome.RUNNING,), "running now", "busy", "runs?outcome=running"),
        counter(open_runs, (Outcome.PENDING,), "waiting", "wait", "runs?outcome=pending"),
        counter(ran, tuple(Outcome), "runs in 24 hours", "plain", "runs"),
        counter(bad, FAILED, "failed in 24 hours", "bad", "runs?outcome=failed&outcome=timed_out&outcome=abandoned"),
        counter(bad, NOT_RUN, "missed or skipped", "warn", "runs?outcome=missed&outcome=skipped"),
    ]


def _lanes(web: Web, rows: Sequence[JobRow], now: datetime) -> list[Lane]:
    found: list[Lane] = []
    for row in rows:
        if row.state == "scheduled" and len(found) < LANES:
            upcoming = upcoming_of(row.job, now + WINDOW, TIMES)
            takes = usual_length([run.duration for run in row.runs if run.duration is not None])
            if upcoming.times:
                drawn = lane(upcoming.times, now, takes, web.zone, has_more=upcoming.has_more)
                found.append(Lane(row=row, picture=drawn))
    return found
