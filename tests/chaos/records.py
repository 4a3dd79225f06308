"""The first part of the promise: each nominal time that is owed has one record, and nothing else has."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime

from apsched.run import FOLLOWED, run_id
from apsched.triggers.after import After
from tests.chaos.courses import Course
from tests.chaos.evidence import Evidence


def breaches(evidence: Evidence) -> Iterator[str]:
    """Say what is lost, doubled or invented."""
    if len({run.id for run in evidence.history}) < len(evidence.history):
        yield "the history has two records of one id"
    for run in evidence.history:
        if run.job_id not in evidence.courses:
            yield f"{run.id} is of a job that nobody has added"
    for course in evidence.courses.values():
        yield from _breaches_of_job(evidence, course)


def owed(evidence: Evidence, course: Course) -> list[datetime]:
    """Return the nominal times that must have records: what the trigger says, or what was followed; in order, UTC."""
    trigger = course.job.trigger
    if not isinstance(trigger, After):
        return course.nominal_times()
    followed = (run for run in evidence.runs_of(trigger.job) if run.outcome in FOLLOWED[trigger.on])
    return sorted(run.nominal_time.astimezone(UTC) for run in followed)


def _breaches_of_job(evidence: Evidence, course: Course) -> Iterator[str]:
    moments = owed(evidence, course)
    records = [0] * len(moments)
    for run in evidence.runs_of(course.job.id):
        last = run.nominal_time.astimezone(UTC)
        first = last if run.first_nominal_time is None else run.first_nominal_time.astimezone(UTC)
        covered = range(bisect_left(moments, first), bisect_right(moments, last))
        if not covered or moments[covered[-1]] != last or moments[covered[0]] != first:
            yield f"invented: {run.id} ({run.outcome}), which no trigger says"
        if run.count is not None and run.count != len(covered):
            yield f"{run.id} stands for {run.count} nominal times, the trigger says {len(covered)}"
        for index in covered:
            records[index] += 1
    for moment, found in zip(moments, records, strict=True):
        if found > 1:
            yield f"recorded {found} times: {run_id(course.job.id, moment)}"
        if not found:
            yield f"lost: {run_id(course.job.id, moment)} has no record"
