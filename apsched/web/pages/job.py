"""The page of one job (layer 10)."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

from starlette.requests import Request
from starlette.responses import Response

from apsched.exceptions import JobLookupError
from apsched.job import Job, Overlap
from apsched.jobstores.base import RunFilter
from apsched.web.answers import StoredRun, upcoming_of
from apsched.web.charts.history import BARS, history
from apsched.web.load import usual_length
from apsched.web.pages.view import as_text, chosen_store, job_row, run_rows
from apsched.web.refusals import RefusedError
from apsched.web.state import Web
from apsched.web.templating import page
from apsched.web.words import length

TIMES = 10  # that come next
END_OF_TIME = datetime.max.replace(tzinfo=UTC)
LISTED = 20  # in the table
BEYOND: dict[Overlap, str] = {  # what becomes of a time beyond that
    "skip": "a time beyond that is skipped",
    "queue_one": "one more waits",
    "queue_all": "all others wait",
    "cancel_running": "a later one cancels those under way",
    "allow": "any number may overlap",
}


async def job(request: Request) -> Response:
    """Show a job; of one that is gone, its runs."""
    web = Web.of(request)
    backend, zone = web.backend, web.zone
    job_id, store = request.query_params.get("id", ""), chosen_store(request)
    when, problem = read_time(request.query_params.get("when", ""), zone)
    explained = await backend.explain(job_id, when, store) if when else None
    try:
        found = await backend.job(job_id, store)
    except JobLookupError:
        gone = await backend.runs(RunFilter(job_id=job_id), LISTED, store=store)
        if not gone.runs:
            raise
        return page(request, "job_gone.html", job_id=job_id, runs=run_rows(gone.runs))
    row = await job_row(backend, found, zone, runs=BARS)
    stored = [StoredRun(str(found.jobstore), run) for run in row.runs]
    rows = run_rows(stored)
    root = request.scope.get("root_path", "")
    return page(
        request,
        "job.html",
        row=row,
        facts=_facts(found),
        args=as_text(found.args),
        kwargs=dict(zip(found.kwargs, as_text(list(found.kwargs.values())), strict=True)),
        times=[] if row.follows else upcoming_of(found, END_OF_TIME, TIMES).times,
        runs=rows[:LISTED],
        history=history(row.runs, [f"{root}/run?{each.query}" for each in rows], zone, backend.now),
        usual=usual_length([run.duration for run in row.runs if run.duration is not None]),
        longest=max((run.duration for run in row.runs if run.duration is not None), default=None),
        when=request.query_params.get("when", ""),
        problem=problem,
        explained=explained,
    )


async def remove(request: Request) -> Response:
    """Ask whether a job is really to be removed."""
    web = Web.of(request)
    found = await web.backend.job(request.query_params.get("id", ""), chosen_store(request))
    if web.access.read_only:
        raise RefusedError(403, "This dashboard is read-only.")
    return page(request, "remove.html", row=await job_row(web.backend, found, web.zone))


def read_time(text: str, zone: tzinfo) -> tuple[datetime | None, str]:
    """Return the time that *text* says, in *zone* unless it names its offset, or else what is wrong with it."""
    if not text:
        return None, ""
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)), ""
    except (ValueError, OverflowError):
        return None, f"{text!r} is no time; write it as 2026-11-21 03:00."


def _facts(job: Job) -> dict[str, str]:
    return {
        "Runs late": f"by {length(job.misfire_grace_time)} at most" if job.misfire_grace_time else "however late it is",
        "Several due at once": "the last one runs for all" if job.coalesce else "each one runs",
        "Runs at a time": f"{job.max_instances}; {BEYOND[job.overlap]}",
        "Timeout": length(job.timeout) or "none",
        "If it fails": _retries(job),
        "If its node dies": "another node runs it again" if job.on_crash == "rerun" else "it is given up",
        "Should succeed": "" if job.expect_success_within is None else f"every {length(job.expect_success_within)}",
        "Executor": job.executor,
        "Store": str(job.jobstore),
        "Keeps": f"its last {job.keep_runs} runs" if job.keep_runs is not None else "what the store keeps",
    }


def _retries(job: Job) -> str:
    retry = job.retry
    if retry is None:
        return "it is not tried again"
    attempts = "attempts without end" if retry.max_attempts is None else f"{retry.max_attempts} attempts in all"
    growth = f", then {retry.factor:g} times as long each" if retry.factor != 1 else ""
    return f"{attempts}, the second after {length(retry.backoff)}{growth}"
