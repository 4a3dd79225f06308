"""Names of Django's task framework: of Django 6, or of the package `django-tasks` for older ones (layer 10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:  # Django has no types, and which of the two is there is seen at run time

    class _Untyped:
        def __init__(self, **values: Any) -> None: ...
        def __getattr__(self, name: str) -> Any: ...

    class Task(_Untyped): ...

    class TaskResult(_Untyped): ...

    class TaskError(_Untyped): ...

    BaseTaskBackend: TypeAlias = Any
    TaskContext: Any
    TaskResultStatus: Any
    TaskResultDoesNotExist: type[Exception]
    task_enqueued: Any
    task_finished: Any
    task_started: Any
    normalize_json: Any
else:
    try:
        from django.tasks.backends.base import BaseTaskBackend
        from django.tasks.base import Task, TaskContext, TaskError, TaskResult, TaskResultStatus
        from django.tasks.exceptions import TaskResultDoesNotExist
        from django.tasks.signals import task_enqueued, task_finished, task_started
        from django.utils.json import normalize_json
    except ImportError:
        try:
            from django_tasks.backends.base import BaseTaskBackend
            from django_tasks.base import Task, TaskContext, TaskError, TaskResult, TaskResultStatus
            from django_tasks.exceptions import TaskResultDoesNotExist
            from django_tasks.signals import task_enqueued, task_finished, task_started
            from django_tasks.utils import normalize_json
        except ImportError as exc:
            raise ImportError("this Django has no tasks; use Django 6, or pip install django-tasks") from exc

__all__ = [
    "BaseTaskBackend",
    "Task",
    "TaskContext",
    "TaskError",
    "TaskResult",
    "TaskResultDoesNotExist",
    "TaskResultStatus",
    "normalize_json",
    "task_enqueued",
    "task_finished",
    "task_started",
]
