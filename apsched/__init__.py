"""Run callables at the times that you say, whatever happens to the process, the machine or the clock.

Errors are in `apsched.exceptions`, event codes and classes in `apsched.events`, schedulers for programs that are not
asynchronous in `apsched.schedulers`.
"""

import importlib.metadata

from apsched.async_scheduler import AsyncScheduler
from apsched.engine.current import current_run
from apsched.engine.explain import Explanation
from apsched.engine.health import ExecutorHealth, Health, StoreHealth
from apsched.engine.history import RunHandle
from apsched.engine.sync import SyncReport
from apsched.job import Job, JobDefaults
from apsched.run import Outcome, Run

__all__ = [
    "AsyncScheduler",
    "ExecutorHealth",
    "Explanation",
    "Health",
    "Job",
    "JobDefaults",
    "Outcome",
    "Run",
    "RunHandle",
    "StoreHealth",
    "SyncReport",
    "__version__",
    "current_run",
    "version",
]

version: str
__version__: str


def __getattr__(name: str) -> str:
    """Look the version up when it is asked for, which a program that was packed without its metadata need not do."""
    if name in ("__version__", "version"):
        return importlib.metadata.version("apsched")
    raise AttributeError(f"module 'apsched' has no attribute {name!r}")
