"""The page that changes a job: when it runs, and its options (layer 10).

Rule 1: a new trigger is taken only after its words and next times were on the page; the form says which these were of.
Rule 2: what is wrong stands beside its field, and what was written stays in it.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from apsched._timezones import timezone_text, to_timezone
from apsched.exceptions import TransientJobError
from apsched.job import Job
from apsched.web.options import OPTIONS, read_options, write_options
from apsched.web.pages.view import chosen_store, job_row
from apsched.web.schedules import Schedule, read_schedule
from apsched.web.security import read_form
from apsched.web.state import Web
from apsched.web.templating import page


@attrs.frozen(kw_only=True)
class Preview:
    """
    What is shown of a new trigger before it is taken.

    Attributes:
        seen: Tells the text and the zone from others.
        schedule: What they mean; None if nothing is written, or something is wrong.
        problems: What is wrong, by the name of the field.
    """

    seen: str
    schedule: Schedule | None = None
    problems: Mapping[str, str] = {}


async def change(request: Request) -> Response:
    """Show the form, or do what it says."""
    web = Web.of(request)
    if request.method == "POST":
        return await _save(request, web, await read_form(request))
    await web.access.check(request, "modify_job")
    job = await web.backend.job(request.query_params.get("id", ""), chosen_store(request))
    written = {**write_options(job), "schedule": "", "timezone": _zone_of(job, web)}
    return await _form(request, job, written, _preview(written, web))


async def preview(request: Request) -> Response:
    """Show what a new trigger means, while it is written."""
    shown = _preview(request.query_params, Web.of(request))
    return page(request, "preview.html", preview=shown)


async def _save(request: Request, web: Web, written: Mapping[str, str]) -> Response:
    backend, job_id = web.backend, written.get("id", "")
    job = await backend.job(job_id, written.get("store") or None)
    changes, problems = read_options(written, job)
    shown = _preview(written, web)
    problems |= shown.problems
    is_unseen = shown.schedule is not None and written.get("seen") != shown.seen
    if problems or is_unseen:
        return await _form(request, job, written, shown, problems, is_unseen=is_unseen)

    async def work() -> None:
        if changes:
            await backend.modify_job(job_id, job.jobstore, **changes)
        if shown.schedule is not None:
            await backend.reschedule_job(job_id, job.jobstore, shown.schedule.trigger)

    try:
        await web.access.perform(request, "modify_job", job_id, work)
    except TransientJobError as exc:
        return await _form(request, job, written, shown, {"": str(exc)})
    row = await job_row(backend, job, web.zone, runs=0)
    return RedirectResponse(f"{request.scope.get('root_path', '')}/job?{row.query}", 303)


async def _form(
    request: Request,
    job: Job,
    written: Mapping[str, str],
    preview: Preview,
    problems: Mapping[str, str] = {},
    *,
    is_unseen: bool = False,
) -> Response:
    web = Web.of(request)
    answer = page(
        request,
        "change.html",
        row=await job_row(web.backend, job, web.zone, runs=0),
        options=OPTIONS,
        written=written,
        problems=problems,
        preview=preview,
        is_unseen=is_unseen,
    )
    answer.status_code = 422 if problems else 200
    return answer


def _preview(written: Mapping[str, str], web: Web) -> Preview:
    text, zone = written.get("schedule", "").strip(), written.get("timezone", "").strip()
    seen = f"{zone} {text}"
    if not text:
        return Preview(seen=seen)
    try:
        read_in = to_timezone(zone, "the time zone") if zone else web.backend.zone
    except ValueError as exc:
        return Preview(seen=seen, problems={"timezone": str(exc)})
    try:
        return Preview(seen=seen, schedule=read_schedule(text, read_in, web.backend.now))
    except ValueError as exc:
        return Preview(seen=seen, problems={"schedule": str(exc)})


def _zone_of(job: Job, web: Web) -> str:
    """Return the name of the zone in which the times of *job* are; that of the scheduler if it has none."""
    due = None if job.follows else job.next_nominal_time
    try:
        return timezone_text((due and due.tzinfo) or web.backend.zone)
    except ValueError:  # a trigger of the user may have a zone without a name
        return timezone_text(web.backend.zone)
