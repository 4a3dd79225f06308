"""Collect the jobs that the apps of a project declare (layer 10)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.utils.module_loading import autodiscover_modules

from apsched.triggers.base import BaseTrigger

F = TypeVar("F", bound=Callable[..., Any])

MODULE = "jobs"  # of each app
OWNER = "django"

_declared: dict[str, dict[str, Any]] = {}


def scheduled_job(trigger: BaseTrigger | str, *, id: str | None = None, **options: Any) -> Callable[[F], F]:
    """
    Declare a function as a job of the project.

        @scheduled_job("cron", hour=3, timezone="Europe/Helsinki")
        def send_report(): ...

    When a scheduler of the project starts, its store is made to hold what is declared: new jobs are added, changed ones
    changed, and those that are not declared any more removed. A job that is there keeps what comes next, unless its
    schedule has changed. Jobs that were added otherwise stay as they are.

    Args:
        trigger: A trigger, or the alias of one, whose arguments are among *options*.
        id: The id of the job; by default `package.module.function`.
        **options: Options of `add_job`, and arguments of the trigger.

    Raises:
        ValueError: Another function is declared under that id.
    """

    def declare(func: F) -> F:
        job_id = f"{func.__module__}.{func.__qualname__}" if id is None else id
        known = _declared.get(job_id, {}).get("func", func)
        if (known.__module__, known.__qualname__) != (func.__module__, func.__qualname__):
            raise ValueError(f"the job {job_id!r} is declared for {known!r} already, got {func!r}; give it another id")
        _declared[job_id] = {"func": func, "trigger": trigger, "id": job_id, **options}
        return func

    return declare


def declared_jobs() -> list[dict[str, Any]]:
    """Import the module `jobs` of each installed app that has one, and return what is declared."""
    autodiscover_modules(MODULE)
    return list(_declared.values())
