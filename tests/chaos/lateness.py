"""How late runs are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.chaos.evidence import Evidence

LATE_LIMIT = 120.0  # seconds from due to started; more than any fault lasts, and all that follows from it


def breaches(evidence: Evidence) -> Iterator[str]:
    """Say what began before it was due, or much too late."""
    for run in evidence.runs.values():
        if run.started_at is not None and run.started_at < run.due_time:
            yield f"early: {run.id}, due {run.due_time}, started {run.started_at}"
    for run_id, seconds in lateness(evidence).items():
        if seconds > LATE_LIMIT:
            yield f"late: {run_id} by {seconds:.1f} s"


def lateness(evidence: Evidence) -> Mapping[str, float]:
    """Return the seconds from due to started of the runs that nothing queued and no node had before, by their ids."""
    found: dict[str, float] = {}
    for run in evidence.runs.values():
        course = evidence.courses[run.job_id]
        if course.job.overlap == "skip" and run.epoch <= 1 and run.started_at is not None:
            known = max(run.due_time, course.added_at or run.due_time)
            found[run.id] = max((run.started_at - known).total_seconds(), 0.0)
    return found
