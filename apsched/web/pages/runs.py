"""The pages of many runs and of one (layer 10)."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from apsched.exceptions import JobLookupError
from apsched.jobstores.base import RunFilter
from apsched.run import Outcome, Run
from apsched.web.answers import StoredRun
from apsched.web.backend import Backend
from apsched.web.charts.steps import steps
from apsched.web.pages.job import read_time
from apsched.web.pages.view import as_text, chosen_store, link, run_row, run_rows
from apsched.web.refusals import RefusedError
from apsched.web.state import Web
from apsched.web.templating import page
from apsched.web.words import why

RUNS = 50  # of a page
COMPARED = 20  # earlier runs


async def runs(request: Request) -> Response:
    """Show runs, some at a time."""
    web = Web.of(request)
    where, problem = read_filter(request)
    found = await web.backend.runs(where, RUNS, request.query_params.get("after"), chosen_store(request))
    return page(
        request,
        "runs.html",
        rows=run_rows(found.runs),
        given=request.query_params,
        outcomes=list(Outcome),
        stores=web.backend.stores,
        problem=problem,
        next=None if found.next is None else link(request, after=found.next),
        first=None if "after" not in request.query_params else link(request, after=None),
    )


def read_filter(request: Request) -> tuple[RunFilter, str]:
    """
    Return which runs *request* asks for, and what is wrong with its times.

    Raises:
        RefusedError: It asks for an outcome that there is not.
    """
    given, zone = request.query_params, Web.of(request).zone
    since, first = read_time(given.get("since", ""), zone)
    until, second = read_time(given.get("until", ""), zone)
    try:
        outcomes = [Outcome(each) for each in given.getlist("outcome") if each]
    except ValueError as exc:
        raise RefusedError(422, f"{exc}; there are: {', '.join(Outcome)}.") from None
    where = RunFilter(
        job_id=given.get("job") or None,
        outcomes=outcomes or None,
        since=since,
        until=until,
        node=given.get("node") or None,
    )
    return where, first or second


async def run(request: Request) -> Response:
    """Show a run."""
    web = Web.of(request)
    backend = web.backend
    stored = await backend.run(request.query_params.get("id", ""), chosen_store(request))
    found = stored.run
    try:
        job = await backend.job(found.job_id, stored.store)
    except JobLookupError:
        job = None
    return page(
        request,
        "run.html",
        row=run_row(stored),
        job=job,
        store=stored.store,
        steps=steps(found, backend.now),
        same=await _same_before(backend, stored),
        returned="" if found.retval is None else as_text([found.retval])[0],
        args=None if found.args is None else as_text(found.args),
        kwargs=None
        if found.kwargs is None
        else dict(zip(found.kwargs, as_text(list(found.kwargs.values())), strict=True)),
    )


async def _same_before(backend: Backend, stored: StoredRun) -> int:
    """Return how many runs before this one, without another in between, ended by the same error."""
    if not stored.run.error:
        return 0
    where = RunFilter(job_id=stored.run.job_id)
    page = await backend.runs(where, COMPARED, stored.run.id, stored.store)
    return _leading(stored.run, [each.run for each in page.runs])


def _leading(run: Run, earlier: Sequence[Run]) -> int:
    count = 0
    for each in earlier:
        if not each.error or why(each) != why(run):
            break
        count += 1
    return count
