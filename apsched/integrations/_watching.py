"""What observers of both kinds of scheduler have in common (layer 10)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from apsched._portal import drive
from apsched.async_scheduler import AsyncScheduler
from apsched.engine.health import Health
from apsched.events import (
    EVENT_JOB_ABANDONED,
    EVENT_JOB_CANCELLED,
    EVENT_JOB_COALESCED,
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    JobExecutionEvent,
    JobSubmissionEvent,
)
from apsched.run import Run
from apsched.schedulers.base import BaseScheduler

Scheduler: TypeAlias = AsyncScheduler | BaseScheduler

ENDED: int = EVENT_JOB_EXECUTED | EVENT_JOB_ERROR | EVENT_JOB_CANCELLED | EVENT_JOB_ABANDONED
"""Events of runs that had begun, or could have."""

NOT_BEGUN: int = EVENT_JOB_MISSED | EVENT_JOB_COALESCED | EVENT_JOB_MAX_INSTANCES
"""Events of runs that were recorded and not started."""


def core_of(scheduler: Scheduler) -> AsyncScheduler:
    """Return the scheduler whose verbs are coroutine functions."""
    return scheduler._core if isinstance(scheduler, BaseScheduler) else scheduler


def listen(scheduler: Scheduler, callback: Callable[[Any], Any], mask: int) -> None:
    """Add a listener; may be called where `await` cannot, since adding one waits for nothing."""
    if isinstance(scheduler, BaseScheduler):
        scheduler.add_listener(callback, mask)
    else:
        drive(scheduler.add_listener(callback, mask))


def unlisten(scheduler: Scheduler, callback: Callable[[Any], Any]) -> None:
    """Remove a listener."""
    if isinstance(scheduler, BaseScheduler):
        scheduler.remove_listener(callback)
    else:
        drive(scheduler.remove_listener(callback))


def health_of(scheduler: Scheduler) -> Health:
    """Tell how the scheduler is; from any thread."""
    return drive(core_of(scheduler).health())


def runs_of(event: JobExecutionEvent | JobSubmissionEvent) -> tuple[Run, ...]:
    """Return the runs that an event of one of the masks above is about."""
    return event.runs if isinstance(event, JobSubmissionEvent) else (event.run,)
