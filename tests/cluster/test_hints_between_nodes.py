"""Where the server of a store carries hints, a node acts at once on what another one has changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime
from statistics import median
from typing import Any

import anyio
import pytest

from apsched.async_scheduler import AsyncScheduler
from apsched.clock import SystemClock
from tests.cluster.stores import make_store

FIXTURES = ("postgresql_database", "redis_database", "mongodb_database")
MAX_IDLE = 60.0  # seconds; what polling alone would take
TRIES = 9

clock = SystemClock()
began: list[datetime] = []


async def note() -> None:
    began.append(clock.now())


@pytest.fixture(params=FIXTURES)
async def nodes(request: pytest.FixtureRequest) -> AsyncIterator[tuple[AsyncScheduler, AsyncScheduler]]:
    """A node that is paused, and one that runs what the first one adds."""
    url = request.getfixturevalue(request.param)
    began.clear()
    async with AsyncExitStack() as stack:
        one, two = (
            AsyncScheduler(jobstores={"default": make_store(url)}, max_idle=MAX_IDLE, start_paused=is_paused)
            for is_paused in (True, False)
        )
        yield await stack.enter_async_context(one), await stack.enter_async_context(two)


async def wait_for(count: int) -> None:
    with anyio.fail_after(MAX_IDLE / 2):
        while len(began) < count:  # noqa: ASYNC110  # it comes about in a job
            await anyio.sleep(0.001)


async def test_what_one_node_adds_or_moves_the_other_runs_at_once(nodes: tuple[AsyncScheduler, AsyncScheduler]) -> None:
    one, two = nodes
    seconds: list[float] = []

    async def measure(verb: Any, *args: Any, **options: Any) -> None:
        count = len(began)
        before = clock.now()
        await verb(*args, **options)
        await wait_for(count + 1)
        seconds.append((began[count] - before).total_seconds())

    for number in range(TRIES):
        await measure(one.add_job, note, id=f"added {number}")
        for name in ("by hand", "moved"):
            await one.add_job(note, "interval", hours=1, id=f"{name} {number}")
        await measure(one.run_job, f"by hand {number}")
        await measure(one.modify_job, f"moved {number}", next_run_time=clock.now())

    assert median(seconds) < 1
    assert {run.node for run in await one.get_runs()} == {two.node}
