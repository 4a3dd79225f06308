"""Run jobs in the application context of a Flask program, and start with its server (layer 10)."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import wraps
from typing import Any, Protocol

import click
from flask import Flask

from apsched.engine.middleware import CallNext, Middleware, middleware_of
from apsched.integrations._commands import run_command, shared
from apsched.integrations._flask_serving import has_reloader, is_watcher, reason_not_to_start
from apsched.run import Run
from apsched.schedulers.background import BackgroundScheduler

OPTIONS: Mapping[str, str] = {  # key of the configuration -> option of the scheduler
    "SCHEDULER_JOBSTORES": "jobstores",
    "SCHEDULER_EXECUTORS": "executors",
    "SCHEDULER_JOB_DEFAULTS": "job_defaults",
    "SCHEDULER_TIMEZONE": "timezone",
}
JOBS = ("SCHEDULER_JOBS", "JOBS")
RETIRED = ("SCHEDULER_API_ENABLED", "SCHEDULER_VIEWS_ENABLED", "SCHEDULER_AUTH")

logger: logging.Logger = logging.getLogger("apsched.flask")


class HasAppContext(Protocol):
    """A `flask.Flask`."""

    def app_context(self) -> AbstractContextManager[Any]:
        """Make an application context."""
        ...


def app_context(app: HasAppContext) -> Middleware:
    """
    Return middleware that gives each run an application context of its own.

        BackgroundScheduler(middleware=[app_context(app)])

    It is pushed and popped where the callable is called: in its thread, or around a coroutine function in its event
    loop. Extensions such as Flask-SQLAlchemy so tidy up in the thread that used them. Worker processes, which have no
    application, get none.

    Args:
        app: The application.
    """

    async def in_app_context(run: Run, call_next: CallNext) -> Any:
        return await call_next(inside=app.app_context)

    return in_app_context


class APSched(BackgroundScheduler):
    """
    The scheduler of a Flask program: a `BackgroundScheduler` whose jobs run in the application context.

        scheduler = APSched()

        @scheduler.task("interval", id="count", minutes=5)
        def count():
            current_app.logger.info("%d items", len(Item.query.all()))

        def create_app():
            app = Flask(__name__)
            app.config.from_prefixed_env()
            scheduler.init_app(app)
            scheduler.start()
            return app

    Args:
        app: The application, if it is there already: as `init_app`.
        middleware: As in `BackgroundScheduler`; within the application context.
        **options: Further arguments of `BackgroundScheduler`.

    Attributes:
        app: The application; None before `init_app`.
    """

    def __init__(
        self, app: Flask | None = None, *, middleware: Sequence[Middleware | str] | str | None = None, **options: Any
    ) -> None:
        super().__init__(middleware=(self._in_app_context, *middleware_of(middleware)), **options)
        self.app: Flask | None = None
        self._is_idle = False  # whether `start` was of no use in this process
        if app is not None:
            self.init_app(app)

    task = BackgroundScheduler.scheduled_job  # the name in Flask-APScheduler

    def init_app(self, app: Flask) -> None:
        """
        Run jobs in the context of *app*, and take what its configuration says.

        The keys are those of Flask-APScheduler: `SCHEDULER_JOBSTORES`, `SCHEDULER_EXECUTORS`, `SCHEDULER_JOB_DEFAULTS`
        and `SCHEDULER_TIMEZONE` replace what the constructor was given; `SCHEDULER_JOBS` or `JOBS` are mappings with
        the parameters of `add_job`, and are added, or put in the place of those of the same id. The scheduler is also
        found as `app.extensions["apsched"]` and as `app.apscheduler`, and its jobs by the command `flask jobs`.

        Args:
            app: The application.

        Raises:
            SchedulerAlreadyRunningError: The scheduler runs, and the configuration has options of it.
            LookupError: An alias is not known.
            TypeError: A value is of the wrong type, or there is no such parameter.
            ValueError: A value is out of range.
        """
        options = {name: app.config[key] for key, name in OPTIONS.items() if app.config.get(key) is not None}
        if options:
            self.configure(**options)
        for key in RETIRED:
            if app.config.get(key):
                warnings.warn(f"{key} has no effect: serve the dashboard of apsched instead", stacklevel=2)
        self.app = app
        self._add_configured_jobs(app)
        app.extensions["apsched"] = self
        vars(app)["apscheduler"] = self
        vars(app)["run"] = self._ending_in_watcher(app)
        app.cli.add_command(self._make_command())

    def start(self, paused: bool = False) -> None:
        """
        Start the scheduler in a thread of its own, and return when it has started.

        Does nothing where the program is not served: in the process of `flask run --debug` that only watches the files
        for the one that serves, and while `flask` looks for a command. With `app.run(debug=True)`, of which nothing is
        known here yet, the scheduler starts, and is shut down in the process that watches as soon as that is.

        Args:
            paused: Whether nothing is run until `resume`.

        Raises:
            SchedulerAlreadyRunningError: It is running.
            SchedulerStateError: uWSGI runs the program without threads.
            Exception: A store cannot be opened, or a job that was added before cannot be kept.
        """
        reason = reason_not_to_start()
        self._is_idle = reason is not None
        if reason is None:
            super().start(paused)
        else:
            logger.info("the scheduler does not start: %s", reason)

    def shutdown(self, wait: bool | float = True) -> None:
        if self.running or not self._is_idle:
            super().shutdown(wait)

    def _add_configured_jobs(self, app: Flask) -> None:
        jobs: Iterable[Mapping[str, Any]] = next((app.config[key] for key in JOBS if app.config.get(key)), ())
        for job in jobs:
            options: dict[str, Any] = {"replace_existing": True, **job}
            if isinstance(options.get("trigger"), Mapping):
                arguments = dict(options.pop("trigger"))
                options.update(trigger=arguments.pop("type", None), **arguments)
            self.add_job(**options)

    async def _in_app_context(self, run: Run, call_next: CallNext) -> Any:
        return await call_next(inside=None if self.app is None else self.app.app_context)

    def _ending_in_watcher(self, app: Flask) -> Callable[..., None]:
        """Return `app.run` that first ends the scheduler if this process will only watch the files."""
        serve = app.run

        @wraps(serve)
        def run(*args: Any, **kwargs: Any) -> None:
            if is_watcher(has_reloader(app, args, kwargs)) and self.running:
                self.shutdown()
                self._is_idle = True
            serve(*args, **kwargs)

        return run

    def _make_command(self) -> click.Command:
        @click.command("jobs", context_settings={"ignore_unknown_options": True, "help_option_names": []})
        @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
        def command(arguments: tuple[str, ...]) -> None:
            """List, show, trigger and change the jobs, as the command apsched does."""
            sys.exit(
                run_command(
                    arguments,
                    name="flask jobs",
                    make_store=lambda: shared(self._core._stores["default"], "SCHEDULER_JOBSTORES"),
                    make_scheduler=lambda: self,
                    timezone=self.timezone,
                )
            )

        return command
