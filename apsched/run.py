"""Say what a run, its outcome and a plan are (layer 3)."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

import attrs

from apsched.job import Job


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

_OPEN = frozenset({Outcome.PENDING, Outcome.RUNNING})


@attrs.define(kw_only=True, eq=False)
class Run:
    """
    One execution, or non-execution, of a job for one nominal time.

    A value: it is replaced as the run goes on, never changed but for *cancelled*. (Not frozen, since making a frozen
    one takes three times as long, and two are made for each execution.)

    Attributes:
        job_id: The id of the job.
        nominal_time: What the trigger said, aware; with *job_id* it identifies the run in a store. Of a run started by
            hand: when that was.
        outcome: What became of it.
        due_time: When it was due: the nominal time and its jitter, aware.
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
        """The number of the attempt at this nominal time; it rises with each, from 1 on, and may leave some out."""
        return self.epoch % DEATH

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
