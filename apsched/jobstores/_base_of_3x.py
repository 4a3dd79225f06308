"""The base of job stores that were written for APScheduler 3 (layer 5)."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from datetime import datetime
from typing import Any

from apsched.job import Job


class BaseJobStore(ABC):
    """
    What a job store for APScheduler 3 derives from; a new one derives from `JobStore`.

    A scheduler takes such a store wherever it takes one of its own, and makes all calls in one thread. The store keeps
    jobs alone: runs and their history are in memory, as long as the scheduler. One scheduler at a time may claim what
    it holds.
    """

    _scheduler: Any = None
    _alias: str | None = None
    _logger: logging.Logger = logging.getLogger("apsched.jobstores")

    def start(self, scheduler: Any, alias: str) -> None:
        """
        Connect; called when the scheduler starts, or takes the store while it runs.

        Args:
            scheduler: The scheduler.
            alias: The alias of the store there.
        """
        self._scheduler = scheduler
        self._alias = alias
        self._logger = logging.getLogger(f"apsched.jobstores.{alias}")

    def shutdown(self) -> None:
        """Let go of what the store holds; called when the scheduler shuts down, or the store is removed."""

    def _fix_paused_jobs_sorting(self, jobs: list[Job]) -> None:
        """Move paused jobs to the end of *jobs*."""
        jobs.sort(key=_is_paused)

    @abstractmethod
    def lookup_job(self, job_id: str) -> Job | None:
        """Return the job of that id, or None."""

    @abstractmethod
    def get_due_jobs(self, now: datetime) -> list[Job]:
        """Return the jobs whose `next_run_time` is at or before *now*, which is aware; the earliest first."""

    @abstractmethod
    def get_next_run_time(self) -> datetime | None:
        """Return the earliest `next_run_time` of all jobs, or None."""

    @abstractmethod
    def get_all_jobs(self) -> list[Job]:
        """Return all jobs by next run time, paused ones last."""

    @abstractmethod
    def add_job(self, job: Job) -> None:
        """
        Add *job*.

        Raises:
            ConflictingIdError: Its id is taken.
        """

    @abstractmethod
    def update_job(self, job: Job) -> None:
        """
        Put *job* in the place of the one of its id.

        Raises:
            JobLookupError: There is none.
        """

    @abstractmethod
    def remove_job(self, job_id: str) -> None:
        """
        Remove a job.

        Raises:
            JobLookupError: There is none of that id.
        """

    @abstractmethod
    def remove_all_jobs(self) -> None:
        """Remove all jobs."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


def _is_paused(job: Job) -> bool:
    return job.next_run_time is None
