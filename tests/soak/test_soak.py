"""Fifty thousand runs need no more memory than ten thousand."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from apsched.async_scheduler import AsyncScheduler
from apsched.retry import Retry
from apsched.testing.clock import VirtualClock
from tests.soak.measure import measure

OBJECTS = 500  # by which their number may differ from moment to moment
RESIDENT = 8 * 2**20  # bytes


async def work() -> None:
    pass


async def fail() -> None:
    raise ValueError


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"debug": False})], ids=["asyncio"])
async def test_memory_stays_flat_over_fifty_thousand_runs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "apsched")  # what pytest captures grows
    clock = VirtualClock()
    ended = 0

    def count(event: Any) -> None:
        nonlocal ended
        ended += getattr(event, "run", None) is not None

    async with AsyncScheduler(clock=clock, timezone="UTC", keep_log=False) as scheduler:
        await scheduler.add_listener(count)
        each_second: dict[str, Any] = {"trigger": "interval", "seconds": 1}
        await scheduler.add_jobs([{"func": work, **each_second} for _ in range(70)])
        await scheduler.add_job(fail, **each_second, retry=Retry(2, 0.1))
        await scheduler.add_job(clock.sleep, args=[1.5], **each_second)

        await clock.advance(140)
        early = measure()
        assert ended > 10_000
        await clock.advance(560)
        late = measure()

    assert ended > 50_000
    assert late.objects - early.objects < OBJECTS
    assert late.resident - early.resident < RESIDENT
    assert (late.threads, late.files) == (early.threads, early.files)
    assert late.tasks <= early.tasks + 1
