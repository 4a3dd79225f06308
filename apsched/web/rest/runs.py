"""Runs: list, show and cancel them; what is to come, and why something was not (layer 10)."""

from __future__ import annotations

from datetime import timedelta

from apsched._documents import STORE, RunDocument, instant, run_document
from apsched.exceptions import RunLookupError
from apsched.jobstores.base import RunFilter
from apsched.run import Outcome
from apsched.web.answers import StoredRun, Upcoming
from apsched.web.refusals import RefusedError
from apsched.web.rest.asking import Asked
from apsched.web.rest.shapes import ExplanationDocument, RunPageDocument, UpcomingDocument, UpcomingTimes

DAY = timedelta(days=1)
LONGEST_WINDOW = timedelta(days=366)


async def list_runs(asked: Asked) -> RunPageDocument:
    """
    List runs, a page at a time.

    The latest nominal time comes first.
    """
    query = asked.query
    where = RunFilter(
        job_id=query.get("job"),
        outcomes=frozenset(map(Outcome, query["outcome"])) if query.get("outcome") else None,
        since=query.get("since"),
        until=query.get("until"),
        node=query.get("node"),
    )
    page = await asked.backend.runs(where, query.get("limit", 50), query.get("after"), query.get("store"))
    return {"runs": [_document(each) for each in page.runs], "next": page.next}


async def get_run(asked: Asked) -> RunDocument:
    """Show a run."""
    return _document(await asked.backend.run(asked.path["run_id"], asked.query.get("store")))


async def cancel_run(asked: Asked) -> RunDocument:
    """Cancel a run that is pending or under way."""
    found = await asked.backend.run(asked.path["run_id"], asked.query.get("store"))
    try:
        run = await asked.backend.cancel_run(found.run.id)
    except RunLookupError as exc:
        raise RefusedError(409, str(exc)) from None
    return run_document(run, found.store)


async def explain(asked: Asked) -> ExplanationDocument:
    """Say what comes next for a job, and why it ran or did not at a nominal time."""
    query = asked.query
    found = await asked.backend.explain(query["job"], query.get("at"), query.get("store"), count=query.get("count", 5))
    return {
        "text": found.text,
        "next_times": [instant(time) for time in found.next_times],
        "runs": [run_document(run, query.get("store", STORE)) for run in found.runs],
    }


async def list_upcoming(asked: Asked) -> UpcomingDocument:
    """
    List the nominal times to come, job by job.

    They are computed, not stored: a job may be changed before they come.
    """
    query, now = asked.query, asked.backend.now
    until = query.get("until", now + DAY)
    if not now.timestamp() <= until.timestamp() <= (now + LONGEST_WINDOW).timestamp():
        raise RefusedError(422, f"until must be at most 366 days from now on, got {until}.")
    found = await asked.backend.upcoming(
        until,
        job_id=query.get("job"),
        store=query.get("store"),
        jobs=query.get("limit", 50),
        times=query.get("times", 20),
    )
    return {"until": instant(until), "jobs": [_upcoming(each) for each in found]}


def _document(stored: StoredRun) -> RunDocument:
    return run_document(stored.run, stored.store)


def _upcoming(upcoming: Upcoming) -> UpcomingTimes:
    return {
        "job_id": upcoming.job.id,
        "store": upcoming.job.jobstore or STORE,
        "name": upcoming.job.name,
        "times": [instant(time) for time in upcoming.times],
        "has_more": upcoming.has_more,
    }
