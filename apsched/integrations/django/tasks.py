"""Be a backend of Django's tasks (layer 10).

    TASKS = {"default": {"BACKEND": "apsched.integrations.django.tasks.SchedulerBackend"}}

Rule 1: a task is a job that never comes due by itself, and each call of `enqueue` a run of it, with its own arguments.
Rule 2: the id of a result is that of its run.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from inspect import iscoroutinefunction
from typing import Any

from django.db import transaction
from django.utils.timezone import make_aware

from apsched.clock import SystemClock
from apsched.engine.desk import Desk
from apsched.exceptions import JobLookupError
from apsched.integrations.django._framework import (
    BaseTaskBackend,
    Task,
    TaskResult,
    TaskResultDoesNotExist,
    task_enqueued,
)
from apsched.integrations.django._results import result_of
from apsched.integrations.django.door import Door
from apsched.integrations.django.scheduler import DjangoScheduler
from apsched.job import Job
from apsched.jobstores.base import RunFilter
from apsched.run import Outcome, Run, parse_run_id
from apsched.triggers.date import DateTrigger

RUNNER = "apsched.integrations.django._running"
NEVER = datetime(9999, 12, 31, tzinfo=UTC)
DEFAULT_ALIAS = "default"
LONGEST_ID = 35  # characters of a job's id: results have ids of less than 64, as Django's documentation says
SLOT = 100  # microseconds, each for another process: so no two give runs of one task the same nominal time
OPTIONS = ("executor", "keep_runs", "misfire_grace_time", "on_crash", "retry", "timeout")


class SchedulerBackend(BaseTaskBackend):  # type: ignore[misc]  # Django has no types
    """
    Runs tasks by the scheduler of the project.

    `enqueue` writes to its job store, in any process; `manage.py apsched run` runs the tasks. Within a transaction of
    the database `default`, it writes when that is committed, and not at all if it is rolled back.

    Args:
        alias: Of the backend.
        params: What `TASKS` says of it. Its `OPTIONS` are those of `add_job` for all tasks: `executor`, `keep_runs`,
            `misfire_grace_time`, `on_crash`, `retry` and `timeout`.

    Raises:
        TypeError: An option is unknown.
    """

    supports_defer = True
    supports_async_task = True
    supports_get_result = True

    def __init__(self, alias: str, params: Mapping[str, Any]) -> None:
        super().__init__(alias, params)
        for name in self.options:
            if name not in OPTIONS:
                raise TypeError(f"OPTIONS of the tasks {alias!r} has no {name!r}; there are: {', '.join(OPTIONS)}")
        self._known: set[str] = set()  # ids of the jobs that are in the store

    @cached_property
    def door(self) -> Door:
        """The way to the job store."""
        scheduler = DjangoScheduler()
        return Door(lambda: DjangoScheduler().store, scheduler.timezone)

    def enqueue(self, task: Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> TaskResult:
        """
        Queue a run of *task*, and return its result to come.

        Raises:
            InvalidTask: The backend cannot run the task.
            JobStoreUnavailableError: The server of the job store does not answer.
            TypeError: An argument is of a type that JSON has no form for.
        """
        self.validate_task(task)
        now = _own_time()
        run = Run(
            job_id=job_id_of(self.alias, task),
            nominal_time=now,
            due_time=now if task.run_after is None else max(now, _aware(task.run_after)),
            outcome=Outcome.PENDING,
            is_manual=True,
            args=(task.module_path, self.alias, task.queue_name, list(args), dict(kwargs)),
        )
        result = result_of(run)
        run.args = (task.module_path, self.alias, task.queue_name, result.args, result.kwargs)  # in the form of JSON
        transaction.on_commit(partial(self._add, task, run, result))
        return result

    def get_result(self, result_id: str) -> TaskResult:
        """
        Return the result of that id.

        Raises:
            TaskResultDoesNotExist: There is none: it is of another backend, or is kept no more.
            JobStoreUnavailableError: The server of the job store does not answer.
        """
        try:
            job_id, moment = parse_run_id(result_id)
        except ValueError:
            raise TaskResultDoesNotExist(result_id) from None

        async def find(desk: Desk) -> list[Run]:
            return await desk.store.runs(RunFilter(job_id=job_id, since=moment, until=moment), 1)

        for run in self.door.call(find):
            if run.args is not None and len(run.args) == 5 and run.args[1] == self.alias:
                return result_of(run)
        raise TaskResultDoesNotExist(result_id)

    def _add(self, task: Task, run: Run, result: TaskResult) -> None:
        kept = self.door.call(lambda desk: self._store(desk, task, run))
        if kept.id != result.id:  # another process with the same digits was faster
            object.__setattr__(result, "id", kept.id)
        task_enqueued.send(type(self), task_result=result)

    async def _store(self, desk: Desk, task: Task, run: Run) -> Run:
        if run.job_id not in self._known:
            await self._store_job(desk, task)
        try:
            kept = await desk.store.add_run(run)
        except JobLookupError:  # somebody has removed it
            await self._store_job(desk, task)
            kept = await desk.store.add_run(run)
        await desk.tell_nodes()
        return kept

    async def _store_job(self, desk: Desk, task: Task) -> None:
        runner = "run_async_task" if iscoroutinefunction(task.func) else "run_task"
        draft = desk.maker.draft(
            desk.now,
            f"{RUNNER}:{runner}",
            DateTrigger(NEVER),
            args=(task.module_path, self.alias, task.queue_name, [], {}),
            id=job_id_of(self.alias, task),
            name=task.module_path,
            next_run_time=None,
            overlap="allow",
            tags={"django.task": task.module_path},
            **self.options,
        )
        await desk.store.add([draft.job], _replace)
        self._known.add(draft.job.id)


def job_id_of(alias: str, task: Task) -> str:
    """Return the id of the job of *task* in the backend *alias*: its path, or the end of that and a hash."""
    name: str = task.module_path if alias == DEFAULT_ALIAS else f"{alias}:{task.module_path}"
    if len(name) <= LONGEST_ID:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[len(digest) + 1 - LONGEST_ID :]}~{digest}"


def _replace(stored: Job, new: Job) -> Job:
    return new


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else make_aware(moment)


def _own_time() -> datetime:
    """Return the present time, but for the last digits, which are those of this process; never the same again."""
    global _last  # noqa: PLW0603  # it is about the process
    now = SystemClock().now()
    moment = now.replace(microsecond=now.microsecond // SLOT * SLOT + os.getpid() % SLOT)
    with _lock:
        _last = max(moment, _last + timedelta(microseconds=SLOT))
        return _last


_lock = threading.Lock()
_last = datetime(1970, 1, 1, tzinfo=UTC)
