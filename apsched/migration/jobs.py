"""Make jobs out of the states that APScheduler 3 keeps of its own (layer 7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import attrs

from apsched import _refs
from apsched.job import OPTION_CHECKS, Job, check_id
from apsched.migration.triggers import Remarks, make_trigger
from apsched.migration.values import plain
from apsched.triggers.base import BaseTrigger

OPTIONS = ("name", "func", "args", "kwargs", "executor", "misfire_grace_time", "coalesce", "max_instances")
TICK = timedelta(microseconds=1)


@attrs.frozen(kw_only=True)
class StoredJob:
    """
    A job as it stands in a store of APScheduler 3.

    Attributes:
        id: Its key there.
        read: Returns its state, or raises ValueError if that is damaged or holds what is refused.
        is_scheduled: Whether the store says when it is due; True where only the state does.
    """

    id: str
    read: Callable[[], Any]
    is_scheduled: bool = True


@attrs.frozen(kw_only=True)
class FoundJob:
    """
    A job of APScheduler 3, and what becomes of it here.

    Attributes:
        id: Its id, the same in both.
        job: The job as it will be here; None if it cannot be carried over.
        remarks: What will be different, one sentence each.
        problem: Why it cannot be carried over, one sentence; None if it can.
    """

    id: str
    job: Job | None = None
    remarks: tuple[str, ...] = ()
    problem: str | None = None


def convert(stored: StoredJob, *, imports: bool) -> FoundJob:
    """
    Return what becomes of *stored*; never raises.

    Args:
        stored: The job.
        imports: Whether its module is imported, to see whether its callable is there and is a coroutine function.
    """
    remarks: Remarks = []
    try:
        job = _job_of(stored, stored.read(), remarks)
    except RecursionError:
        return FoundJob(id=stored.id, problem="its arguments contain themselves, or are nested too deep")
    except (ValueError, TypeError, LookupError, ArithmeticError) as exc:
        return FoundJob(id=stored.id, problem=str(exc) or type(exc).__name__)
    if imports:
        _look_at_callable(job, remarks)
    return FoundJob(id=stored.id, job=job, remarks=tuple(remarks))


def _job_of(stored: StoredJob, state: Any, remarks: Remarks) -> Job:
    if not isinstance(state, Mapping):
        raise ValueError(f"its state must be a dictionary, got a {type(state).__name__}")
    if (version := state.get("version", 1)) != 1:
        raise ValueError(f"its state must be of version 1, the only one there is, got {version!r}")
    if missing := [name for name in ("trigger", "next_run_time", *OPTIONS) if name not in state]:
        raise ValueError(f"its state has no {', '.join(missing)}")
    next_run_time = _next_run_time(stored, state["next_run_time"], remarks)
    options = {name: OPTION_CHECKS[name](plain(state[name])) for name in OPTIONS}
    trigger = make_trigger(state["trigger"], next_run_time, remarks)
    if trigger.jitter:
        remarks.append(f"its jitter of {trigger.jitter:g} s does not add up any more")
    return Job(
        id=check_id(stored.id),
        trigger=trigger,
        next_run_time=next_run_time,
        next_nominal_time=_nominal_time(trigger, next_run_time),
        **options,
    )


def _next_run_time(stored: StoredJob, moment: Any, remarks: Remarks) -> datetime | None:
    if moment is None:
        return None
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise ValueError(f"its next run time must be an aware datetime, got {moment!r}")
    if not stored.is_scheduled:
        remarks.append(f"it is paused, since the store does not schedule it, although its state says {moment}")
        return None
    return moment


def _nominal_time(trigger: BaseTrigger, next_run_time: datetime | None) -> datetime | None:
    """Return what the trigger said before APScheduler 3 added the jitter."""
    if next_run_time is None or not trigger.jitter:
        return next_run_time
    earliest = next_run_time - timedelta(seconds=trigger.jitter) - TICK
    return trigger.get_last_fire_time(earliest, next_run_time) or next_run_time


def _look_at_callable(job: Job, remarks: Remarks) -> None:
    ref = str(job.func)
    try:
        func = _refs.resolve(ref)
    except (Exception, SystemExit) as exc:  # of a module that is imported, anything may come
        if ref.startswith("__main__:"):
            why = f"{ref!r} is in the program that added it: run that program, or move it to a module"
        else:
            why = str(exc) or type(exc).__name__
        remarks.append(f"its callable is not found here, and it stays quarantined where that is so: {why}")
        return
    if job.executor == "default" and callable(func) and _refs.is_coroutine_callable(func):
        job.executor = "asyncio"  # as add_job does
