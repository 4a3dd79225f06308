"""Decide what becomes of a due job (layer 6).

Rule 1: everything about misfires, coalescing, overlap, catching up and jitter is in this file.
Rule 2: nothing here waits, reads a clock, draws a random number or logs. A plan depends on the arguments alone.
Rule 3: work and memory are bounded however far a job is behind: at most `CATCH_UP_LIMIT` runs come of one plan, and a
record may stand for a whole range of nominal times.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Container, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import attrs

from apsched.engine.attempts import with_attempt
from apsched.job import Job
from apsched.run import DEATH, Outcome, Plan, Planner, Run
from apsched.serializers.base import unreadable_arguments
from apsched.triggers.base import STEP_LIMIT, BaseTrigger

CRASH_LIMIT = 5  # nodes that may die under one run before it is given up: it may be what kills them
CATCH_UP_LIMIT = 1000  # runs that one plan makes of missed nominal times; what is older is recorded in one row
TICK = timedelta(microseconds=1)

RUNNING = Outcome.RUNNING
PENDING = Outcome.PENDING
MISSED = Outcome.MISSED
SKIPPED = Outcome.SKIPPED
COALESCED = Outcome.COALESCED


def due_time(job_id: str, trigger: BaseTrigger, nominal: datetime) -> datetime:
    """
    Return when the run of *nominal* is due: 0 to `trigger.jitter` seconds later, and not after the next nominal time.

    The delay is derived from the job and the nominal time, so every node finds the same one and it never adds up. Its
    second bound keeps runs in the order of their nominal times.
    """
    if not trigger.jitter:
        return nominal
    start = nominal.astimezone(UTC)
    longest = timedelta(seconds=trigger.jitter)
    following = trigger.get_next_fire_time(nominal, nominal)
    if following is not None:
        longest = min(longest, following.astimezone(UTC) - start)
    key = f"{job_id}|{nominal.timestamp()}".encode()
    fraction = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") / 2**64
    return (start + longest * fraction).astimezone(nominal.tzinfo)


def make_planner(executors: Container[str], capabilities: frozenset[str] = frozenset()) -> Planner:
    """
    Return `plan` for a node that has these executors and capabilities.

    A job that names another executor, or requires more, is quarantined, and so is one whose trigger raises: it must not
    keep the others from running. (Of a shared store such jobs do not come here, but are left to other nodes.)
    """

    def plan_here(job: Job, open_runs: Sequence[Run], now: datetime, owner: str) -> Plan:
        if job.executor not in executors:
            return Plan(job=job, quarantine=f"no executor has the alias {job.executor!r} on node {owner}")
        if not capabilities.issuperset(job.requires):
            lacks = ", ".join(word for word in job.requires if word not in capabilities)
            return Plan(job=job, quarantine=f"it requires {lacks}, which node {owner} has not among its capabilities")
        try:
            return plan(job, open_runs, now, owner)
        except Exception as exc:  # a trigger may be a user's, and raise anything
            return Plan(job=job, quarantine=f"its trigger {job.trigger!r} raised {type(exc).__name__}: {exc}")

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
    if first is None or due is None:
        raise ValueError(f"a job that is planned must be due, got {job.id!r}, which is paused")
    following = job.trigger.get_next_fire_time(first, now)
    following_due = None if following is None else due_time(job.id, job.trigger, following)
    if following_due is not None and following_due <= now:
        return _catch_up(job, open_runs, first, now, owner)
    runs: tuple[Run, ...]
    cancel: tuple[Run, ...] = ()
    if _is_late(job, due, now):
        runs = (_missed(job, first, first, now),)
    elif open_runs:
        runs, cancel = _overlap(job, open_runs, [first], now, owner)
    else:
        runs = (_claimed(job, first, due, now, owner),)
    return Plan(
        job=job,
        runs=runs,
        cancel=cancel,
        next_nominal_time=following,
        next_run_time=following_due,
        removes_job=following is None,
    )


def after_crash(job: Job | None, run: Run, now: datetime) -> Run:
    """
    Decide what becomes of *run*, whose node died while it was under way.

    Args:
        job: Its job; None if that was removed.
        run: As it was claimed.
        now: Aware UTC.

    Returns:
        A pending run of a higher epoch, so that what the dead node may still write is refused; or an abandoned one; or
        a cancelled one, if that was asked for; or one that has failed since its arguments cannot be read.
    """
    died = f"node {run.node} died while it was under way"
    epoch = run.epoch + DEATH
    if (unreadable := unreadable_arguments(run)) is not None:
        bare = attrs.evolve(run, args=None, kwargs=None)
        return attrs.evolve(bare, outcome=Outcome.FAILED, epoch=epoch, finished_at=now, reason=unreadable)
    if run.cancel_reason is not None:
        reason = f"{run.cancel_reason}; {died}"
        return attrs.evolve(run, outcome=Outcome.CANCELLED, epoch=epoch, finished_at=now, reason=reason)
    if job is None:
        reason = f"{died}, and its job is gone"
    elif job.on_crash == "abandon":
        reason = f"{died}, and on_crash is 'abandon'"
    elif run.deaths + 1 >= CRASH_LIMIT:
        reason = f"{died}, as {run.deaths} others did before"
    else:
        reason = f"{died}; it is run again"
        attempts = with_attempt(run, Outcome.ABANDONED, died, now)
        return attrs.evolve(
            run, outcome=PENDING, epoch=epoch, node=None, claimed_at=None, reason=reason, attempts=attempts
        )
    return attrs.evolve(run, outcome=Outcome.ABANDONED, epoch=epoch, finished_at=now, reason=reason)


def _catch_up(job: Job, open_runs: Sequence[Run], first: datetime, now: datetime, owner: str) -> Plan:
    """Decide about several nominal times at once: from *first* to the last one that is due."""
    last = _last_due(job, first, now)
    following = job.trigger.get_next_fire_time(last, now)
    following_due = None if following is None else due_time(job.id, job.trigger, following)
    if job.coalesce:
        is_last = following_due is None or following_due > now  # False: the trigger walks, and not so far at once
        closed, candidates = _coalesce(job, first, last, now, is_last=is_last)
    else:
        closed, candidates = _select(job, first, last, now)
    runs, cancel = _overlap(job, open_runs, candidates, now, owner) if candidates else ((), ())
    return Plan(
        job=job,
        runs=(*closed, *runs),
        cancel=cancel,
        next_nominal_time=following,
        next_run_time=following_due,
        removes_job=following is None,
    )


def _last_due(job: Job, first: datetime, now: datetime) -> datetime:
    """Return the last nominal time from *first* on that is due, its jitter included."""
    last = job.trigger.get_last_fire_time(first, now)
    if last is not None and due_time(job.id, job.trigger, last) > now:
        last = job.trigger.get_last_fire_time(first, _just_before(last))
    return first if last is None else last


def _coalesce(
    job: Job, first: datetime, last: datetime, now: datetime, *, is_last: bool
) -> tuple[list[Run], list[datetime]]:
    """Let the last nominal time stand for all from *first* on; part them as `_select` does."""
    if _is_late(job, _due(job, last), now):
        return [_missed(job, first, last, now)], []
    if not is_last:
        reason = "stood behind later nominal times, the last of which stands for all"
        return [_closed(job, COALESCED, first, last, now, reason)], []
    before_last = job.trigger.get_last_fire_time(first, _just_before(last)) or first
    return [_closed(job, COALESCED, first, before_last, now, _replaced_by(last))], [last]


def _select(job: Job, first: datetime, last: datetime, now: datetime) -> tuple[list[Run], list[datetime]]:
    """Part the nominal times from *first* to *last* into those that are closed at once and those that may run."""
    trigger = job.trigger
    closed = []
    oldest: datetime | None = first
    if job.misfire_grace_time is not None:
        too_late = now - timedelta(seconds=job.misfire_grace_time) - TICK
        last_missed = _last_due(job, first, too_late)
        if _is_late(job, _due(job, last_missed), now):
            closed.append(_missed(job, first, last_missed, now))
            oldest = trigger.get_next_fire_time(last_missed, now)
    if oldest is None or _is_before(last, oldest):
        return closed, []
    kept = _latest(trigger, oldest, last)
    if _is_before(oldest, kept[0]):
        before_kept = trigger.get_last_fire_time(oldest, _just_before(kept[0])) or oldest
        reason = f"further behind than the {CATCH_UP_LIMIT} nominal times that are caught up with"
        closed.append(_closed(job, MISSED, oldest, before_kept, now, reason))
    return closed, kept


def _latest(trigger: BaseTrigger, first: datetime, last: datetime) -> list[datetime]:
    """Return the latest nominal times from *first* to *last*: all of them, or as many as are caught up with."""
    start, end = first, last.astimezone(UTC)
    span = end - first
    while _count(trigger, start, last, CATCH_UP_LIMIT) is None:
        span /= 2
        start = trigger.get_last_fire_time(first, end - span) or trigger.get_next_fire_time(first, end) or last
    kept = deque(_walk(trigger, start, last))
    while len(kept) < CATCH_UP_LIMIT and _is_before(first, kept[0]):
        kept.appendleft(trigger.get_last_fire_time(first, _just_before(kept[0])) or first)
    return list(kept)


def _walk(trigger: BaseTrigger, first: datetime, last: datetime) -> Iterator[datetime]:
    moment: datetime | None = first
    while moment is not None and not _is_before(last, moment):
        yield moment
        moment = trigger.get_next_fire_time(moment, last)


def _count(trigger: BaseTrigger, first: datetime, last: datetime, limit: int = STEP_LIMIT) -> int | None:
    """Count the nominal times from *first*, which a next run time given by hand may put beside the trigger's grid."""
    second = trigger.get_next_fire_time(first, last) if _is_before(first, last) else None
    if second is None or _is_before(last, second):
        return 1
    further = trigger.count_fire_times(second, last.astimezone(UTC), limit - 1)
    return None if further is None else 1 + further


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
    open_runs = [run for run in open_runs if run.outcome is RUNNING or run.due_time <= now]  # others wait for a retry
    running = [run for run in open_runs if run.outcome is RUNNING]
    is_waiting = len(open_runs) > len(running)
    free = job.max_instances - len(running)
    match job.overlap:
        case "allow":
            free = len(nominal_times)
        case "cancel_running" if free <= 0:
            *older, last = nominal_times
            replaced = (_closed(job, COALESCED, older[0], older[-1], now, _replaced_by(last)),) if older else ()
            return (*replaced, _claimed(job, last, _due(job, last), now, owner)), tuple(running)
        case "queue_all" if is_waiting:
            free = 0
        case "queue_one" | "skip" if free <= 0 or is_waiting:
            may_wait = job.overlap == "queue_one" and not is_waiting
            skipped = nominal_times[1:] if may_wait else nominal_times
            waiting = [_pending(job, nominal_times[0])] if may_wait else []
            if skipped:
                waiting.append(_closed(job, SKIPPED, skipped[0], skipped[-1], now, _blocked_by(open_runs, now)))
            return tuple(waiting), ()
        case _:
            pass  # there is room
    free = max(free, 0)
    started = (_claimed(job, moment, _due(job, moment), now, owner) for moment in nominal_times[:free])
    return (*started, *(_pending(job, moment) for moment in nominal_times[free:])), ()


