"""Starlette: the scheduler of the lifespan in requests."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from apsched import AsyncScheduler
from apsched.exceptions import SchedulerNotRunningError
from apsched.integrations.starlette import scheduler_of
from tests.integrations.asgi import client_of


async def tick() -> None: ...


async def list_jobs(request: Request) -> JSONResponse:
    return JSONResponse([job.id for job in await scheduler_of(request).get_jobs()])


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncGenerator[dict[str, Any]]:
    async with AsyncScheduler(timezone="UTC") as scheduler:
        await scheduler.add_job(tick, "interval", hours=1, id="tick")
        yield {"scheduler": scheduler}


@pytest.mark.parametrize("path", ["/jobs", "/inner/jobs"])
async def test_a_request_reaches_the_scheduler_of_the_lifespan(path: str) -> None:
    route = Route("/jobs", list_jobs)
    app = Starlette(routes=[route, Mount("/inner", Starlette(routes=[route]))], lifespan=lifespan)

    async with client_of(app) as client:
        assert (await client.get(path)).json() == ["tick"]


async def test_without_a_lifespan_the_error_says_what_to_do() -> None:
    app = Starlette(routes=[Route("/jobs", list_jobs)])
    transport = httpx.ASGITransport(app)

    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        with pytest.raises(SchedulerNotRunningError, match=r"yield \{'scheduler': scheduler\}"):
            await client.get("/jobs")
