"""Executors as users have written them for APScheduler 3, with the package name changed."""

from __future__ import annotations

import asyncio
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import datetime
from multiprocessing import get_context
from types import TracebackType
from typing import Any

from apsched.executors.base import BaseExecutor, run_coroutine_job, run_job
from apsched.executors.pool import BasePoolExecutor
from apsched.job import Job


class PoolExecutor(BaseExecutor):
    """Runs jobs in threads, and notes how they end."""

    def __init__(self, workers: int = 4) -> None:
        super().__init__()
        self.workers = workers
        self.told: list[tuple[str, Any]] = []

    def start(self, scheduler: Any, alias: str) -> None:
        super().start(scheduler, alias)
        self._pool = ThreadPoolExecutor(self.workers)

    def shutdown(self, wait: bool = True) -> None:
        self._pool.shutdown(wait)

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        future = self._pool.submit(run_job, job, job._jobstore_alias or "", run_times, self._logger.name)
        future.add_done_callback(lambda future: self._run_job_success(job.id, future.result()))

    def _run_job_success(self, job_id: str, events: Any) -> None:
        self.told.append((job_id, [event.code for event in events]))
        super()._run_job_success(job_id, events)


class InlineExecutor(BaseExecutor):
    """Runs jobs where they are submitted."""

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        try:
            events = run_job(job, job._jobstore_alias or "", run_times, self._logger.name)
        except BaseException:
            self._run_job_error(job.id, *sys.exc_info()[1:])
        else:
            self._run_job_success(job.id, events)


class OwnWayExecutor(BaseExecutor):
    """Calls the callable itself, in a thread for each run, and tells nothing of what it returned."""

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        threading.Thread(target=self.run, args=(job,)).start()

    def run(self, job: Job) -> None:
        assert callable(job.func)
        try:
            job.func(*job.args, **job.kwargs)
        except Exception as exc:
            self._run_job_error(job.id, exc, exc.__traceback__)
        else:
            self._run_job_success(job.id, [])


class ProcessExecutor(BasePoolExecutor):
    def __init__(self, workers: int = 1) -> None:
        super().__init__(ProcessPoolExecutor(workers, mp_context=get_context("spawn")))


class LoopExecutor(BaseExecutor):
    """Runs coroutine functions in an event loop of its own thread."""

    def start(self, scheduler: Any, alias: str) -> None:
        super().start(scheduler, alias)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    def shutdown(self, wait: bool = True) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        coroutine = run_coroutine_job(job, job._jobstore_alias or "", run_times, self._logger.name)
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        future.add_done_callback(lambda future: self._run_job_success(job.id, future.result()))


class BrokenExecutor(InlineExecutor):
    """Cannot do what it should."""

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        raise OSError("no way there")


class TellingErrors(ProcessExecutor):
    """Notes what could not be run."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[BaseException] = []

    def _run_job_error(self, job_id: str, exc: BaseException, traceback: TracebackType | None = None) -> None:
        self.errors.append(exc)
        super()._run_job_error(job_id, exc, traceback)
