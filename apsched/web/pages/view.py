"""What the pages show of jobs and runs (layer 10)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, tzinfo

import attrs
from markupsafe import Markup
from starlette.requests import Request

from apsched._documents import State, state_of
from apsched.job import Job
from apsched.jobstores.base import RunFilter
from apsched.run import Report, Run
from apsched.triggers.after import After
from apsched.triggers.words import describe_for
from apsched.web.answers import StoredRun
from apsched.web.backend import Backend
from apsched.web.charts.spark import BARS, sparkline
from apsched.web.words import KINDS, query, query_of

LONGEST_TEXT = 20_000  # characters of an argument or a result
STATE_KINDS: dict[State, str] = {"scheduled": "ok", "paused": "mute", "quarantined": "bad"}


@attrs.frozen(kw_only=True)
class JobRow:
    """
    A job in a table.

    Attributes:
        job: The job.
        key: Tells its row from others; the same at each look.
        query: Names it in the address of its pages.
        state: In which state it is.
        kind: The color of that.
        words: Its trigger in words.
        runs: Its last runs, the latest first.
        spark: Their picture.
    """

    job: Job
    key: str
    query: str
    state: State
    kind: str
    words: str
    runs: Sequence[Run]
    spark: Markup

    @property
    def follows(self) -> str | None:
        """The id of the job whose runs it follows; None if it has times of its own."""
        return self.job.trigger.job if isinstance(self.job.trigger, After) else None

    @property
    def last(self) -> Run | None:
        """Its latest run."""
        return self.runs[0] if self.runs else None


@attrs.frozen(kw_only=True)
class RunRow:
    """
    A run in a table.

    Attributes:
        run: The run.
        key: Tells its row from others.
        query: Names it in the address of its page.
        job_query: Names its job in the address of that page.
        kind: The color of its outcome.
    """

    run: Run
    key: str
    query: str
    job_query: str
    kind: str

    @property
    def report(self) -> Report:
        """What it tells of itself."""
        return self.run.report or Report()


async def job_rows(backend: Backend, jobs: Sequence[Job], zone: tzinfo) -> list[JobRow]:
    """Return the rows of *jobs*."""
    return [await job_row(backend, job, zone) for job in jobs]


async def job_row(backend: Backend, job: Job, zone: tzinfo, *, runs: int = BARS) -> JobRow:
    """Return the row of *job*, with so many of its last runs."""
    page = await backend.runs(RunFilter(job_id=job.id), runs, store=job.jobstore)
    last = [each.run for each in page.runs]
    state = state_of(job)
    return JobRow(
        job=job,
        key=_key(str(job.jobstore), job.id),
        query=query({"id": job.id, "store": job.jobstore}),
        state=state,
        kind=STATE_KINDS[state],
        words=describe_for(job.trigger, zone, job.next_run_time or backend.now),
        runs=last,
        spark=sparkline(last[:BARS], zone, backend.now),
    )


def run_rows(runs: Sequence[StoredRun]) -> list[RunRow]:
    """Return the rows of *runs*."""
    return [run_row(each) for each in runs]


def run_row(stored: StoredRun) -> RunRow:
    """Return the row of a run."""
    return RunRow(
        run=stored.run,
        key=_key(stored.store, stored.run.id),
        query=query({"id": stored.run.id, "store": stored.store}),
        job_query=query({"id": stored.run.job_id, "store": stored.store}),
        kind=KINDS[stored.run.outcome],
    )


def link(request: Request, **changes: str | None) -> str:
    """Return the query of *request* with *changes*; None leaves a name out."""
    kept = [(name, value) for name, value in request.query_params.multi_items() if name not in changes]
    return "?" + query_of([*kept, *changes.items()])


def chosen_store(request: Request) -> str | None:
    """Return the alias of the store that *request* names, or None."""
    return request.query_params.get("store") or None


def as_text(values: Sequence[object]) -> list[str]:
    """Return each of *values* as `repr` says it; where that fails, its class."""
    return [_text(value) for value in values]


def _text(value: object) -> str:
    try:
        text = repr(value)
        return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]} ... ({len(text):,} characters)"
    except Exception:  # a class of the user may do anything
        return f"<{type(value).__qualname__} object>"


def _key(store: str, name: str) -> str:
    return hashlib.sha256(f"{store}\0{name}".encode("utf-8", "replace")).hexdigest()[:12]


def since(moment: datetime | None, now: datetime) -> float | None:
    """Return the seconds from *moment* to *now*, not less than 0."""
    return None if moment is None else max((now - moment).total_seconds(), 0.0)
