"""What a session of chaos leaves behind, and what of it belongs together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from apsched.job import Job
from apsched.run import Run
from tests.chaos.courses import Course
from tests.chaos.faults import Faults
from tests.chaos.ledger import Attempt


class Evidence:
    """
    All that is known when everything has come to its end.

    Args:
        courses: What was decided about each job, by its id.
        runs: The history.
        attempts: The ledger, in the order of the starts.
        faults: What was done.
        lease: In seconds.
        offset: The time of day less that of the monotonic clock, in seconds.
        cancellations: Runs that somebody has cancelled by hand, by their ids -> the epoch in which they were; None:
            there was no answer.

    Attributes:
        courses: The same.
        history: All records.
        runs: Those of jobs that are known, by their ids.
        attempts: Run id -> the starts of that run, in their order.
        faults: The same.
        lease: The same.
        cancellations: The same.
    """

    def __init__(
        self,
        courses: Mapping[str, Course],
        runs: Sequence[Run],
        attempts: Sequence[Attempt],
        faults: Faults,
        lease: float,
        offset: float,
        cancellations: Mapping[str, int | None],
    ) -> None:
        self.courses = courses
        self.history = runs
        self.runs: dict[str, Run] = {run.id: run for run in runs if run.job_id in courses}
        self.attempts: dict[str, list[Attempt]] = defaultdict(list)
        for attempt in attempts:
            self.attempts[attempt.run_id].append(attempt)
        self.faults = faults
        self.lease = lease
        self.cancellations = cancellations
        self._offset = offset
        self._of_job: dict[str, list[Run]] = defaultdict(list)
        for run in runs:
            self._of_job[run.job_id].append(run)

    def job(self, job_id: str) -> Job:
        """Return the job as it was added."""
        return self.courses[job_id].job

    def runs_of(self, job_id: str) -> Sequence[Run]:
        """Return the records of a job."""
        return self._of_job.get(job_id, ())

    def attempts_of(self, run_id: str) -> Sequence[Attempt]:
        """Return the starts of a run, in their order."""
        return self.attempts.get(run_id, ())

    def starts_of(self, job_id: str) -> list[Attempt]:
        """Return the starts of all runs of a job, in their order."""
        starts = [attempt for run in self.runs_of(job_id) for attempt in self.attempts_of(run.id)]
        return sorted(starts, key=lambda attempt: attempt.began)

    def last_attempt(self, run: Run) -> Attempt | None:
        """Return the start that was made under the last claim of *run*."""
        found = (a for a in self.attempts_of(run.id) if (a.node, a.epoch) == (run.node, run.epoch))
        return next(found, None)

    def seconds(self, moment: datetime) -> float:
        """Return *moment* by the monotonic clock."""
        return moment.timestamp() - self._offset

    def can_have_lost(self, node: str, since: float, until: float) -> bool:
        """Tell whether *node* can have lost a lease which it had at *since*, and which others saw end by *until*."""
        return self.faults.can_have_silenced(node, since - self.lease, until, self.lease)

    def excuses(self, attempt: Attempt, until: float) -> bool:
        """Tell whether the node of *attempt* can have lost its lease between that and *until*."""
        return self.can_have_lost(attempt.node, attempt.began, until)
