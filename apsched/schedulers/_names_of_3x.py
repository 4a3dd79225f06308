"""Private names of APScheduler 3 that programs and packages nevertheless use (layer 9).

Nothing in this package uses them.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import attrs

from apsched.exceptions import JobLookupError
from apsched.executors._bridged import BridgedExecutor
from apsched.job import Job
from apsched.jobstores._bridged import BridgedJobStore

if TYPE_CHECKING:
    from apsched.async_scheduler import AsyncScheduler


class NamesOf3X:
    """What is to be seen of a blocking scheduler under those names; what is changed there changes no scheduler."""

    _core: AsyncScheduler

    @property
    def _jobstores(self) -> dict[str, Any]:
        stores = self._core._stores
        return {alias: each.behind if isinstance(each, BridgedJobStore) else each for alias, each in stores.items()}

    @property
    def _executors(self) -> dict[str, Any]:
        executors = self._core._executors
        return {alias: each.behind if isinstance(each, BridgedExecutor) else each for alias, each in executors.items()}

    @property
    def _job_defaults(self) -> dict[str, Any]:
        return attrs.asdict(self._core._maker.defaults, recurse=False)

    def _lookup_job(self, job_id: str, jobstore_alias: str | None = None) -> tuple[Job, str | None]:
        """Return a job and the alias of the store that has it, None before the start; raise JobLookupError."""
        job: Job | None = self.get_job(job_id, jobstore_alias)  # type: ignore[attr-defined]  # of the scheduler
        if job is None:
            raise JobLookupError(job_id)
        return job, None if job.is_pending else job.jobstore

    def _create_lock(self) -> AbstractContextManager[Any]:
        return threading.RLock()
