"""Jobs: list, show, add, change, pause, resume, remove and run them, and make up for the past (layer 10)."""

from __future__ import annotations

from functools import partial
from typing import Any

from apsched._documents import (
    STORE,
    BackfillDocument,
    JobDocument,
    RunDocument,
    backfill_document,
    job_document,
    run_document,
)
from apsched.exceptions import AliasLookupError, ConflictingIdError
from apsched.job import Job
from apsched.web.answers import JobQuery
from apsched.web.refusals import RefusedError
from apsched.web.rest.asking import Asked, check_is_known, values_of_users
from apsched.web.rest.shapes import JobPageDocument
from apsched.web.rest.triggers import check_has_time, make_trigger


async def list_jobs(asked: Asked) -> JobPageDocument:
    """
    List jobs, a page at a time.

    Those that are due first come first, paused ones last.
    """
    query = asked.query
    wanted = JobQuery(text=query.get("text", ""), state=query.get("state"), tags=_tags(query), store=query.get("store"))
    page = await asked.backend.jobs(wanted, query.get("limit", 50), query.get("after"))
    return {"jobs": [_document(job) for job in page.jobs], "next": page.next}


async def get_job(asked: Asked) -> JobDocument:
    """Show a job."""
    return _document(await asked.backend.job(asked.path["job_id"], asked.query.get("store")))


async def add_job(asked: Asked) -> JobDocument:
    """
    Add a job.

    Its callable is imported where the scheduler runs: whoever may add jobs may run any code there. So this is refused
    where nobody is asked who he is.
    """
    check_is_known(asked)
    options = {**asked.body}
    func, schedule, store = options.pop("func"), options.pop("trigger", None), options.pop("store", STORE)
    if store not in asked.backend.stores:
        raise AliasLookupError("job store", store, asked.backend.stores)
    with values_of_users():
        trigger = None if schedule is None else make_trigger(schedule, asked.backend.zone)
        if trigger is not None and "next_run_time" not in options:
            check_has_time(trigger, asked.backend.now)
        try:
            return _document(await asked.backend.add_job(func, trigger, jobstore=store, **options))
        except ConflictingIdError as exc:
            problem = f"There is a job {exc.job_id!r} already; choose another id, or say by on_conflict what happens."
            raise RefusedError(409, problem) from None


async def change_job(asked: Asked) -> JobDocument:
    """
    Change a job.

    What is given takes the place of what was; the trigger is changed last. Another callable is refused where nobody is
    asked who he is, as in adding jobs.
    """
    job_id, store, changes = asked.path["job_id"], asked.query.get("store"), {**asked.body}
    if "func" in changes:
        check_is_known(asked)
    schedule = changes.pop("trigger", None)
    job = await asked.backend.job(job_id, store)
    with values_of_users():
        trigger = None if schedule is None else make_trigger(schedule, asked.backend.zone)
        if trigger is not None:
            check_has_time(trigger, asked.backend.now)
        if changes:
            job = await asked.backend.modify_job(job_id, job.jobstore, **changes)
        if trigger is not None:
            job = await asked.backend.reschedule_job(job_id, job.jobstore, trigger)
    return _document(job)


async def remove_job(asked: Asked) -> None:
    """
    Remove a job.

    Its history stays.
    """
    await asked.backend.remove_job(asked.path["job_id"], asked.query.get("store"))


async def pause_job(asked: Asked) -> JobDocument:
    """Let a job not run until it is resumed."""
    return _document(await asked.backend.pause_job(asked.path["job_id"], asked.query.get("store")))


async def resume_job(asked: Asked) -> JobDocument:
    """
    Let a paused or quarantined job run again.

    It goes on with the next time of its trigger.
    """
    job_id = asked.path["job_id"]
    try:
        job = await asked.backend.resume_job(job_id, asked.query.get("store"))
    except ValueError as exc:
        raise RefusedError(409, str(exc)) from None
    if job is None:
        raise RefusedError(409, f"job {job_id!r} had no time to come, and was removed.")
    return _document(job)


async def run_job(asked: Asked) -> RunDocument:
    """
    Run a job now.

    The run is queued for a node; the schedule stays as it is.
    """
    job_id, store = asked.path["job_id"], asked.query.get("store")
    job = await asked.backend.job(job_id, store)
    with values_of_users():
        run = await asked.backend.run_job(job_id, job.jobstore, **asked.body)
    return run_document(run, job.jobstore or STORE)


async def backfill_job(asked: Asked) -> BackfillDocument:
    """
    Run a job for the nominal times of the past that have no record, oldest first, and wait for that.

    What has a record is left as it is, whatever its outcome. A client that goes away ends it: no further run is queued,
    and the same request goes on with what is left.
    """
    job_id, body = asked.path["job_id"], asked.body
    job = await asked.backend.job(job_id, asked.query.get("store"))
    is_dry = body.get("dry_run", False)
    work = partial(
        asked.backend.backfill,
        job_id,
        body["start"],
        body.get("end", asked.backend.now),
        job.jobstore,
        max_parallel=body.get("max_parallel", 1),
        dry_run=is_dry,
    )
    with values_of_users():
        report = await asked.while_client_waits(work)
    if report is None:
        raise RefusedError(408, "Nobody waits for the backfill any more, so no further run is queued.")
    return backfill_document(report, job.jobstore or STORE, dry_run=is_dry)


def _document(job: Job) -> JobDocument:
    return job_document(job, job.jobstore or STORE)


def _tags(query: dict[str, Any]) -> dict[str, str]:
    tags: dict[str, str] = {}
    for text in query.get("tag", ()):
        name, equals, tags[name] = text.partition("=")
        if not name or not equals:
            raise RefusedError(422, f"tag must be of the form name=value, got {text!r}.")
    return tags
