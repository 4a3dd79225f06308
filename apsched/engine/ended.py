"""Say how a run ended (layer 6)."""

from __future__ import annotations

import traceback
from types import TracebackType
from typing import Any

import anyio

from apsched.clock import Clock
from apsched.executors.base import Call
from apsched.run import Outcome, Run

LONGEST_ERROR = 50_000  # characters of a traceback; of what is longer the middle is left out


def closed(
    run: Run,
    outcome: Outcome,
    clock: Clock,
    call: Call | None,
    *,
    retval: Any = None,
    error: str | None = None,
    reason: str | None = None,
) -> Run:
    """Return *run* as it ended; written out because `attrs.evolve` costs as much as the rest of a run."""
    is_final = outcome is not Outcome.PENDING
    if run.reason is not None and outcome is Outcome.SUCCEEDED and run.deaths:
        reason = run.reason  # which tells why it was run again
    return Run(
        job_id=run.job_id,
        nominal_time=run.nominal_time,
        outcome=outcome,
        due_time=run.due_time,
        first_nominal_time=run.first_nominal_time,
        count=run.count,
        is_manual=run.is_manual,
        epoch=run.epoch,
        node=run.node,
        claimed_at=run.claimed_at,
        started_at=call.started_at if is_final and call is not None else None,
        finished_at=((call and call.ended_at) or clock.now()) if is_final else None,
        retval=retval,
        error=error,
        reason=reason,
        args=run.args,
        kwargs=run.kwargs,
        attempts=run.attempts,
        report=run.report,
    )


def is_cancellation(exc: BaseException) -> bool:
    """Whether *exc* is that of a task which was cancelled; a trio nursery gives a group of them."""
    cancelled = anyio.get_cancelled_exc_class()
    if isinstance(exc, BaseExceptionGroup):
        return exc.split(cancelled)[1] is None
    return isinstance(exc, cancelled)


def describe(exc: BaseException) -> str:
    """Return the traceback of *exc* from the callable on, without the frames that led there; never raises."""
    frames = exc.__traceback__
    while frames is not None and frames.tb_next is not None and _is_own(frames):
        frames = frames.tb_next
    try:
        text = "".join(traceback.format_exception(type(exc), exc, frames))
    except Exception:  # a class of the user may do anything
        return f"{type(exc).__qualname__}, which cannot be shown"
    if len(text) <= LONGEST_ERROR:
        return text
    half = LONGEST_ERROR // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"


def _is_own(frame: TracebackType) -> bool:
    module: str = frame.tb_frame.f_globals.get("__name__", "")
    return module.startswith(("apsched.engine.", "apsched.executors."))
