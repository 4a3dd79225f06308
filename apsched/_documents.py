"""Tell of jobs, runs and nodes in forms that JSON has; their fields stay as they are from release to release (layer 7).

What a form says of its fields is part of the OpenAPI document of the REST interface.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias, TypedDict

from apsched.engine.backfill import BackfillReport
from apsched.job import Job, OnCrash, Overlap
from apsched.jobstores.base import Node
from apsched.retry import Retry
from apsched.run import Attempt, Report, Run
from apsched.triggers.after import NEVER
from apsched.triggers.words import describe

STORE = "default"  # the alias of a store that is opened without a scheduler

Instant: TypeAlias = Annotated[str, ("format", "date-time")]
Seconds: TypeAlias = Annotated[float, ("minimum", 0)]
State: TypeAlias = Literal["scheduled", "paused", "quarantined"]
OutcomeText: TypeAlias = Literal[
    "pending",
    "running",
    "succeeded",
    "failed",
    "timed_out",
    "cancelled",
    "missed",
    "skipped",
    "coalesced",
    "abandoned",
]


class RetryDocument(TypedDict):
    """
    When a run that has failed is attempted again.

    Attributes:
        max_attempts: How many attempts there are in all; null for any number.
        backoff: Seconds before the second attempt.
        factor: By which each later delay is longer than the last.
        longest: Seconds that a delay has at most.
        jitter: Up to so many seconds are added.
        on: After which exceptions, as module:name.
        give_up_at: How many seconds after the nominal time an attempt may begin at most; null for any number.
    """

    max_attempts: int | None
    backoff: Seconds
    factor: float
    longest: Seconds
    jitter: Seconds
    on: list[str]
    give_up_at: Seconds | Literal["next_run"] | None


class JobDocument(TypedDict):
    """
    A job: what runs, when, and how.

    Attributes:
        id: Unique in its store.
        store: The alias of its store.
        name: For people.
        func: The callable, as module:name; null if it has no importable name.
        state: Whether it runs at its times; a quarantined job is one that cannot be read or run, and is kept.
        trigger: What says its times, as the program writes it.
        trigger_words: The same in English, for people.
        next_run_time: When it is due next; null if it is paused, or waits for another job.
        follows: The id of the job whose runs it follows; null if it has times of its own.
        args: Positional arguments; what JSON has no form for is the text that Python shows.
        kwargs: Keyword arguments; what JSON has no form for is the text that Python shows.
        executor: The alias of the executor that runs it.
        misfire_grace_time: How many seconds after its time a run may still start; null for any number.
        coalesce: Whether of several times that are due at once only the last runs.
        max_instances: How many runs of it may be under way at a time.
        overlap: What becomes of a time beyond that.
        on_crash: What becomes of a run whose node dies.
        timeout: How many seconds a run may take; null for any number.
        retry: When a run that has failed is attempted again; null for never.
        expect_success_within: After how many seconds without success it counts as overdue; null for never.
        keep_runs: How many finished runs the history keeps; null for what the store keeps by default.
        tags: Names and values to find jobs by.
        priority: From -10 to 10; of more jobs than may run, those of the highest come first.
        requires: Words for what a node must have to run it.
        quarantine: Why it is quarantined; null if all is well.
    """

    id: str
    store: str
    name: str
    func: str | None
    state: State
    trigger: str
    trigger_words: str
    next_run_time: Instant | None
    follows: str | None
    args: list[Any]
    kwargs: dict[str, Any]
    executor: str
    misfire_grace_time: Seconds | None
    coalesce: bool
    max_instances: int
    overlap: Overlap
    on_crash: OnCrash
    timeout: Seconds | None
    retry: RetryDocument | None
    expect_success_within: Seconds | None
    keep_runs: int | None
    tags: dict[str, str]
    priority: int
    requires: list[str]
    quarantine: str | None


class AttemptDocument(TypedDict):
    """
    An earlier attempt at a nominal time, that failed.

    Attributes:
        number: From 1 on.
        outcome: How it ended.
        node: The node that made it; null if none did.
        started_at: When the callable was entered; null if it was not.
        finished_at: When that was decided.
        error: The end of the traceback of what the callable raised, or why it ended.
    """

    number: int
    outcome: OutcomeText
    node: str | None
    started_at: Instant | None
    finished_at: Instant | None
    error: str | None


class RunDocument(TypedDict):
    """
    A run: what became of one nominal time of a job.

    Attributes:
        id: Unique in its store: the id of the job, and the nominal time.
        store: The alias of its store.
        job_id: The id of the job.
        nominal_time: What the trigger said; of a run that was started by hand, when that was.
        outcome: What became of it.
        reason: Why it did not run, did not end by itself, or was run again; null if there is nothing to say.
        is_manual: Whether it was started by hand.
        attempt: The number of the attempt, from 1 on.
        attempts: Those before it, oldest first, the last 20 of them.
        node: The node that has or had it; null if none has.
        due_time: The nominal time and its jitter; of a later attempt, when that is due.
        claimed_at: When a node claimed it; null if none has.
        started_at: When the callable was entered; null if it was not.
        finished_at: When the outcome was decided; null if it is not.
        lateness: Seconds from due to started; null if it was not started.
        duration: Seconds from started to finished; null if one of them has not come.
        first_nominal_time: The first nominal time, where it stands for many; otherwise null.
        count: For how many nominal times it stands; null for more than a thousand.
        retval: What the callable returned; what JSON has no form for is the text that Python shows.
        error: The traceback of what the callable raised; null if it raised nothing.
        progress: How much of its work is done, from 0 to 1; null if it has not said.
        message: What it does, as it says; null if it has not.
        log: The last lines that it logged; null if there are none.
        cancel_reason: Why it is to be cancelled, while its node has not seen to that; otherwise null.
    """

    id: str
    store: str
    job_id: str
    nominal_time: Instant
    outcome: OutcomeText
    reason: str | None
    is_manual: bool
    attempt: int
    attempts: list[AttemptDocument]
    node: str | None
    due_time: Instant
    claimed_at: Instant | None
    started_at: Instant | None
    finished_at: Instant | None
    lateness: float | None
    duration: float | None
    first_nominal_time: Instant | None
    count: int | None
    retval: Any
    error: str | None
    progress: float | None
    message: str | None
    log: str | None
    cancel_reason: str | None


class NodeDocument(TypedDict):
    """
    A node: one start of a scheduler.

    Attributes:
        id: Host, process id and a random part; never used again.
        store: The alias of the store that it has joined.
        started_at: When it joined, by its own clock.
        seen_at: When it gave its last sign of life, by its own clock.
        beat: How many signs of life it has given.
        lease: After how many seconds of silence others take it for dead.
        is_dead: Whether another node has taken it for dead.
        running: How many runs it has under way.
    """

    id: str
    store: str
    started_at: Instant
    seen_at: Instant
    beat: int
    lease: Seconds
    is_dead: bool
    running: int


class BackfillDocument(TypedDict):
    """
    What became of a backfill.

    Attributes:
        job: The id of the job.
        nominal_times: The nominal times that it was asked for, in order.
        dry_run: Whether nothing was run.
        recorded: How many of them had a record before, and were left as they were.
        outcomes: How many of the others ended in which outcome.
        failed: The runs of these that did not succeed, in the order of their ends.
    """

    job: str
    nominal_times: list[Instant]
    dry_run: bool
    recorded: int
    outcomes: dict[str, int]
    failed: list[RunDocument]


def job_document(job: Job, store: str = STORE) -> JobDocument:
    """Return what is told of a job, which is in the store of the alias *store*."""
    return {
        "id": job.id,
        "store": store,
        "name": job.name,
        "func": job.func_ref,
        "state": state_of(job),
        "trigger": str(job.trigger),
        "trigger_words": describe(job.trigger),
        "next_run_time": None if job.next_run_time == NEVER else instant_or_none(job.next_run_time),
        "follows": job.follows,
        "args": [document_of(value) for value in job.args],
        "kwargs": {name: document_of(value) for name, value in job.kwargs.items()},
        "executor": job.executor,
        "misfire_grace_time": job.misfire_grace_time,
        "coalesce": job.coalesce,
        "max_instances": job.max_instances,
        "overlap": job.overlap,
        "on_crash": job.on_crash,
        "timeout": job.timeout,
        "retry": None if job.retry is None else _retry_document(job.retry),
        "expect_success_within": job.expect_success_within,
        "keep_runs": job.keep_runs,
        "tags": dict(job.tags),
        "priority": job.priority,
        "requires": list(job.requires),
        "quarantine": job.quarantine,
    }


def _retry_document(retry: Retry) -> RetryDocument:
    return {
        "max_attempts": retry.max_attempts,
        "backoff": retry.backoff,
        "factor": retry.factor,
        "longest": retry.longest,
        "jitter": retry.jitter,
        "on": list(retry.on),
        "give_up_at": retry.give_up_at,
    }


def state_of(job: Job) -> State:
    """Return in which state *job* is."""
    if job.quarantine is not None:
        return "quarantined"
    return "paused" if job.next_run_time is None else "scheduled"


def run_document(run: Run, store: str = STORE) -> RunDocument:
    """Return what is told of a run, which is in the store of the alias *store*."""
    report = run.report or Report()
    return {
        "id": run.id,
        "store": store,
        "job_id": run.job_id,
        "nominal_time": instant(run.nominal_time),
        "outcome": run.outcome.value,
        "reason": run.reason,
        "is_manual": run.is_manual,
        "attempt": run.attempt,
        "attempts": [_attempt_document(attempt) for attempt in run.attempts],
        "node": run.node,
        "due_time": instant(run.due_time),
        "claimed_at": instant_or_none(run.claimed_at),
        "started_at": instant_or_none(run.started_at),
        "finished_at": instant_or_none(run.finished_at),
        "lateness": run.lateness,
        "duration": run.duration,
        "first_nominal_time": instant_or_none(run.first_nominal_time),
        "count": run.count,
        "retval": document_of(run.retval),
        "error": run.error,
        "progress": report.progress,
        "message": report.message,
        "log": report.log,
        "cancel_reason": run.cancel_reason,
    }


def _attempt_document(attempt: Attempt) -> AttemptDocument:
    return {
        "number": attempt.number,
        "outcome": attempt.outcome.value,
        "node": attempt.node,
        "started_at": instant_or_none(attempt.started_at),
        "finished_at": instant_or_none(attempt.finished_at),
        "error": attempt.error,
    }


def node_document(node: Node, running: int, store: str = STORE) -> NodeDocument:
    """Return what is told of a node, which has *running* runs under way."""
    return {
        "id": node.id,
        "store": store,
        "started_at": instant(node.started_at),
        "seen_at": instant(node.seen_at),
        "beat": node.beat,
        "lease": node.lease,
        "is_dead": node.is_dead,
        "running": running,
    }


def backfill_document(report: BackfillReport, store: str = STORE, *, dry_run: bool) -> BackfillDocument:
    """Return what is told of a backfill of a job, which is in the store of the alias *store*."""
    return {
        "job": report.job_id,
        "nominal_times": [instant(moment) for moment in report.nominal_times],
        "dry_run": dry_run,
        "recorded": report.recorded,
        "outcomes": {outcome.value: count for outcome, count in report.outcomes.items()},
        "failed": [run_document(run, store) for run in report.failed],
    }


def instant(moment: datetime) -> str:
    """Return the text of *moment*, which is aware: ISO 8601 with its offset."""
    return moment.isoformat()


def instant_or_none(moment: datetime | None) -> str | None:
    """Return the text of *moment*, or None for None."""
    return None if moment is None else instant(moment)


def document_of(value: Any) -> Any:
    """Return *value*, an argument or a result, if JSON has a form for it, and what `repr` shows if not."""
    try:
        json.dumps(value, allow_nan=False)
    except Exception:  # of whatever class, by the methods of whatever it holds
        try:
            return repr(value)
        except Exception:
            return f"<{type(value).__qualname__}>"
    return value
