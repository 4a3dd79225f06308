"""Find triggers, job stores, notifiers, executors and serializers by alias (layer 5).

Built-in ones are reached by the name of their module, at run time: this is the one way in which a lower layer leads to
a higher one. Those of other packages are entry points in the groups `apsched.triggers`, `apsched.jobstores`,
`apsched.notifiers`, `apsched.executors` and `apsched.serializers`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from inspect import Parameter, signature
from typing import Any

from apsched.exceptions import MissingExtraError

TRIGGERS: Mapping[str, str] = {
    "date": "apsched.triggers.date:DateTrigger",
    "interval": "apsched.triggers.interval:IntervalTrigger",
    "cron": "apsched.triggers.cron:CronTrigger",
    "calendarinterval": "apsched.triggers.calendarinterval:CalendarIntervalTrigger",
    "after": "apsched.triggers.after:After",
    "and": "apsched.triggers.combining:AndTrigger",
    "or": "apsched.triggers.combining:OrTrigger",
}
JOBSTORES: Mapping[str, str] = {
    "memory": "apsched.jobstores.memory:MemoryJobStore",
    "sqlalchemy": "apsched.jobstores.sqlalchemy:SQLAlchemyJobStore",
    "mongodb": "apsched.jobstores.mongodb:MongoDBJobStore",
    "redis": "apsched.jobstores.redis:RedisJobStore",
}
NOTIFIERS: Mapping[str, str] = {
    "postgresql": "apsched.notifiers.postgresql:PostgreSQLNotifier",
    "mongodb": "apsched.notifiers.mongodb:MongoDBNotifier",
    "redis": "apsched.notifiers.redis:RedisNotifier",
}
EXECUTORS: Mapping[str, str] = {
    "threadpool": "apsched.executors.pool:ThreadPoolExecutor",
    "processpool": "apsched.executors.pool:ProcessPoolExecutor",
    "asyncio": "apsched.executors.asyncio:AsyncIOExecutor",
    "debug": "apsched.executors.debug:DebugExecutor",
    "celery": "apsched.executors.celery:CeleryExecutor",
    "dask": "apsched.executors.dask:DaskExecutor",
    "gevent": "apsched.executors.gevent:GeventExecutor",
    "tornado": "apsched.executors.tornado:TornadoExecutor",
    "twisted": "apsched.executors.twisted:TwistedExecutor",
    "twisted-reactor": "apsched.executors.twisted:TwistedReactorExecutor",
    "qt-gui": "apsched.executors.qt:QtGuiExecutor",
}
SERIALIZERS: Mapping[str, str] = {
    "json": "apsched.serializers.json:JSONSerializer",
    "cbor": "apsched.serializers.cbor:CBORSerializer",
    "pickle": "apsched.serializers.pickle:PickleSerializer",
}
EXTRAS: Mapping[str, str] = {  # alias -> extra that it needs
    "cbor": "cbor",
    "celery": "celery",
    "dask": "dask",
    "mongodb": "mongodb",
    "postgresql": "postgresql",
    "redis": "redis",
    "sqlalchemy": "sqlite",
}
BUILT_IN: Mapping[str, Mapping[str, str]] = {
    "trigger": TRIGGERS,
    "jobstore": JOBSTORES,
    "notifier": NOTIFIERS,
    "executor": EXECUTORS,
    "serializer": SERIALIZERS,
}
NOUNS: Mapping[str, str] = {
    "trigger": "trigger",
    "jobstore": "job store",
    "notifier": "notifier",
    "executor": "executor",
    "serializer": "serializer",
}


@cache
def find(kind: str, alias: str) -> Any:
    """
    Return the class that *alias* stands for.

    Args:
        kind: `"trigger"`, `"jobstore"`, `"notifier"`, `"executor"` or `"serializer"`.
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
        hint = suggestion(alias, known)
        raise LookupError(f"no {NOUNS[kind]} has the alias {alias!r}; there are: {', '.join(known)}{hint}") from None
    try:
        return getattr(import_module(module), name)
    except ImportError as exc:
        if alias in EXTRAS:
            raise MissingExtraError(f"{NOUNS[kind]} {alias!r}", EXTRAS[alias]) from exc
        raise


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean ...?` with what is nearest to *name*, or nothing if nothing is near."""
    near = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def call(make: Callable[..., Any], options: Mapping[str, Any], subject: str, others: Iterable[str] = ()) -> Any:
    """
    Return what *make* makes of *options*.

    Args:
        make: A class or function.
        options: Its keyword arguments.
        subject: What it makes; begins the message of an error.
        others: Names that users may have meant besides those of *make*.

    Raises:
        TypeError: The options do not fit; the message says which one, and what there is.
        Exception: What *make* raises.
    """
    try:
        return make(**options)
    except TypeError:
        error = _misuse(make, options, subject, others)
        if error is None:
            raise
        raise error from None


def _misuse(
    make: Callable[..., Any], options: Mapping[str, Any], subject: str, others: Iterable[str]
) -> TypeError | None:
    """
    Return what to raise where *options* do not fit *make*; None if they fit.

    Looking at a signature costs more than most calls: asked when *make* has raised TypeError. If None comes back, that
    came from within.
    """
    try:
        parameters = signature(make).parameters.values()
    except ValueError:  # it has none
        return None
    taken = [each.name for each in parameters if each.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)]
    there_are = ", ".join(taken) or "none"
    if not any(each.kind is Parameter.VAR_KEYWORD for each in parameters):
        for name in options:
            if name not in taken:
                hint = suggestion(name, [*taken, *others]) or ";"
                return TypeError(f"{subject} has no argument {name!r}{hint} there are: {there_are}")
    for each in parameters:
        if each.default is Parameter.empty and each.name in taken and each.name not in options:
            return TypeError(f"{subject} must have the argument {each.name!r}, got none; there are: {there_are}")
    return None
