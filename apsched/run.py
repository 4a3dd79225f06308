"""Say what a run, its outcome and a plan are (layer 3)."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

import attrs

from apsched import _current
from apsched.job import Job
from apsched.triggers.after import After


class Outcome(enum.StrEnum):
    """
    What became of a nominal time; a text, the name in lower case.

    Attributes:
        PENDING: It waits for a slot, or for another run of the job to end.
        RUNNING: It is under way.
        SUCCEEDED: The callable returned.
        FAILED: The callable raised.
        TIMED_OUT: It took longer than it may.
        CANCELLED: It was cancelled: by hand, by a later run, by a shutdown.
        MISSED: It was later than the job's `misfire_grace_time` allows.
        SKIPPED: Another run of the job was under way.
        COALESCED: It stood behind a later nominal time, which ran for both.
        ABANDONED: Its node died.
    """

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    MISSED = "missed"
    SKIPPED = "skipped"
    COALESCED = "coalesced"
    ABANDONED = "abandoned"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to the run."""
        return self not in _OPEN


DEATH = 1_000_000  # by which the death of a node raises the epoch: more than anybody claims one run, and few in 32 bits

MOST_ATTEMPTS = 20  # of which a run keeps how they ended

_OPEN = frozenset({Outcome.PENDING, Outcome.RUNNING})


@attrs.frozen(kw_only=True)
class Attempt:
    """
    An attempt at a nominal time that did not do, and was followed by another one.

    Attributes:
        number: From 1 on.
        outcome: How it ended: `failed`, `timed_out`, or `abandoned` if its node died.
        node: The node that made it.
        started_at: When the callable was entered, aware UTC; None if it never was.
        finished_at: When that was decided, aware UTC.
        error: Traceback of what it raised, or why it ended; the last 4,000 characters of that.
    """

    number: int
    outcome: Outcome
    node: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: str | None = None


@attrs.frozen(kw_only=True)
class Report:
    """
    What the callable tells of itself while it runs.

    Attributes:
        progress: How much of its work is done, from 0 to 1; None if it has not said.
        message: What it does, for people; None if it has not said.
        log: The last lines that it logged, each ended by a line feed; None if there are none.
    """

    progress: float | None = None
    message: str | None = None
    log: str | None = None


@attrs.define(kw_only=True, eq=False)
class Run:
    """
    One execution, or non-execution, of a job for one nominal time.

    A value: it is replaced as the run goes on, never changed but for *cancelled* and *report*. (Not frozen, since
    making a frozen one takes three times as long, and two are made for each execution.)

    Attributes:
        job_id: The id of the job.
        nominal_time: What the trigger said, aware; with *job_id* it identifies the run in a store. Of a run started by
            hand: when that was.
        outcome: What became of it.
        due_time: When it was due, aware: the nominal time and its jitter; of a later attempt, when that was. A pending
            run is claimed from then on.
        first_nominal_time: Where one record stands for many nominal times (a long catch-up): the first of them, the
            last being *nominal_time*; otherwise None.
        count: How many nominal times the record stands for; None if more than could be counted (1,000).
        is_manual: Whether it was started by hand (`run_job`) and not by the trigger.
        epoch: Fencing number of the claim: 1 for the first one, raised by 1 by each later one and by `DEATH` when its
            node died; 0 if never claimed.
        node: The node that claimed it.
        claimed_at: When it was claimed, aware UTC.
        started_at: When the callable was entered, aware UTC; None if it never was.
        finished_at: When the outcome was decided, aware UTC.
        retval: What the callable returned.
        error: Traceback of what it raised, as text.
        reason: Why it did not run, did not end by itself, or was run again; one sentence.
        args: Positional arguments in place of the job's, or None.
        kwargs: Keyword arguments in place of the job's, or None.
        attempts: The earlier attempts, oldest first: the last 20 of them.
        report: What the callable has told of itself; None if it has told nothing.
        cancel_reason: Why somebody wants it cancelled, while its node has not seen to that; otherwise None.
        cancelled: Whether the run is being given up: cancelled, or timed out. Of `current_run()` only, where it changes
            while the run is under way; a callable in a thread, which cannot be interrupted, should look at it.
    """

    job_id: str
    nominal_time: datetime
    outcome: Outcome
    due_time: datetime
    first_nominal_time: datetime | None = None
    count: int | None = 1
    is_manual: bool = False
    epoch: int = 0
    node: str | None = None
    claimed_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    retval: Any = None
    error: str | None = None
    reason: str | None = None
    args: tuple[Any, ...] | None = None
    kwargs: Mapping[str, Any] | None = None
    attempts: tuple[Attempt, ...] = ()
    report: Report | None = None
    cancel_reason: str | None = None
    cancelled: bool = False

    @property
    def id(self) -> str:
        """Text of (job_id, nominal_time); unique in a store for ever."""
        return run_id(self.job_id, self.nominal_time)

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt at this nominal time: pass it on to systems that refuse doubles."""
        return self.id

    @property
    def attempt(self) -> int:
        """The number of the attempt at this nominal time, from 1 on."""
        return self.attempts[-1].number + 1 if self.attempts else 1

    @property
    def deaths(self) -> int:
        """How many nodes have died while they had it under way."""
        return self.epoch // DEATH

    @property
    def lateness(self) -> float | None:
        """Seconds from due to started; None if it was not started."""
        return None if self.started_at is None else (self.started_at - self.due_time).total_seconds()

    @property
    def duration(self) -> float | None:
        """Seconds from started to finished; None if one of them has not come."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()

    @property
    def why(self) -> str:
        """Why it ended as it did, in one line: its reason, or the last line of its error; empty if there is neither."""
        return self.reason or (self.error or "").strip().rpartition("\n")[2]

    def progress(self, fraction: float | None, message: str | None = None) -> None:
        """
        Tell how far the callable is; to be called by it, on `current_run()`, as often as it likes.

        Others see it within a second or so, as `report` of the run.

        Args:
            fraction: How much of its work is done, from 0 to 1; None if that is not known.
            message: What it does, for people; None leaves what it said before.

        Raises:
            ValueError: *fraction* is out of range.
        """
        if fraction is not None and not 0 <= fraction <= 1:
            raise ValueError(f"fraction must be from 0 to 1, or None, got {fraction!r}")
        with _current.reporting:
            known = self.report or Report()
            message = known.message if message is None else message
            self.report = attrs.evolve(known, progress=fraction, message=message)
        if _current.on_progress is not None:
            _current.on_progress(fraction, message)


