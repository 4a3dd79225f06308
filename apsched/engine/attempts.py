"""Decide whether a run that has failed is attempted again, and when (layer 6).

Rule 1: nothing here waits, reads a clock or draws a random number: what becomes of a run depends on the arguments
alone.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import attrs

from apsched.exceptions import Cancel, RetryLater
from apsched.job import Job
from apsched.run import MOST_ATTEMPTS, Attempt, Outcome, Run

LONGEST_ERROR = 4_000  # characters that are kept of how an attempt ended; the last ones, which say what was raised


def after_failure(job: Job, run: Run, exception: BaseException | None, now: datetime) -> Run:
    """
    Decide what becomes of *run*, which has failed or timed out.

    Args:
        job: Its job.
        run: As it ended.
        exception: What it raised; None if it raised nothing.
        now: Aware UTC.

    Returns:
        *run* itself; or one that is pending until its next attempt is due; or, if it raised `Cancel`, a cancelled one.
    """
    if isinstance(exception, Cancel):
        return attrs.evolve(run, outcome=Outcome.CANCELLED, error=None, reason=str(exception))
    delay = _delay(job, run, exception)
    if delay is None:
        return run
    due = now + delay
    if (why_not := _why_not(job, run, due)) is not None:
        return attrs.evolve(run, reason=why_not if run.reason is None else f"{run.reason}; {why_not}")
    what = "timed out" if run.outcome is Outcome.TIMED_OUT else f"failed ({_shown(exception)})"
    return attrs.evolve(
        run,
        outcome=Outcome.PENDING,
        due_time=due,
        started_at=None,
        finished_at=None,
        error=None,
        reason=f"attempt {run.attempt} {what}; the next one is due {delay.total_seconds():g} s later",
        attempts=with_attempt(run, run.outcome),
    )


def with_attempt(
    run: Run, outcome: Outcome, error: str | None = None, finished_at: datetime | None = None
) -> tuple[Attempt, ...]:
    """Return the attempts of *run* and the one that it has now made, which ended with *outcome*."""
    error = error or run.error or run.reason
    attempt = Attempt(
        number=run.attempt,
        outcome=outcome,
        node=run.node,
        started_at=run.started_at,
        finished_at=finished_at or run.finished_at,
        error=None if error is None else error[-LONGEST_ERROR:],
    )
    return (*run.attempts, attempt)[-MOST_ATTEMPTS:]


def _delay(job: Job, run: Run, exception: BaseException | None) -> timedelta | None:
    """Return how long the next attempt waits; None if there is none to be."""
    if isinstance(exception, RetryLater):
        return timedelta(seconds=exception.seconds)
    if job.retry is None or exception is None or not job.retry.includes(exception):
        return None
    return job.retry.delay(run.attempt, run.id)


def _why_not(job: Job, run: Run, due: datetime) -> str | None:
    """Return why there is no attempt at *due*; None if there is one."""
    retry = job.retry
    if retry is None:
        return None
    if retry.max_attempts is not None and run.attempt >= retry.max_attempts:
        return f"it was attempt {run.attempt}, and max_attempts is {retry.max_attempts}"
    if isinstance(retry.give_up_at, str):  # "next_run"
        following = job.trigger.get_next_fire_time(run.nominal_time, run.nominal_time)
        if following is not None and due >= following:
            return f"the next attempt would come after the next nominal time, {following.isoformat(sep=' ')}"
    elif retry.give_up_at is not None and due > run.nominal_time + timedelta(seconds=retry.give_up_at):
        return f"the next attempt would come more than {retry.give_up_at:g} s after the nominal time"
    return None


def _shown(exception: BaseException | None) -> str:
    try:
        text = f"{type(exception).__name__}: {exception}"
    except Exception:  # a class of the user may do anything
        text = type(exception).__name__
    return text if len(text) <= 200 else f"{text[:196]} ..."
