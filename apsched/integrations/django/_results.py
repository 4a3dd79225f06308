"""Make results of tasks out of runs (layer 10)."""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterator
from typing import Any

from django.utils.module_loading import import_string

from apsched.integrations.django._framework import (
    Task,
    TaskError,
    TaskResult,
    TaskResultDoesNotExist,
    TaskResultStatus,
)
from apsched.run import Outcome, Run

NOT_RUN = "apsched.exceptions.RunFailedError"  # what stands for the exception where there was none
STATUSES = {
    Outcome.PENDING: TaskResultStatus.READY,
    Outcome.RUNNING: TaskResultStatus.RUNNING,
    Outcome.SUCCEEDED: TaskResultStatus.SUCCESSFUL,
}  # of all other outcomes it is FAILED
_RAISED = re.compile(r"^([A-Za-z_][\w.]*)(?::|$)")
_HEADER = "Traceback (most recent call last):"


def result_of(run: Run) -> TaskResult:
    """
    Return the result of the task that *run* runs.

    Args:
        run: Its arguments are the path of the task, the alias of the backend, the queue, and the arguments of the task.

    Raises:
        TaskResultDoesNotExist: There is no such task any more.
    """
    given: Any = run.args
    path, alias, queue_name, args, kwargs = given
    result = TaskResult(
        task=_task(run, path, alias, queue_name),
        id=run.id,
        status=STATUSES.get(run.outcome, TaskResultStatus.FAILED),
        enqueued_at=run.nominal_time,
        started_at=min((each.started_at for each in run.attempts if each.started_at), default=run.started_at),
        finished_at=run.finished_at,
        last_attempted_at=run.started_at,
        args=args,
        kwargs=kwargs,
        backend=alias,
        errors=list(_errors(run)),
        worker_ids=[each.node for each in run.attempts if each.node] + ([run.node] if run.node else []),
    )
    if run.outcome is Outcome.SUCCEEDED:
        object.__setattr__(result, "_return_value", run.retval)
    return result


def _task(run: Run, path: str, alias: str, queue_name: str) -> Task:
    try:
        task: Task = import_string(path)
    except ImportError as exc:
        raise TaskResultDoesNotExist(run.id) from exc
    run_after = run.due_time if run.due_time > run.nominal_time and not run.attempts else None
    named: Task = task.using(backend=alias, queue_name=queue_name, run_after=run_after)
    return named


def _errors(run: Run) -> Iterator[TaskError]:
    for attempt in run.attempts:
        yield error_of(attempt.error or f"the attempt was {attempt.outcome}")
    if run.outcome.is_final and run.outcome is not Outcome.SUCCEEDED:
        yield error_of(run.error or run.reason or f"the run was {run.outcome}")


def error_of(text: str) -> TaskError:
    """Return the error whose traceback, or other reason, is *text*."""
    return TaskError(exception_class_path=_class_path(text), traceback=text)


def _class_path(text: str) -> str:
    """Return the path of the class of the exception in a traceback, which stands after its last frame."""
    _, header, last = text.rpartition(_HEADER)
    raised = (_RAISED.match(line) for line in last.splitlines() if line and not line[0].isspace())
    name = next((found[1] for found in raised if found), None) if header else None
    if name is None:
        return NOT_RUN
    return f"builtins.{name}" if isinstance(getattr(builtins, name, None), type) else name
