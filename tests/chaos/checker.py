"""
Compare what the triggers say, what the history says and what the ledger says.

What breaks the promise is a failure. What the promise allows, since a node that had the run was killed or silent for
long enough to lose its lease, is counted.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC
from itertools import pairwise
from statistics import median

import attrs

from apsched.run import Outcome, Run
from tests.chaos.courses import Course
from tests.chaos.faults import Faults
from tests.chaos.ledger import Attempt

LATE_LIMIT = 60.0  # seconds from due to started; more than any fault lasts, and all that follows from it
GIVEN_UP = "as 4 others did before"  # why a run is abandoned under which five nodes have died


@attrs.define
class Report:
    """
    What was found.

    Attributes:
        nominal_times: How many were owed.
        outcomes: How many records there are of each outcome.
        starts: How many calls were entered.
        again: How many runs were started more than once, as the promise allows.
        overlaps: How many of these were still under way on a node that had lost its lease.
        late_starts: How many calls a node began although others had abandoned them while it stood still.
        lateness: Seconds from due to started of runs that nothing queued: the median, and the most.
        latest: The run that was so late.
        failures: What breaks the promise.
    """

    nominal_times: int = 0
    outcomes: Counter[str] = attrs.field(factory=Counter)
    starts: int = 0
    again: int = 0
    overlaps: int = 0
    late_starts: int = 0
    lateness: tuple[float, float] = (0.0, 0.0)
    latest: str = ""
    failures: list[str] = attrs.field(factory=list)


class Checker:
    """
    Looks at everything when all has come to its end.

    Args:
        courses: What is owed, by job id.
        runs: The history.
        attempts: The ledger.
        faults: What was done.
        lease: In seconds.
        offset: The time of day less that of the monotonic clock, in seconds.
    """

    def __init__(
        self,
        courses: Mapping[str, Course],
        runs: Sequence[Run],
        attempts: Sequence[Attempt],
        faults: Faults,
        lease: float,
        offset: float,
    ) -> None:
        self._courses = courses
        self._faults = faults
        self._lease = lease
        self._offset = offset
        self._runs = {run.id: run for run in runs}
        self._by_job: dict[str, list[Run]] = defaultdict(list)
        for run in runs:
            self._by_job[run.job_id].append(run)
        self._attempts: dict[str, list[Attempt]] = defaultdict(list)
        for attempt in attempts:
            self._attempts[attempt.run_id].append(attempt)
        self._report = Report(outcomes=Counter(run.outcome.value for run in runs), starts=len(attempts))
        if len(self._runs) != len(runs):
            self._fail("the history has two records of one id")

    def check(self) -> Report:
        """Return what was found."""
        for job_id, course in self._courses.items():
            self._check_records(course, self._by_job[job_id])
            self._check_instances(course)
        for run in self._runs.values():
            if run.job_id not in self._courses:
                self._fail(f"{run.id} is of a job that nobody has added")
            else:
                self._check_outcome(run, self._courses[run.job_id])
        for run_id, attempts in self._attempts.items():
            self._check_attempts(run_id, attempts)
        self._check_lateness()
        return self._report

    def _fail(self, what: str) -> None:
        self._report.failures.append(what)

    # each nominal time has one record

    def _check_records(self, course: Course, runs: Sequence[Run]) -> None:
        owed = course.nominal_times()
        self._report.nominal_times += len(owed)
        records = [0] * len(owed)
        for run in runs:
            last = run.nominal_time.astimezone(UTC)
            first = last if run.first_nominal_time is None else run.first_nominal_time.astimezone(UTC)
            covered = range(bisect_left(owed, first), bisect_right(owed, last))
            if not covered or owed[covered[-1]] != last or owed[covered[0]] != first:
                self._fail(f"invented: {run.id} ({run.outcome}), which no trigger says")
            if run.count is not None and run.count != len(covered):
                self._fail(f"{run.id} stands for {run.count} nominal times, the trigger says {len(covered)}")
            for index in covered:
                records[index] += 1
        for moment, found in zip(owed, records, strict=True):
            run_id = Run(job_id=course.job.id, nominal_time=moment, due_time=moment, outcome=Outcome.PENDING).id
            if found > 1:
                self._fail(f"recorded {found} times: {run_id}")
            if not found:
                self._fail(f"lost: {run_id} has no record")

    # a record says what the ledger says

    def _check_outcome(self, run: Run, course: Course) -> None:
        attempts = self._attempts.get(run.id, [])
        match run.outcome:
            case Outcome.SUCCEEDED:
                if not any(a.is_whole and (a.node, a.epoch) == (run.node, run.epoch) for a in attempts):
                    self._fail(f"{run.id} has succeeded under epoch {run.epoch}, of which the ledger has no end")
                if any(a.epoch > run.epoch for a in attempts):
                    self._fail(f"written by a zombie: {run.id} under epoch {run.epoch}, though a later one has started")
            case Outcome.SKIPPED | Outcome.COALESCED if attempts:
                self._fail(f"{run.id} is {run.outcome} and was started")
            case Outcome.SKIPPED | Outcome.COALESCED:
                pass
            case Outcome.CANCELLED if course.is_removed:
                pass  # what waits goes with its job
            case Outcome.ABANDONED if (
                course.job.on_crash == "abandon" or course.is_removed or GIVEN_UP in str(run.reason)
            ):
                self._check_abandoned(run, attempts)
            case _:
                self._fail(f"{run.id} is {run.outcome}: {run.error or run.reason}")
        if run.outcome is not Outcome.SUCCEEDED and not run.reason:
            self._fail(f"{run.id} is {run.outcome} and does not say why")

    def _check_abandoned(self, run: Run, attempts: Sequence[Attempt]) -> None:
        assert run.finished_at is not None
        given_up = run.finished_at.timestamp() - self._offset
        for attempt in attempts:
            if attempt.began > given_up:
                if not self._excuses(attempt, attempt.began):
                    self._fail(f"{run.id} was started by {attempt.node} after it was abandoned")
                self._report.late_starts += 1

    # starts

    def _check_attempts(self, run_id: str, attempts: Sequence[Attempt]) -> None:
        job_id = attempts[0].job_id
        if run_id not in self._runs:
            self._fail(f"{run_id} was started and has no record")
            return
        if len(attempts) > 1:
            self._report.again += 1
            if self._courses[job_id].job.on_crash == "abandon":
                self._fail(f"started {len(attempts)} times in spite of 'abandon': {run_id}")
        for one, other in pairwise(attempts):
            if other.epoch <= one.epoch:
                self._fail(f"{run_id} was started under epoch {other.epoch} after epoch {one.epoch}")
            if not self._excuses(one, other.began):
                self._fail(f"{run_id} was started again by {other.node} though nothing had happened to {one.node}")
            if one.ended is not None and one.ended > other.began:
                self._report.overlaps += 1

    def _check_instances(self, course: Course) -> None:
        """See that no more runs are under way than may be at a time, apart from nodes that had lost their lease."""
        job = course.job
        attempts = sorted(
            (a for run in self._by_job[job.id] for a in self._attempts.get(run.id, ())), key=lambda a: a.began
        )
        under_way: list[Attempt] = []
        for attempt in attempts:
            under_way = [
                one
                for one in under_way
                if (one.ended is None or one.ended > attempt.began) and not self._excuses(one, attempt.began)
            ]
            if len(under_way) >= job.max_instances and job.overlap != "allow":
                others = ", ".join(f"{one.run_id} on {one.node}" for one in under_way)
                self._fail(f"overlapping: {attempt.run_id} on {attempt.node} with {others}")
            under_way.append(attempt)

    def _excuses(self, attempt: Attempt, until: float) -> bool:
        """Tell whether the node of *attempt* can have lost its lease between that and *until*."""
        return self._faults.can_have_silenced(attempt.node, attempt.began - self._lease, until, self._lease)

    def _check_lateness(self) -> None:
        found: dict[str, float] = {}
        for run in self._runs.values():
            course = self._courses.get(run.job_id)
            if course is None or course.job.overlap != "skip" or run.epoch > 1 or run.started_at is None:
                continue
            if run.started_at < run.due_time:
                self._fail(f"early: {run.id}, due {run.due_time}, started {run.started_at}")
            known = max(run.due_time, course.added_at or run.due_time)
            found[run.id] = max((run.started_at - known).total_seconds(), 0.0)
            if found[run.id] > LATE_LIMIT:
                self._fail(f"late: {run.id} by {found[run.id]:.1f} s")
        if found:
            self._report.latest = max(found, key=found.__getitem__)
            self._report.lateness = median(found.values()), found[self._report.latest]
