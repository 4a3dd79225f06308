"""Make the scheduler that the settings of a project describe (layer 10)."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from asgiref.sync import sync_to_async
from django import conf
from django.core.exceptions import ImproperlyConfigured
from django.db import close_old_connections

from apsched.engine.middleware import CallNext, middleware_of
from apsched.integrations.django.declared import OWNER, declared_jobs
from apsched.jobstores.base import JobStore
from apsched.run import Run
from apsched.schedulers.background import BackgroundScheduler

SETTING = "APSCHED"


class DjangoScheduler(BackgroundScheduler):
    """
    The scheduler of a Django project.

    Its options are those in the setting `APSCHED`. Unless that names another one, its store is in the database
    `default`, and its zone is `TIME_ZONE`. When it starts, the store is made to hold what `@scheduled_job` declares.
    Connections to databases that are too old or do not work are closed before and after each run, as Django does with
    requests.
    """

    def __init__(self) -> None:
        dotted, options = _options()
        options["middleware"] = (_with_fresh_connections, *middleware_of(options.get("middleware")))
        super().__init__(dotted, **options)
        if not any("jobstores" in key.split(".") for key in (*dotted, *options)):
            from apsched.integrations.django.databases import make_jobstore

            self.configure(jobstores={"default": make_jobstore()})

    def start(self, paused: bool = False) -> None:
        """
        Start the scheduler in a thread of its own, and return when it has started and its store has what is declared.

        Args:
            paused: Whether nothing is run until `resume`.

        Raises:
            SchedulerAlreadyRunningError: It is running.
            SchedulerStateError: uWSGI runs the program without threads.
            Exception: A store cannot be opened, or something is wrong with a job that is declared.
        """
        jobs = declared_jobs()
        super().start(paused=True)
        try:
            self.sync(jobs, owner=OWNER)
        except BaseException:
            self.shutdown(wait=False)
            raise
        if not paused:
            self.resume()

    @property
    def store(self) -> JobStore:
        """Its job store `default`."""
        return self._core._stores["default"]


def _options() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the settings say with dotted keys, as in APScheduler 3, and what with the names of options."""
    given: Any = getattr(conf.settings, SETTING, {})
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(f"{SETTING} must be a mapping of the options of a scheduler, got {given!r}")
    dotted = {name: value for name, value in given.items() if "." in name}
    options = {name: value for name, value in given.items() if "." not in name}
    if not any(key.rpartition(".")[2] == "timezone" for key in given):
        options["timezone"] = conf.settings.TIME_ZONE
    return dotted, options


async def _with_fresh_connections(run: Run, call_next: CallNext) -> Any:
    has_awaited = False

    @contextmanager
    def fresh_connections() -> Generator[None]:
        nonlocal has_awaited
        has_awaited = _is_in_event_loop()
        if has_awaited:  # connections belong to threads, and this one has none
            yield
            return
        close_old_connections()
        try:
            yield
        finally:
            close_old_connections()

    try:
        return await call_next(inside=fresh_connections)
    finally:
        if has_awaited:  # where Django carries out what coroutine functions ask of databases
            await sync_to_async(close_old_connections)()


def _is_in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