def run_id(job_id: str, nominal_time: datetime) -> str:
    """Return the id of the run of *job_id* for *nominal_time* (aware): `job@2026-03-29T01:00:00Z`."""
    return f"{job_id}@{nominal_time.astimezone(UTC).replace(tzinfo=None).isoformat()}Z"


def parse_run_id(text: str) -> tuple[str, datetime]:
    """
    Return the job id and the nominal time (UTC) in *text*.

    Raises:
        ValueError: *text* is not the id of a run.
    """
    job_id, separator, moment = text.rpartition("@")
    try:
        if not job_id or not separator or not moment.endswith("Z"):
            raise ValueError(text)
        return job_id, datetime.fromisoformat(moment)
    except ValueError:
        raise ValueError(f"run_id must look like 'job@2026-03-29T01:00:00Z', as in Run.id, got {text!r}") from None


FOLLOWED: Mapping[str, frozenset[Outcome]] = {
    "success": frozenset({Outcome.SUCCEEDED}),
    "failure": frozenset({Outcome.FAILED, Outcome.TIMED_OUT, Outcome.ABANDONED}),
    "any": frozenset({Outcome.SUCCEEDED, Outcome.FAILED, Outcome.TIMED_OUT, Outcome.ABANDONED, Outcome.CANCELLED}),
}
"""`on` of `After` -> outcomes of runs that are followed."""


ENDED: Mapping[Outcome, str] = {
    Outcome.SUCCEEDED: "succeeded",
    Outcome.FAILED: "failed",
    Outcome.TIMED_OUT: "timed out",
    Outcome.ABANDONED: "was abandoned",
    Outcome.CANCELLED: "was cancelled",
}
"""How a run ended, in words."""


def following(job: Job, run: Run) -> Run | None:
    """
    Return the pending run of *job* that follows *run*, which has ended; None if it is not followed.

    Not if *job* is paused or quarantined, nor if *run* ended in another way than *job* waits for.
    """
    trigger = job.trigger
    if not isinstance(trigger, After) or trigger.job != run.job_id or job.next_run_time is None or job.quarantine:
        return None
    if run.outcome not in FOLLOWED[trigger.on]:
        return None
    return Run(
        job_id=job.id,
        nominal_time=run.nominal_time,
        due_time=run.nominal_time if run.finished_at is None else run.finished_at,
        outcome=Outcome.PENDING,
        reason=f"follows run {run.id}, which {ENDED[run.outcome]}",
    )


@attrs.define(kw_only=True, eq=False)
class Plan:
    """
    What is to become of one due job; a value, like `Run`.

    Attributes:
        job: The job.
        runs: Records to insert, oldest first: claimed (`running`), queued (`pending`), or closed at once.
        next_nominal_time: What the trigger says next; None if it is finished.
        next_run_time: That and its jitter.
        removes_job: Whether the trigger is finished and the job leaves the store.
        cancel: Runs under way that the overlap policy wants cancelled.
        quarantine: Why this node cannot run the job; the job is kept and not looked at again until it is changed.
    """

    job: Job
    runs: tuple[Run, ...] = ()
    next_nominal_time: datetime | None = None
    next_run_time: datetime | None = None
    removes_job: bool = False
    cancel: tuple[Run, ...] = ()
    quarantine: str | None = None


Planner: TypeAlias = Callable[[Job, Sequence[Run], datetime, str], Plan]
"""(job, its open runs, now, owner) -> plan; pure, may be called again for the same job."""
