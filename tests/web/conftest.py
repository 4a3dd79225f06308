"""Dashboards to ask: without a browser, on both event loops."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import httpx
import pytest

from apsched import AsyncScheduler
from apsched.testing.clock import VirtualClock
from tests.web.asking import NOW, client_of


@pytest.fixture
async def scheduler() -> AsyncGenerator[AsyncScheduler]:
    async with AsyncScheduler(clock=VirtualClock(NOW), timezone="Europe/Berlin", start_paused=True) as started:
        yield started


@pytest.fixture
async def http(scheduler: AsyncScheduler) -> AsyncGenerator[httpx.AsyncClient]:
    async with client_of(scheduler) as client:
        yield client
