"""What runs when a task of Django does (layer 10)."""

from __future__ import annotations

from traceback import format_exception
from typing import Any

import attrs

from apsched.clock import SystemClock
from apsched.engine.current import current_run
from apsched.integrations.django._framework import (
    TaskContext,
    TaskResult,
    TaskResultStatus,
    normalize_json,
    task_finished,
    task_started,
)
from apsched.integrations.django._results import error_of, result_of


def run_task(*args: Any) -> Any:
    """
    Run a task that is a plain function, and return what it returns in the form of JSON.

    Args:
        *args: The path of the task, the alias of its backend, its queue, and its positional and keyword arguments.
    """
    result = _begun(args)
    backend = type(result.task.get_backend())
    task_started.send(backend, task_result=result)
    try:
        value = normalize_json(result.task.func(*_positional(result), **result.kwargs))
    except BaseException as exc:
        _fail(result, exc)
        task_finished.send(backend, task_result=result)
        raise
    _succeed(result, value)
    task_finished.send(backend, task_result=result)
    return value


async def run_async_task(*args: Any) -> Any:
    """
    Run a task that is a coroutine function, and return what it returns in the form of JSON.

    Args:
        *args: As those of `run_task`.
    """
    result = _begun(args)
    backend = type(result.task.get_backend())
    await task_started.asend(backend, task_result=result)
    try:
        value = normalize_json(await result.task.func(*_positional(result), **result.kwargs))
    except BaseException as exc:
        _fail(result, exc)
        await task_finished.asend(backend, task_result=result)
        raise
    _succeed(result, value)
    await task_finished.asend(backend, task_result=result)
    return value


def _begun(args: tuple[Any, ...]) -> TaskResult:
    return result_of(attrs.evolve(current_run(), args=args))


def _positional(result: TaskResult) -> list[Any]:
    context = [TaskContext(task_result=result)] if result.task.takes_context else []
    return [*context, *result.args]


def _fail(result: TaskResult, exc: BaseException) -> None:
    result.errors.append(error_of("".join(format_exception(exc))))
    _end(result, TaskResultStatus.FAILED)


def _succeed(result: TaskResult, value: Any) -> None:
    object.__setattr__(result, "_return_value", value)
    _end(result, TaskResultStatus.SUCCESSFUL)


def _end(result: TaskResult, status: Any) -> None:
    """Note how a task has ended; results cannot be changed otherwise."""
    object.__setattr__(result, "finished_at", SystemClock().now())
    object.__setattr__(result, "status", status)
