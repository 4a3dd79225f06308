"""Ask a dashboard without a browser."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from apsched import AsyncScheduler
from apsched.jobstores.memory import MemoryJobStore
from apsched.run import Outcome, Run
from apsched.web.app import create_app

NOW = datetime(2026, 11, 21, 9, 41, tzinfo=UTC)
LOCAL = ("127.0.0.1", 40_000)
FAR = ("203.0.113.9", 40_000)
EVIL = "<img src=x onerror=alert(1)>'\"&{{7*7}}"


@asynccontextmanager
async def client_of(
    source: Any, *, client: tuple[str, int] = LOCAL, host: str = "http://127.0.0.1", **options: Any
) -> AsyncGenerator[httpx.AsyncClient]:
    """Give a client of a dashboard; of a client on this machine unless another one is named."""
    transport = httpx.ASGITransport(app=create_app(source, **options), client=client)
    async with httpx.AsyncClient(transport=transport, base_url=host) as http:
        yield http


async def press(http: httpx.AsyncClient, action: str, **fields: str) -> httpx.Response:
    """Send the form of an action, as the pages do."""
    if "apsched_csrf" not in http.cookies:
        await http.get("/")
    return await http.post(f"/do/{action}", data={"csrf": http.cookies["apsched_csrf"], **fields})


async def record(scheduler: AsyncScheduler, job_id: str, outcome: Outcome, ago: timedelta, **values: Any) -> Run:
    """Put a run into the history of the memory store, so long ago."""
    nominal = scheduler._clock.now() - ago
    run = Run(job_id=job_id, nominal_time=nominal, due_time=nominal, outcome=outcome, **values)
    store = scheduler._stores["default"]
    assert isinstance(store, MemoryJobStore)
    store._runs.setdefault(job_id, {})[nominal.timestamp()] = run
    if not outcome.is_final:
        store._open.setdefault(job_id, []).append(run)
    return run
