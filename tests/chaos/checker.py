"""
Compare what the triggers say, what the history says and what the ledger says.

What breaks the promise is a failure. What the promise allows, since a node that had the run was killed or silent for
long enough to lose its lease, is counted.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from statistics import median

import attrs

from apsched.run import Outcome
from tests.chaos import lateness, outcomes, records, starts
from tests.chaos.evidence import Evidence


@attrs.frozen
class Report:
    """
    What was found.

    Attributes:
        nominal_times: How many were owed.
        outcomes: How many records there are of each outcome.
        starts: How many calls were entered.
        again: How many runs were started again since their nodes had lost them, as the promise allows.
        overlaps: How many of these were still under way on a node that had lost its lease.
        late_starts: How many calls a node began although others had abandoned them while it stood still.
        retried: How many attempts failed and were followed by another one.
        followed: How many of the nominal times are those of runs that were followed.
        cancelled: How many runs somebody has tried to cancel by hand.
        lateness: Seconds from due to started of runs that nothing queued: the median, and the most.
        latest: The run that was so late.
        failures: What breaks the promise.
    """

    nominal_times: int
    outcomes: Counter[str]
    starts: int
    again: int
    overlaps: int
    late_starts: int
    retried: int
    followed: int
    cancelled: int
    lateness: tuple[float, float]
    latest: str
    failures: list[str]


def check(evidence: Evidence) -> Report:
    """Look at everything, and return what was found."""
    failures = [breach for part in (records, outcomes, starts, lateness) for breach in part.breaches(evidence)]
    late = lateness.lateness(evidence)
    latest = max(late, key=late.__getitem__, default="")
    owed = {job_id: len(records.owed(evidence, course)) for job_id, course in evidence.courses.items()}
    lost, overlaps = _lost_and_overlapping(evidence)
    return Report(
        nominal_times=sum(owed.values()),
        outcomes=Counter(run.outcome.value for run in evidence.history),
        starts=sum(map(len, evidence.attempts.values())),
        again=lost,
        overlaps=overlaps,
        late_starts=_late_starts(evidence),
        retried=sum(attempt.outcome is Outcome.FAILED for run in evidence.history for attempt in run.attempts),
        followed=sum(number for job_id, number in owed.items() if evidence.job(job_id).follows is not None),
        cancelled=len(evidence.cancellations),
        lateness=(median(late.values()), late[latest]) if late else (0.0, 0.0),
        latest=latest,
        failures=failures,
    )


def _lost_and_overlapping(evidence: Evidence) -> tuple[int, int]:
    """Return how many runs were started again for want of their nodes, and how many attempts these had under way."""
    lost: set[str] = set()
    overlaps = 0
    for run_id, attempts in evidence.attempts.items():
        run = evidence.runs.get(run_id)
        for one, other in pairwise(attempts):
            if run is not None and not starts.is_retried(run, one):
                lost.add(run_id)
                overlaps += one.ended is not None and one.ended > other.began
    return len(lost), overlaps


def _late_starts(evidence: Evidence) -> int:
    return sum(
        attempt.began > evidence.seconds(run.finished_at)
        for run in evidence.runs.values()
        if run.outcome is Outcome.ABANDONED and run.finished_at is not None
        for attempt in evidence.attempts_of(run.id)
    )
