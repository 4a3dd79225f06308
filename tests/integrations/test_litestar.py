"""Litestar: the plugin starts the scheduler and hands it to handlers."""

from __future__ import annotations

from litestar import Litestar, get

from apsched import AsyncScheduler
from apsched.integrations.litestar import SchedulerDep, SchedulerPlugin
from tests.integrations.asgi import client_of


async def tick() -> None: ...


@get("/jobs")
async def list_jobs(scheduler: SchedulerDep) -> list[str]:
    return [job.id for job in await scheduler.get_jobs()]


@get("/running")
async def is_running(clockwork: SchedulerDep) -> bool:
    return clockwork.running


async def test_the_plugin_starts_and_ends_the_scheduler_and_handlers_get_it() -> None:
    scheduler = AsyncScheduler(timezone="UTC")
    await scheduler.add_job(tick, "interval", hours=1, id="tick")
    app = Litestar([list_jobs], plugins=[SchedulerPlugin(scheduler)])

    async with client_of(app) as client:
        assert (await client.get("/jobs")).json() == ["tick"]
        assert scheduler.running

    assert not scheduler.running


async def test_the_parameter_may_have_another_name() -> None:
    app = Litestar([is_running], plugins=[SchedulerPlugin(AsyncScheduler(), dependency_key="clockwork")])

    async with client_of(app) as client:
        assert (await client.get("/running")).json() is True
