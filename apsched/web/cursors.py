"""Say where a page begins, and find that place again (layer 10)."""

from __future__ import annotations

from urllib.parse import quote, unquote

from apsched.exceptions import ApschedError
from apsched.job import Job
from apsched.run import Outcome, Run, parse_run_id


class CursorError(ApschedError, ValueError):
    """The place at which a page is to begin is no such place, or is gone; begin with the first page."""


def cursor_of(alias: str, job_id: str) -> str:
    """Return the place after a job of the store of that alias."""
    return f"{quote(alias, safe='')}:{job_id}"


def job_cursor(job: Job) -> str:
    """Return the place after *job*."""
    return cursor_of(str(job.jobstore), job.id)


def job_place(cursor: str | None) -> tuple[str | None, str | None]:
    """Return the alias of a store and the id of a job in it, after which a page begins; raises CursorError."""
    if cursor is None:
        return None, None
    alias, separator, job_id = cursor.partition(":")
    if not separator:
        raise CursorError(f"{cursor!r} is no place at which a page of jobs begins; begin with the first page")
    return unquote(alias), job_id


def run_place(cursor: str) -> Run:
    """Return a run that stands where a page ends; its other values do not matter. Raises CursorError."""
    try:
        job_id, moment = parse_run_id(cursor)
    except ValueError:
        raise CursorError(f"{cursor!r} is no place at which a page of runs begins; begin with the first page") from None
    return Run(job_id=job_id, nominal_time=moment, due_time=moment, outcome=Outcome.PENDING)