def _blocked_by(open_runs: Sequence[Run], now: datetime) -> str:
    running = [run for run in open_runs if run.outcome is RUNNING]
    oldest = min(running or open_runs, key=lambda run: run.claimed_at or now)
    if not running or oldest.claimed_at is None:
        return f"run {oldest.id} waits for its turn"
    age = (now - oldest.claimed_at).total_seconds()
    return f"run {oldest.id} has been under way on node {oldest.node} for {age:.3f} s"


def _replaced_by(nominal: datetime) -> str:
    return f"stood behind the nominal time {nominal.isoformat()}, which runs for it"


def _due(job: Job, nominal: datetime) -> datetime:
    """Return when *nominal* is due: of the job's next one, what the job says, since users may set that."""
    if nominal is job.next_nominal_time and job.next_run_time is not None:
        return job.next_run_time
    return due_time(job.id, job.trigger, nominal)


def _is_before(one: datetime, other: datetime) -> bool:
    """Compare instants; within one zone `<` compares what clocks show, and these go back at the end of DST."""
    return one.astimezone(UTC) < other.astimezone(UTC)


def _just_before(moment: datetime) -> datetime:
    return moment.astimezone(UTC) - TICK


def _is_late(job: Job, due: datetime, now: datetime) -> bool:
    return job.misfire_grace_time is not None and now - due > timedelta(seconds=job.misfire_grace_time)


def _claimed(job: Job, nominal: datetime, due: datetime, now: datetime, owner: str) -> Run:
    return Run(job_id=job.id, nominal_time=nominal, due_time=due, outcome=RUNNING, epoch=1, node=owner, claimed_at=now)


def _pending(job: Job, nominal: datetime) -> Run:
    return Run(job_id=job.id, nominal_time=nominal, due_time=_due(job, nominal), outcome=PENDING)


def _missed(job: Job, first: datetime, last: datetime, now: datetime) -> Run:
    late = (now - _due(job, last)).total_seconds()
    reason = f"{late:.3f} s late, and misfire_grace_time allows {job.misfire_grace_time} s"
    return _closed(job, MISSED, first, last, now, reason)


def _closed(job: Job, outcome: Outcome, first: datetime, last: datetime, now: datetime, reason: str) -> Run:
    """Return one record for the nominal times from *first* to *last* that will not run."""
    return Run(
        job_id=job.id,
        nominal_time=last,
        first_nominal_time=first if _is_before(first, last) else None,
        count=_count(job.trigger, first, last),
        due_time=_due(job, last),
        outcome=outcome,
        finished_at=now,
        reason=reason,
    )
