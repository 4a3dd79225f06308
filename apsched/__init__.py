"""Run callables at the times that you say, whatever happens to the process, the machine or the clock."""

from apsched.async_scheduler import AsyncScheduler
from apsched.engine.history import RunHandle
from apsched.engine.runner import current_run
from apsched.job import Job, JobDefaults
from apsched.run import Outcome, Run

__all__ = ["AsyncScheduler", "Job", "JobDefaults", "Outcome", "Run", "RunHandle", "current_run"]
