"""Find triggers, job stores and executors by alias (layer 5).

Built-in ones are reached by the name of their module, at run time: this is the one way in which a lower layer leads to
a higher one. Those of other packages are entry points in the groups `apsched.triggers`, `apsched.jobstores` and
`apsched.executors`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from apsched.exceptions import MissingExtraError

TRIGGERS: Mapping[str, str] = {
    "date": "apsched.triggers.date:DateTrigger",
    "interval": "apsched.triggers.interval:IntervalTrigger",
    "cron": "apsched.triggers.cron:CronTrigger",
    "calendarinterval": "apsched.triggers.calendarinterval:CalendarIntervalTrigger",
    "and": "apsched.triggers.combining:AndTrigger",
    "or": "apsched.triggers.combining:OrTrigger",
}
JOBSTORES: Mapping[str, str] = {"memory": "apsched.jobstores.memory:MemoryJobStore"}
EXECUTORS: Mapping[str, str] = {
    "threadpool": "apsched.executors.pool:ThreadPoolExecutor",
    "processpool": "apsched.executors.pool:ProcessPoolExecutor",
    "asyncio": "apsched.executors.asyncio:AsyncIOExecutor",
    "debug": "apsched.executors.debug:DebugExecutor",
}
EXTRAS: Mapping[str, str] = {}  # alias -> extra that it needs
BUILT_IN: Mapping[str, Mapping[str, str]] = {"trigger": TRIGGERS, "jobstore": JOBSTORES, "executor": EXECUTORS}


@cache
def find(kind: str, alias: str) -> Any:
    """
    Return the class that *alias* stands for.

    Args:
        kind: `"trigger"`, `"jobstore"` or `"executor"`.
        alias: A name such as `"interval"`.

    Raises:
        LookupError: No such alias is known; the message lists those that are.
        MissingExtraError: The class needs a package that is not installed.
    """
    found = {entry.name: entry for entry in entry_points(group=f"apsched.{kind}s")}
    if alias in found:
        return found[alias].load()
    try:
        module, _, name = BUILT_IN[kind][alias].partition(":")
    except KeyError:
        known = sorted({*BUILT_IN[kind], *found})
        near = difflib.get_close_matches(alias, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise LookupError(f"no {kind} has the alias {alias!r}; there are: {', '.join(known)}{hint}") from None
    try:
        return getattr(import_module(module), name)
    except ImportError as exc:
        if alias in EXTRAS:
            raise MissingExtraError(f"{kind} {alias!r}", EXTRAS[alias]) from exc
        raise
