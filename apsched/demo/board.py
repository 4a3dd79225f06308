"""Follow what becomes of each job, by a listener (layer 10)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from datetime import datetime

import attrs

from apsched.events import (
    EVENT_JOB_CANCELLED,
    EVENT_JOB_COALESCED,
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    EVENT_JOB_SUBMITTED,
    JobExecutionEvent,
    JobSubmissionEvent,
)
from apsched.job import Job
from apsched.run import Outcome, Run

ENDS = (
    EVENT_JOB_EXECUTED
    | EVENT_JOB_ERROR
    | EVENT_JOB_MISSED
    | EVENT_JOB_MAX_INSTANCES
    | EVENT_JOB_COALESCED
    | EVENT_JOB_CANCELLED
)
"""The events that tell of a run's outcome."""

NEWS = 6  # kept


@attrs.define(eq=False)
class Line:
    """
    What is known of one job.

    Attributes:
        job: The job.
        next_run_time: When it is due next, aware; None for never.
        last: The run that ended last.
        succeeded: How many runs did.
        failed: How many runs did.
        not_run: How many nominal times have a record that says why they did not run.
        under_way: How many runs have been started and have not ended.
    """

    job: Job
    next_run_time: datetime | None = None
    last: Run | None = None
    succeeded: int = 0
    failed: int = 0
    not_run: int = 0
    under_way: int = 0

    def note(self, run: Run) -> None:
        """Count a run that has ended."""
        self.last = run
        if run.outcome is Outcome.SUCCEEDED:
            self.succeeded += 1
        elif run.outcome is Outcome.FAILED:
            self.failed += 1
        else:
            self.not_run += run.count or 0


class Board:
    """
    What is known of all jobs.

    Args:
        jobs: The jobs to follow.
        past: The runs so far, the latest first.

    Attributes:
        lines: Job id -> what is known of it, in the order of *jobs*.
        news: The last runs that did not succeed.
    """

    def __init__(self, jobs: Iterable[Job], past: Sequence[Run] = ()) -> None:
        self.lines: dict[str, Line] = {job.id: Line(job) for job in jobs}
        self.news: deque[Run] = deque(maxlen=NEWS)
        for run in reversed(past):
            if run.outcome.is_final and run.job_id in self.lines:
                self._note(run)

    def look_ahead(self, jobs: Iterable[Job]) -> None:
        """Take note of when each of *jobs* is due next; those that are missing are finished."""
        times = {job.id: job.next_run_time for job in jobs}
        for job_id, line in self.lines.items():
            line.next_run_time = times.get(job_id)

    def listen(self, event: JobSubmissionEvent | JobExecutionEvent) -> None:
        """Take note of the runs in *event*; a listener for `EVENT_JOB_SUBMITTED` and `ENDS`."""
        runs = event.runs if isinstance(event, JobSubmissionEvent) else (event.run,)
        if event.code == EVENT_JOB_SUBMITTED:
            self.lines[event.job_id].under_way += len(runs)
            return
        for run in runs:
            if run.node is not None:
                self.lines[run.job_id].under_way -= 1
            self._note(run)

    def _note(self, run: Run) -> None:
        self.lines[run.job_id].note(run)
        if run.outcome is not Outcome.SUCCEEDED:
            self.news.append(run)


def what_came_of(run: Run) -> str:
    """Say in one line why a run did not succeed; what it returned if it did."""
    return run.why or ("" if run.retval is None else f"returned {run.retval}")
