"""Run an ASGI application in the event loop of the test: its lifespan, and requests to it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx


@asynccontextmanager
async def client_of(app: Any) -> AsyncGenerator[httpx.AsyncClient]:
    """Start *app*, give out a client of it, and shut it down."""
    state: dict[str, Any] = {}
    asks, hears = anyio.create_memory_object_stream[MutableMapping[str, Any]](2)
    answers, reads = anyio.create_memory_object_stream[MutableMapping[str, Any]](2)

    async def with_state(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "state": state.copy()}, receive, send)

    async def live() -> None:
        await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": state}, hears.receive, answers.send)

    async with anyio.create_task_group() as tasks, asks, hears, answers, reads:
        tasks.start_soon(live)
        await asks.send({"type": "lifespan.startup"})
        assert (await reads.receive())["type"] == "lifespan.startup.complete"
        async with httpx.AsyncClient(transport=httpx.ASGITransport(with_state), base_url="http://test") as client:
            yield client
        await asks.send({"type": "lifespan.shutdown"})
        assert (await reads.receive())["type"] == "lifespan.shutdown.complete"
