"""The base of executors that were written for APScheduler 3, and what they run jobs with (layer 5)."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from traceback import format_tb
from types import TracebackType
from typing import Any

from apsched import _refs
from apsched.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, JobExecutionEvent
from apsched.exceptions import MaxInstancesReachedError
from apsched.executors._calling import call_to_end
from apsched.job import Job


class BaseExecutor(ABC):
    """
    What an executor for APScheduler 3 derives from; a new one derives from `Executor`.

    A scheduler takes such an executor wherever it takes one of its own, and submits jobs in one thread. An attribute
    `capacity` of the instance says how many runs it is given at a time.
    """

    _scheduler: Any = None
    _lock: AbstractContextManager[Any] | None = None
    _logger: logging.Logger = logging.getLogger("apsched.executors")

    def __init__(self) -> None:
        super().__init__()
        self._instances: defaultdict[str, int] = defaultdict(int)

    def start(self, scheduler: Any, alias: str) -> None:
        """
        Get ready; called when the scheduler starts, or takes the executor while it runs.

        Args:
            scheduler: The scheduler.
            alias: The alias of the executor there.
        """
        self._scheduler = scheduler
        self._lock = scheduler._create_lock()
        self._logger = logging.getLogger(f"apsched.executors.{alias}")

    def shutdown(self, wait: bool = True) -> None:
        """
        Let go of what the executor holds; called when the scheduler shuts down, or the executor is removed.

        Args:
            wait: Whether to wait for jobs that still run.
        """

    def submit_job(self, job: Job, run_times: list[datetime]) -> None:
        """
        Have a job run.

        Args:
            job: The job.
            run_times: The nominal times for which to run it; the scheduler gives one.

        Raises:
            MaxInstancesReachedError: As many runs of the job are under way as may be.
        """
        assert self._lock is not None, "This executor has not been started yet"  # noqa: S101  # as in APScheduler 3
        with self._lock:
            if self._instances[job.id] >= job.max_instances:
                raise MaxInstancesReachedError(job)
            self._do_submit_job(job, run_times)
            self._instances[job.id] += 1

    @abstractmethod
    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        """Have `run_job` called somewhere, and `_run_job_success` or `_run_job_error` when that has ended."""

    def _run_job_success(self, job_id: str, events: Sequence[Any]) -> None:
        """
        Take note that `run_job` has returned; from any thread.

        Args:
            job_id: Of the job.
            events: What it returned.
        """
        self._count_down(job_id)
        for event in events:
            self._scheduler._dispatch_event(event)
        if not events:
            self._scheduler._job_ended(job_id, None)

    def _run_job_error(self, job_id: str, exc: BaseException, traceback: TracebackType | None = None) -> None:
        """
        Take note that `run_job` itself could not be called, or raised; from any thread.

        Args:
            job_id: Of the job.
            exc: What was raised.
            traceback: Where.
        """
        self._count_down(job_id)
        self._logger.error("Error running job %s", job_id, exc_info=(type(exc), exc, traceback))
        self._scheduler._job_ended(job_id, exc)

    def _count_down(self, job_id: str) -> None:
        assert self._lock is not None, "This executor has not been started yet"  # noqa: S101  # as in APScheduler 3
        with self._lock:
            self._instances[job_id] -= 1
            if self._instances[job_id] == 0:
                del self._instances[job_id]


class BasePoolExecutor(BaseExecutor):
    """
    Runs jobs in a pool of `concurrent.futures`, or what is like it.

    Args:
        pool: Where `submit` gives futures.
    """

    @abstractmethod
    def __init__(self, pool: Any) -> None:
        super().__init__()
        self._pool = pool

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        future = self._pool.submit(run_job, job, job._jobstore_alias, run_times, self._logger.name)

        def tell(future: Any) -> None:
            error: BaseException | None = future.exception()
            if error is None:
                self._run_job_success(job.id, future.result())
            else:
                self._run_job_error(job.id, error, error.__traceback__)

        future.add_done_callback(tell)

    def shutdown(self, wait: bool = True) -> None:
        """
        Shut the pool down.

        Args:
            wait: Whether to wait for jobs that still run.
        """
        self._pool.shutdown(wait)


def run_job(job: Job, jobstore_alias: str, run_times: Sequence[datetime], logger_name: str) -> list[JobExecutionEvent]:
    """
    Run a job, once for each nominal time; in any thread, process or machine that can import its callable.

    A coroutine that the callable gives is awaited in an event loop made for it. Whether a run is too late was decided
    before it was given out, so none is left out here.

    Args:
        job: The job.
        jobstore_alias: The alias of its store.
        run_times: The nominal times.
        logger_name: The name of the logger that is told.

    Returns:
        One event for each.
    """
    events = []
    for run_time in run_times:
        made = _Events(job, jobstore_alias, run_time, logger_name)
        try:
            retval = call_to_end(_callable_of(job), tuple(job.args), job.kwargs)
        except BaseException as exc:
            events.append(made.failed(exc))
        else:
            events.append(made.succeeded(retval))
    return events


async def run_coroutine_job(
    job: Job, jobstore_alias: str, run_times: Sequence[datetime], logger_name: str
) -> list[JobExecutionEvent]:
    """
    Run a job whose callable is a coroutine function, in the running event loop; otherwise as `run_job` does.

    Args:
        job: The job.
        jobstore_alias: The alias of its store.
        run_times: The nominal times.
        logger_name: The name of the logger that is told.

    Returns:
        One event for each.
    """
    events = []
    for run_time in run_times:
        made = _Events(job, jobstore_alias, run_time, logger_name)
        try:
            retval = await _callable_of(job)(*job.args, **job.kwargs)
        except BaseException as exc:
            events.append(made.failed(exc))
        else:
            events.append(made.succeeded(retval))
    return events


class _Events:
    """Makes the event of one run, and logs it."""

    def __init__(self, job: Job, jobstore_alias: str, run_time: datetime, logger_name: str) -> None:
        self._job = job
        self._details = (job.id, jobstore_alias, run_time)
        self._logger = logging.getLogger(logger_name)
        self._logger.info('Running job "%s" (scheduled at %s)', job, run_time)

    def succeeded(self, retval: Any) -> JobExecutionEvent:
        self._logger.info('Job "%s" executed successfully', self._job)
        return JobExecutionEvent(EVENT_JOB_EXECUTED, *self._details, retval=retval)

    def failed(self, exc: BaseException) -> JobExecutionEvent:
        traceback = "".join(format_tb(exc.__traceback__))
        return JobExecutionEvent(EVENT_JOB_ERROR, *self._details, exception=exc, traceback=traceback)


def _callable_of(job: Job) -> Callable[..., Any]:
    if not isinstance(job.func, str):
        return job.func
    found = _refs.resolve(job.func)
    if not callable(found):
        raise TypeError(f"{job.func!r} must lead to a callable, got {type(found).__qualname__}; correct the job")
    return found  # type: ignore[no-any-return]  # it is callable
