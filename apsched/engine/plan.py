"""Decide what becomes of a due job (layer 6).

Rule 1: everything about misfires, coalescing, overlap, catching up and jitter is in this file.
Rule 2: nothing here waits, reads a clock, draws a random number or logs. A plan depends on the arguments alone.
Rule 3: work and memory are bounded however far a job is behind: at most `CATCH_UP_LIMIT` runs come of one plan, and a
record may stand for a whole range of nominal times.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from apsched.job import Job
from apsched.run import Outcome, Plan, Planner, Run
from apsched.triggers.base import BaseTrigger

CATCH_UP_LIMIT = 1000  # runs that one plan makes of missed nominal times; what is older is recorded in one row
TICK = timedelta(microseconds=1)

RUNNING = Outcome.RUNNING
PENDING = Outcome.PENDING
MISSED = Outcome.MISSED
SKIPPED = Outcome.SKIPPED
COALESCED = Outcome.COALESCED


def due_time(job_id: str, trigger: BaseTrigger, nominal: datetime) -> datetime:
    """
    Return when the run of *nominal* is due: 0 to `trigger.jitter` seconds later.

    The delay is derived from the job and the nominal time, so every node finds the same one and it never adds up.
    """
    if not trigger.jitter:
        return nominal
    key = f"{job_id}|{nominal.timestamp()}".encode()
    fraction = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") / 2**64
    delayed = nominal.astimezone(UTC) + timedelta(seconds=trigger.jitter * fraction)
    return delayed.astimezone(nominal.tzinfo)


def make_planner(executors: Container[str]) -> Planner:
    """Return `plan` for a node that has these executors: a job that names another is quarantined."""

    def plan_here(job: Job, open_runs: Sequence[Run], now: datetime, owner: str) -> Plan:
        if job.executor not in executors:
            return Plan(job=job, quarantine=f"no executor has the alias {job.executor!r} on node {owner}")
        return plan(job, open_runs, now, owner)

    return plan_here


def plan(job: Job, open_runs: Sequence[Run], now: datetime, owner: str) -> Plan:
    """
    Decide what becomes of the nominal times of *job* that are due.

    Args:
        job: Due: its `next_run_time` is at or before *now*.
        open_runs: Its runs that are pending or running, on any node.
        now: Aware UTC.
        owner: The node that claims.
    """
    first, due = job.next_nominal_time, job.next_run_time
    assert first is not None and due is not None  # a paused job is never due
    following = job.trigger.get_next_fire_time(first, now)
    following_due = None if following is None else due_time(job.id, job.trigger, following)
    if following_due is not None and following_due <= now:
        return _catch_up(job, open_runs, first, now, owner)
    if _is_late(job, due, now):
        runs, cancel = (_missed(job, first, first, now),), ()
    elif open_runs:
        runs, cancel = _overlap(job, open_runs, [first], now, owner)
    else:
        runs, cancel = (_claimed(job, first, due, now, owner),), ()
    return Plan(
        job=job,
        runs=runs,
        cancel=cancel,
        next_nominal_time=following,
        next_run_time=following_due,
        removes_job=following is None,
    )


def _catch_up(job: Job, open_runs: Sequence[Run], first: datetime, now: datetime, owner: str) -> Plan:
    """Decide about several nominal times at once: from *first* to the last one that is due."""
    last = _last_due(job, first, now)
    following = job.trigger.get_next_fire_time(last, now)
    closed, candidates = _select(job, first, last, now)
    runs, cancel = _overlap(job, open_runs, candidates, now, owner) if candidates else ((), ())
    return Plan(
        job=job,
        runs=(*closed, *runs),
        cancel=cancel,
        next_nominal_time=following,
        next_run_time=None if following is None else due_time(job.id, job.trigger, following),
        removes_job=following is None,
    )


def _last_due(job: Job, first: datetime, now: datetime) -> datetime:
    """Return the last nominal time from *first* on that is due, its jitter included."""
    last = job.trigger.get_last_fire_time(first, now)
    while last is not None and due_time(job.id, job.trigger, last) > now:
        last = job.trigger.get_last_fire_time(first, last - TICK)
    return first if last is None else last


def _select(job: Job, first: datetime, last: datetime, now: datetime) -> tuple[list[Run], list[datetime]]:
    """Part the nominal times from *first* to *last* into those that are closed at once and those that may run."""
    trigger = job.trigger
    if job.coalesce:
        if _is_late(job, due_time(job.id, trigger, last), now):
            return [_missed(job, first, last, now)], []
        before_last = trigger.get_last_fire_time(first, last - TICK) or first
        reason = f"stood behind the nominal time {last.isoformat()}, which runs for it"
        return [_closed(job, COALESCED, first, before_last, now, reason)], [last]
    closed = []
    oldest: datetime | None = first
    if job.misfire_grace_time is not None:
        too_late = now - timedelta(seconds=job.misfire_grace_time) - TICK
        last_missed = _last_due(job, first, too_late) if first <= too_late else None
        if last_missed is not None and _is_late(job, due_time(job.id, trigger, last_missed), now):
            closed.append(_missed(job, first, last_missed, now))
            oldest = trigger.get_next_fire_time(last_missed, now)
    if oldest is None or oldest > last:
        return closed, []
    kept_from = _latest(trigger, oldest, last)
    if kept_from > oldest:
        before_kept = trigger.get_last_fire_time(oldest, kept_from - TICK) or oldest
        reason = f"further behind than the {CATCH_UP_LIMIT} nominal times that are caught up with"
        closed.append(_closed(job, MISSED, oldest, before_kept, now, reason))
    return closed, list(_walk(trigger, kept_from, last))


def _latest(trigger: BaseTrigger, first: datetime, last: datetime) -> datetime:
    """Return a fire time from which there are at most `CATCH_UP_LIMIT` to *last*; *first* if there are no more."""
    span = last - first
    while trigger.count_fire_times(first, last, CATCH_UP_LIMIT) is None:
        span /= 2
        first = trigger.get_next_fire_time(last - span - TICK, last) or last
    return first


def _walk(trigger: BaseTrigger, first: datetime, last: datetime) -> Iterator[datetime]:
    moment: datetime | None = first
    while moment is not None and moment <= last:
        yield moment
        moment = trigger.get_next_fire_time(moment, last)


def _overlap(
    job: Job, open_runs: Sequence[Run], nominal_times: list[datetime], now: datetime, owner: str
) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
    """
    Let *nominal_times* run, wait or be skipped, as the open runs and the job's options allow.

    What is due together and finds a free instance is a catch-up: as much of it as may runs at once, the rest waits.
    Where no instance is free the overlap policy decides.

    Returns:
        The new runs, and the open ones to cancel.
    """
    trigger = job.trigger
    running = [run for run in open_runs if run.outcome is RUNNING]
    is_waiting = len(open_runs) > len(running)
    free = job.max_instances - len(running)
    match job.overlap:
        case "allow":
            free = len(nominal_times)
        case "cancel_running" if free <= 0:
            *older, last = nominal_times
            reason = f"stood behind the nominal time {last.isoformat()}, which runs for it"
            replaced = (_closed(job, COALESCED, older[0], older[-1], now, reason),) if older else ()
            return (*replaced, _claimed(job, last, due_time(job.id, trigger, last), now, owner)), tuple(running)
        case "queue_all" if is_waiting:
            free = 0
        case "queue_one" | "skip" if free <= 0 or is_waiting:
            may_wait = job.overlap == "queue_one" and not is_waiting
            skipped = nominal_times[1:] if may_wait else nominal_times
            waiting = [_pending(job, nominal_times[0])] if may_wait else []
            if skipped:
                waiting.append(_closed(job, SKIPPED, skipped[0], skipped[-1], now, _blocked_by(open_runs, now)))
            return tuple(waiting), ()
    free = max(free, 0)
    started = (_claimed(job, moment, due_time(job.id, trigger, moment), now, owner) for moment in nominal_times[:free])
    return (*started, *(_pending(job, moment) for moment in nominal_times[free:])), ()


def _blocked_by(open_runs: Sequence[Run], now: datetime) -> str:
    oldest = min(open_runs, key=lambda run: run.claimed_at or now)
    if oldest.claimed_at is None:
        return f"run {oldest.id} waits for its turn"
    age = (now - oldest.claimed_at).total_seconds()
    return f"run {oldest.id} has been under way on node {oldest.node} for {age:.3f} s"


def _is_late(job: Job, due: datetime, now: datetime) -> bool:
    return job.misfire_grace_time is not None and now - due > timedelta(seconds=job.misfire_grace_time)


def _claimed(job: Job, nominal: datetime, due: datetime, now: datetime, owner: str) -> Run:
    return Run(
        job_id=job.id, nominal_time=nominal, due_time=due, outcome=RUNNING, epoch=1, node=owner, claimed_at=now
    )


def _pending(job: Job, nominal: datetime) -> Run:
    due = due_time(job.id, job.trigger, nominal)
    return Run(job_id=job.id, nominal_time=nominal, due_time=due, outcome=PENDING)


def _missed(job: Job, first: datetime, last: datetime, now: datetime) -> Run:
    late = (now - due_time(job.id, job.trigger, last)).total_seconds()
    reason = f"{late:.3f} s late, and misfire_grace_time allows {job.misfire_grace_time} s"
    return _closed(job, MISSED, first, last, now, reason)


def _closed(job: Job, outcome: Outcome, first: datetime, last: datetime, now: datetime, reason: str) -> Run:
    """Return one record for the nominal times from *first* to *last* that will not run."""
    return Run(
        job_id=job.id,
        nominal_time=last,
        first_nominal_time=first if first < last else None,
        count=job.trigger.count_fire_times(first, last) if first < last else 1,
        due_time=due_time(job.id, job.trigger, last),
        outcome=outcome,
        finished_at=now,
        reason=reason,
    )
