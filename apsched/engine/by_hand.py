"""Make runs that somebody asks for, and end those that somebody does not want (layer 6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import attrs

from apsched import _refs
from apsched.job import Job, check_args, check_kwargs
from apsched.run import Outcome, Run

CANCELLED_BY_HAND = "cancelled by hand"


def run_now(job: Job, now: datetime, args: Iterable[Any] | None, kwargs: Mapping[str, Any] | None) -> Run:
    """
    Return a run of *job* that is to be queued besides its schedule.

    Args:
        job: The job; where its callable is not at hand, the arguments are not checked against its signature.
        now: Its nominal time, aware UTC.
        args: Positional arguments in place of the job's; None: those.
        kwargs: Keyword arguments in place of the job's; None: those.

    Raises:
        ValueError: The arguments do not fit the callable.
        TypeError: They are no sequence and no mapping.
    """
    run = Run(
        job_id=job.id,
        nominal_time=now,
        due_time=now,
        outcome=Outcome.PENDING,
        is_manual=True,
        args=None if args is None else check_args(args),
        kwargs=None if kwargs is None else check_kwargs(kwargs),
    )
    if not isinstance(job.func, str):
        _refs.check_arguments(
            job.func, job.args if run.args is None else run.args, job.kwargs if run.kwargs is None else run.kwargs
        )
    return run


def cancelled(run: Run, now: datetime) -> Run:
    """Return *run*, which is pending, as it is when somebody has cancelled it; *now* is aware UTC."""
    return attrs.evolve(run, outcome=Outcome.CANCELLED, finished_at=now, reason=CANCELLED_BY_HAND)


def why_not_cancelled(run: Run) -> str:
    """Return why *run*, as it was found last, could not be cancelled."""
    if run.outcome is Outcome.PENDING:
        return "nodes claim it and hand it back; try again"
    if run.outcome is Outcome.RUNNING:
        return f"its end, on node {run.node}, is being stored"
    ended = "" if run.finished_at is None else f" at {run.finished_at.isoformat(sep=' ')}"
    reason = "" if run.reason is None else f" ({run.reason})"
    return f"it has ended{ended} with the outcome {run.outcome.value!r}{reason}"
