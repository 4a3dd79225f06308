"""Run callables at the times that you say, whatever happens to the process, the machine or the clock.

Errors are in `apsched.exceptions`, event codes and classes in `apsched.events`, schedulers for programs that are not
asynchronous in `apsched.schedulers`.

What is named here is imported when it is asked for, so that a program that only computes times need not wait for more.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from apsched.async_scheduler import AsyncScheduler
    from apsched.engine.backfill import BackfillReport
    from apsched.engine.current import current_job, current_run
    from apsched.engine.explain import Explanation
    from apsched.engine.health import ExecutorHealth, Health, LoopHealth, StoreHealth
    from apsched.engine.history import RunHandle
    from apsched.engine.middleware import CallNext, Middleware
    from apsched.engine.sync import SyncReport
    from apsched.job import Job, JobDefaults
    from apsched.retry import Retry
    from apsched.run import Attempt, Outcome, Run
    from apsched.triggers.after import After

__all__ = [
    "After",
    "AsyncScheduler",
    "Attempt",
    "BackfillReport",
    "CallNext",
    "ExecutorHealth",
    "Explanation",
    "Health",
    "Job",
    "JobDefaults",
    "LoopHealth",
    "Middleware",
    "Outcome",
    "Retry",
    "Run",
    "RunHandle",
    "StoreHealth",
    "SyncReport",
    "__version__",
    "current_job",
    "current_run",
    "version",
]

version: str
__version__: str

_HOMES = {
    "After": "apsched.triggers.after",
    "Attempt": "apsched.run",
    "AsyncScheduler": "apsched.async_scheduler",
    "BackfillReport": "apsched.engine.backfill",
    "CallNext": "apsched.engine.middleware",
    "ExecutorHealth": "apsched.engine.health",
    "Explanation": "apsched.engine.explain",
    "Health": "apsched.engine.health",
    "Job": "apsched.job",
    "JobDefaults": "apsched.job",
    "LoopHealth": "apsched.engine.health",
    "Middleware": "apsched.engine.middleware",
    "Outcome": "apsched.run",
    "Retry": "apsched.retry",
    "Run": "apsched.run",
    "RunHandle": "apsched.engine.history",
    "StoreHealth": "apsched.engine.health",
    "SyncReport": "apsched.engine.sync",
    "current_job": "apsched.engine.current",
    "current_run": "apsched.engine.current",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for, or look the version up, which a program packed without its metadata need not do."""
    if name in ("__version__", "version"):
        from importlib import metadata

        return metadata.version("apsched")
    if name not in _HOMES:
        raise AttributeError(f"module 'apsched' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
