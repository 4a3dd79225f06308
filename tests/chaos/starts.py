"""Whatever is started was owed a start: by its nominal time, by the death of a node, or by an attempt that failed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from apsched.run import Attempt as Known
from apsched.run import Outcome, Run
from apsched.triggers.after import After
from tests.chaos.evidence import Evidence
from tests.chaos.ledger import Attempt

REPLACED_FOR = 3.0  # seconds that a coroutine may go on after a later run has replaced it
TICK = 0.01  # seconds by which the two clocks may differ


def breaches(evidence: Evidence) -> Iterator[str]:
    """Say what was started too often, too early, too late, or beside another one."""
    for run_id, attempts in evidence.attempts.items():
        if (run := evidence.runs.get(run_id)) is None:
            yield f"{run_id} was started and has no record"
        else:
            yield from _breaches_of_starts(evidence, run, attempts)
    for run in evidence.runs.values():
        yield from _breaches_of_attempts(evidence, run)
        yield from _breaches_of_following(evidence, run)
    for job_id in evidence.courses:
        yield from _breaches_of_instances(evidence, job_id)
        yield from _breaches_of_turns(evidence, job_id)


def is_retried(run: Run, attempt: Attempt) -> bool:
    """Tell whether *attempt* has failed as it was meant to, and the store knew that when the next one began."""
    return attempt.how == "failed" and any(
        known.outcome is Outcome.FAILED and (known.number, known.node) == (attempt.number, attempt.node)
        for known in run.attempts
    )


def _breaches_of_starts(evidence: Evidence, run: Run, attempts: Sequence[Attempt]) -> Iterator[str]:
    job = evidence.job(run.job_id)
    for one, other in pairwise(sorted(attempts, key=lambda attempt: attempt.epoch)):
        if other.epoch == one.epoch:
            yield f"{run.id} was started twice under epoch {one.epoch}"
        if other.number <= one.number:
            yield f"{run.id} was started as attempt {other.number} after attempt {one.number}"
        if is_retried(run, one):
            assert one.ended is not None
            assert job.retry is not None
            if other.began < one.ended + job.retry.delay(one.number, run.id).total_seconds() - TICK:
                yield f"{run.id} was attempted again {other.began - one.ended:.3f} s after attempt {one.number}"
        elif job.on_crash == "abandon":
            yield f"started {len(attempts)} times in spite of 'abandon': {run.id}"
        elif not evidence.excuses(one, max(one.began, other.began)):
            yield f"{run.id} was started again by {other.node} though nothing had happened to {one.node}"
    cancelled = evidence.cancellations.get(run.id)
    if cancelled is not None and any(attempt.epoch > cancelled for attempt in attempts):
        yield f"{run.id} was started again though it had been cancelled under epoch {cancelled}"


def _breaches_of_attempts(evidence: Evidence, run: Run) -> Iterator[str]:
    """Compare the attempts that the record knows with what the ledger says, and with what is allowed."""
    retry = evidence.job(run.job_id).retry
    most = 1 if retry is None or retry.max_attempts is None else retry.max_attempts
    if [attempt.number for attempt in run.attempts] != list(range(1, run.attempt)):
        yield f"{run.id} has attempts {[attempt.number for attempt in run.attempts]}"
    deaths = sum(attempt.outcome is Outcome.ABANDONED for attempt in run.attempts)
    deaths += run.outcome is Outcome.ABANDONED
    if run.deaths != deaths and not (run.outcome is Outcome.CANCELLED and run.deaths == deaths + 1):
        yield f"{run.id} says {run.deaths} deaths in its epoch and {deaths} in its attempts"
    found = {(attempt.number, attempt.node): attempt for attempt in evidence.attempts_of(run.id)}
    if any(number > run.attempt for number, _ in found):
        yield f"{run.id} was started as attempt {max(found)[0]} and has a record of {run.attempt}"
    for known in run.attempts:
        attempt = found.get((known.number, known.node or ""))
        match known.outcome:
            case Outcome.FAILED if known.number >= most:
                yield f"{run.id} was attempted again after attempt {known.number} of {most}"
            case Outcome.FAILED if attempt is None or attempt.how != "failed":
                yield f"{run.id} has failed in attempt {known.number}, of which the ledger has no end"
            case Outcome.FAILED:
                pass
            case Outcome.ABANDONED if _can_have_died(evidence, run, known):
                pass
            case _:
                yield f"{run.id} is {known.outcome} in attempt {known.number} on {known.node}: {known.error}"


def _can_have_died(evidence: Evidence, run: Run, known: Known) -> bool:
    """Tell whether the node of an attempt can have died under it; others may have noticed that much later."""
    assert known.node is not None
    assert known.finished_at is not None
    since, until = evidence.seconds(run.nominal_time), evidence.seconds(known.finished_at)
    return evidence.can_have_lost(known.node, since, until)


def _breaches_of_following(evidence: Evidence, run: Run) -> Iterator[str]:
    """See that nothing begins before what it follows has ended."""
    trigger = evidence.job(run.job_id).trigger
    starts = evidence.attempts_of(run.id)
    if not isinstance(trigger, After) or not starts:
        return
    for followed in evidence.runs_of(trigger.job):
        if followed.nominal_time == run.nominal_time and followed.outcome in {Outcome.SUCCEEDED, Outcome.FAILED}:
            attempt = evidence.last_attempt(followed)
            if attempt is not None and attempt.ended is not None and starts[0].began < attempt.ended:
                yield f"{run.id} has begun before {followed.id} had ended"


def _breaches_of_instances(evidence: Evidence, job_id: str) -> Iterator[str]:
    """See that no more runs are under way than may be at a time, apart from nodes that had lost their lease."""
    job = evidence.job(job_id)
    under_way: list[Attempt] = []
    for attempt in evidence.starts_of(job_id):
        under_way = [
            one
            for one in under_way
            if _occupied_until(evidence, one) > attempt.began and not evidence.excuses(one, attempt.began)
        ]
        others = ", ".join(f"{one.run_id} on {one.node}" for one in under_way)
        if job.overlap == "cancel_running":
            for one in under_way:
                until = min(_occupied_until(evidence, one), attempt.began + evidence.lease)
                is_excused = any(evidence.excuses(each, until) for each in (one, attempt))
                if until > attempt.began + REPLACED_FOR and not is_excused:
                    yield f"{one.run_id} on {one.node} went on though {attempt.run_id} had replaced it"
        elif len(under_way) >= job.max_instances and job.overlap != "allow":
            yield f"overlapping: {attempt.run_id} on {attempt.node} with {others}"
        under_way.append(attempt)


def _occupied_until(evidence: Evidence, attempt: Attempt) -> float:
    """Return when an attempt made way for others: when it ended, or was cancelled, which no thread obeys."""
    ended = float("inf") if attempt.ended is None else attempt.ended
    run = evidence.runs[attempt.run_id]
    if run.outcome is Outcome.CANCELLED and run.finished_at is not None:
        ended = min(ended, evidence.seconds(run.finished_at))
    return ended


def _breaches_of_turns(evidence: Evidence, job_id: str) -> Iterator[str]:
    """See that what queues starts in its order."""
    job = evidence.job(job_id)
    if job.overlap != "queue_all" or job.max_instances > 1 or job.retry is not None or job.follows is not None:
        return
    for one, other in pairwise(evidence.starts_of(job_id)):
        is_in_turn = evidence.runs[one.run_id].nominal_time <= evidence.runs[other.run_id].nominal_time
        if not is_in_turn and not any(evidence.excuses(each, other.began) for each in (one, other)):
            yield f"{other.run_id} on {other.node} was started after {one.run_id} on {one.node}, which came later"
