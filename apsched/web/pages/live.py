"""Tell open pages when to read themselves anew, by server-sent events (layer 10).

A stream ends after some seconds and the browser begins another one: so no server waits long for it at its end.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator

import anyio
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from apsched.web.backend import Backend
from apsched.web.state import Web
from apsched.web.words import machine

EVERY = 1.0  # seconds between two looks
LASTS = 10.0  # seconds
RETRY = 300  # milliseconds until the browser begins again


async def live(request: Request) -> Response:
    """Answer by a stream of events: `changed` when something has changed, and `tick` with the time."""
    web = Web.of(request)
    return StreamingResponse(
        _events(web, web.backend), media_type="text/event-stream", headers={"x-accel-buffering": "no"}
    )


async def _events(web: Web, backend: Backend) -> AsyncGenerator[str]:
    with backend.watching() as watch:
        seen = await watch()
        end = backend.clock.monotonic() + LASTS
        yield f"retry: {RETRY}\n" + _event("tick", web)
        while backend.clock.monotonic() < end:
            await anyio.sleep(EVERY)
            now = await watch()
            yield _event("tick" if now == seen else "changed", web)
            seen = now


def _event(name: str, web: Web) -> str:
    now = web.backend.now
    told = {"now": machine(now), "clock": f"{now.astimezone(web.zone):%H:%M:%S}"}
    return f"event: {name}\ndata: {json.dumps(told)}\n\n"
