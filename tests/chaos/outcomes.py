"""What a record says is what the ledger says, and what did not run says why."""

from __future__ import annotations

from collections.abc import Iterator

from apsched.run import Outcome, Run
from tests.chaos.evidence import Evidence

DEATHS = 5  # of nodes, after which a run is given up


def breaches(evidence: Evidence) -> Iterator[str]:
    """Say which records are not true, or not allowed."""
    for run in evidence.runs.values():
        yield from _breaches_of_run(evidence, run)
        if run.outcome is not Outcome.SUCCEEDED and not run.reason:
            yield f"{run.id} is {run.outcome} and does not say why"


def _breaches_of_run(evidence: Evidence, run: Run) -> Iterator[str]:
    job = evidence.job(run.job_id)
    attempts = evidence.attempts_of(run.id)
    is_removed = evidence.courses[run.job_id].is_removed
    match run.outcome:
        case Outcome.SUCCEEDED:
            yield from _breaches_of_end(evidence, run, "end")
        case Outcome.FAILED if job.retry is not None:
            yield from _breaches_of_end(evidence, run, "failed")
            if job.retry.max_attempts is not None and run.attempt < job.retry.max_attempts:
                yield f"{run.id} has failed for good after attempt {run.attempt} of {job.retry.max_attempts}"
        case Outcome.SKIPPED | Outcome.COALESCED if attempts:
            yield f"{run.id} is {run.outcome} and was started"
        case Outcome.SKIPPED if job.overlap in {"skip", "queue_one"}:
            pass
        case Outcome.COALESCED if job.coalesce:
            pass
        case Outcome.CANCELLED if is_removed or run.id in evidence.cancellations or job.overlap == "cancel_running":
            pass
        case Outcome.ABANDONED if job.on_crash == "abandon" or is_removed or run.deaths >= DEATHS:
            yield from _breaches_of_abandoned(evidence, run)
        case _:
            yield f"{run.id} is {run.outcome}: {run.error or run.reason}"


def _breaches_of_end(evidence: Evidence, run: Run, how: str) -> Iterator[str]:
    attempt = evidence.last_attempt(run)
    if attempt is None or attempt.how != how:
        yield f"{run.id} has {run.outcome} under epoch {run.epoch}, of which the ledger has no {how!r}"
    if any(attempt.epoch > run.epoch for attempt in evidence.attempts_of(run.id)):
        yield f"written by a zombie: {run.id} under epoch {run.epoch}, though a later one has started"


def _breaches_of_abandoned(evidence: Evidence, run: Run) -> Iterator[str]:
    assert run.node is not None
    assert run.claimed_at is not None
    assert run.finished_at is not None
    given_up = evidence.seconds(run.finished_at)
    if not evidence.can_have_lost(run.node, evidence.seconds(run.claimed_at), given_up):
        yield f"{run.id} was abandoned though nothing had happened to {run.node}"
    for attempt in evidence.attempts_of(run.id):
        if attempt.began > given_up and not evidence.excuses(attempt, attempt.began):
            yield f"{run.id} was started by {attempt.node} after it was abandoned"
