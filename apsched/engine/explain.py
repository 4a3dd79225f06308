"""Say what comes next for a job, and what became or will become of one nominal time (layer 6)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import attrs

from apsched.engine.plan import due_time
from apsched.job import Job
from apsched.run import Run


@attrs.frozen(kw_only=True)
class Explanation:
    """
    The answer of `explain`.

    Attributes:
        job: The job; None if it is gone.
        next_times: Its next nominal times, aware; none for a paused job.
        runs: The records that answer for the nominal time that was asked about.
        text: All of it in sentences, one a line.
    """

    job: Job | None
    next_times: tuple[datetime, ...]
    runs: tuple[Run, ...]
    text: str

    def __str__(self) -> str:
        return self.text


def next_times(job: Job, count: int) -> list[datetime]:
    """Return the next *count* nominal times of *job*, or fewer if its trigger ends, or fails, before."""
    times, _ = _look_ahead(job, count)
    return times


def explain(job: Job | None, job_id: str, when: datetime | None, runs: Sequence[Run], count: int) -> Explanation:
    """
    Explain a job.

    Args:
        job: The job, or None if it is gone.
        job_id: Its id.
        when: The nominal time to explain, aware; None: only what comes next.
        runs: The records that cover *when*.
        count: How many next times.
    """
    times, failure = ([], None) if job is None else _look_ahead(job, count)
    lines = [_state(job, job_id, times)]
    if failure is not None:
        lines.append(f"Its trigger does not tell what comes then: it raises {_named(failure)}.")
    if when is not None:
        lines += [_record(run, when) for run in runs] or [_lack(job, when)]
    return Explanation(job=job, next_times=tuple(times), runs=tuple(runs), text="\n".join(lines))


def _look_ahead(job: Job, count: int) -> tuple[list[datetime], Exception | None]:
    """Return the next nominal times of *job*, and what its trigger has raised instead of telling more."""
    times: list[datetime] = []
    moment = None if job.follows is not None else job.next_nominal_time
    try:
        while moment is not None and len(times) < count:
            times.append(moment)
            moment = job.trigger.get_next_fire_time(moment, moment)
    except Exception as exc:  # a trigger may be a user's, and raise anything
        return times, exc
    return times, None


def _state(job: Job | None, job_id: str, times: Sequence[datetime]) -> str:
    if job is None:
        return f"There is no job {job_id!r}: it was removed, or its trigger is finished, or it never was."
    if job.quarantine is not None:
        return f"Job {job.id!r} is quarantined: {job.quarantine}."
    if job.next_run_time is None:
        return f"Job {job.id!r} is paused; resume_job lets it run again."
    if job.follows is not None:
        return f"Job {job.id!r} ({job.trigger}) waits for job {job.follows!r}."
    if not times:
        return f"Job {job.id!r} ({job.trigger}) runs next at {job.next_run_time.isoformat(sep=' ')}."
    listed = ", ".join(moment.isoformat(sep=" ") for moment in times)
    jitter = f", each up to {job.trigger.jitter} s later" if job.trigger.jitter else ""
    return f"Job {job.id!r} ({job.trigger}) runs next at {listed}{jitter}."


def _record(run: Run, when: datetime) -> str:
    moment = when.isoformat(sep=" ")
    if run.count != 1:
        count = "more than 1000" if run.count is None else run.count
        moment += f" (one of {count} nominal times in one record)"
    reason = f": {run.reason}" if run.reason else ""
    times = ""
    if run.lateness is not None:
        times = f"; started {run.lateness:.3f} s after it was due on node {run.node}"
        if run.duration is not None:
            times += f" and took {run.duration:.3f} s"
    return f"{moment}: {run.outcome.value}{reason}{times}."


def _lack(job: Job | None, when: datetime) -> str:
    try:
        return _absence(job, when)
    except Exception as exc:  # a trigger may be a user's, and raise anything
        moment = when.isoformat(sep=" ")
        return f"{moment}: no record is kept of it, and the trigger does not tell: it raises {_named(exc)}."


def _named(exc: Exception) -> str:
    return f"{type(exc).__name__}: {exc}"


def _absence(job: Job | None, when: datetime) -> str:
    moment = when.isoformat(sep=" ")
    if job is None:
        return f"{moment}: no record is kept of it."
    upcoming = job.next_nominal_time
    if upcoming is not None and job.next_run_time is not None and _order(upcoming, when) == 0:
        return f"{moment}: will be due at {job.next_run_time.isoformat(sep=' ')}."  # users may set it, off the grid too
    nominal = job.trigger.get_next_fire_time(None, when)
    if nominal is None or _order(nominal, when) < 0:
        return f"{moment} is no nominal time of the trigger {job.trigger}; there is none after it."
    if _order(nominal, when) > 0:
        later = nominal.isoformat(sep=" ")
        return f"{moment} is no nominal time of the trigger {job.trigger}; the next one is {later}."
    if upcoming is None:
        return f"{moment}: will not run while the job is paused."
    if _order(when, upcoming) < 0:
        return f"{moment}: no record is kept of it; it came before the job was added or resumed, or was pruned."
    due = due_time(job.id, job.trigger, nominal)
    return f"{moment}: will be due at {due.isoformat(sep=' ')}."


def _order(one: datetime, other: datetime) -> int:
    """Return -1, 0 or 1 as *one* comes before, with or after *other*, whatever their clocks show."""
    return (one.astimezone(UTC) > other.astimezone(UTC)) - (one.astimezone(UTC) < other.astimezone(UTC))
