"""Run jobs in the application context of a Flask program (layer 10)."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol

from apsched.engine.middleware import CallNext, Middleware
from apsched.run import Run


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
