"""Schedulers for programs that are not asynchronous: the public API of APScheduler 3."""

from apsched.exceptions import SchedulerAlreadyRunningError, SchedulerNotRunningError

__all__ = ["SchedulerAlreadyRunningError", "SchedulerNotRunningError"]
