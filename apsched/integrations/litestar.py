"""Start a scheduler with a Litestar application, and hand it to route handlers (layer 10)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TypeAlias

from litestar import Litestar
from litestar.config.app import AppConfig
from litestar.di import NamedDependency, Provide
from litestar.plugins import InitPlugin

from apsched.async_scheduler import AsyncScheduler

SchedulerDep: TypeAlias = NamedDependency[AsyncScheduler]
"""The scheduler, as a parameter of a route handler."""


class SchedulerPlugin(InitPlugin):
    """
    Starts the scheduler when the application starts, and shuts it down at its end.

        app = Litestar([list_jobs], plugins=[SchedulerPlugin(AsyncScheduler())])

        @get("/jobs")
        async def list_jobs(scheduler: SchedulerDep) -> list[str]:
            return [job.id for job in await scheduler.get_jobs()]

    Args:
        scheduler: The scheduler, which is not started.
        dependency_key: The name of the parameter by which handlers get it.
    """

    def __init__(self, scheduler: AsyncScheduler, *, dependency_key: str = "scheduler") -> None:
        self._scheduler = scheduler
        self._dependency_key = dependency_key

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add the lifespan and the dependency."""
        app_config.lifespan.append(self._started)
        app_config.dependencies[self._dependency_key] = Provide(self._provide, sync_to_thread=False)
        return app_config

    @asynccontextmanager
    async def _started(self, app: Litestar) -> AsyncGenerator[None]:
        async with self._scheduler:
            yield

    def _provide(self) -> AsyncScheduler:
        return self._scheduler
