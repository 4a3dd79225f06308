"""Reach the scheduler of a Starlette application from its requests (layer 10)."""

from __future__ import annotations

from typing import Any

from starlette.requests import HTTPConnection

from apsched.async_scheduler import AsyncScheduler
from apsched.exceptions import SchedulerNotRunningError


def scheduler_of(connection: HTTPConnection) -> AsyncScheduler:
    """
    Return the scheduler that the lifespan of the application has given out.

        @asynccontextmanager
        async def lifespan(app):
            async with AsyncScheduler() as scheduler:
                yield {"scheduler": scheduler}

        async def list_jobs(request):
            jobs = await scheduler_of(request).get_jobs()

    Args:
        connection: A request or a web socket, of the application or of one that is mounted in it.

    Raises:
        SchedulerNotRunningError: The lifespan gave out none, or the server does not run it.
    """
    scheduler: Any = getattr(connection.state, "scheduler", None)
    if scheduler is None:
        raise SchedulerNotRunningError(
            "the application has no scheduler; start one in its lifespan, yield {'scheduler': scheduler} there, and "
            "use a server or a test client that runs the lifespan"
        )
    return scheduler  # type: ignore[no-any-return]  # by agreement
