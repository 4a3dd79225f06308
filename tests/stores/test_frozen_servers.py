"""A scheduler ends soon although the network of its store swallows everything."""

from __future__ import annotations

import anyio
import pytest

from apsched.async_scheduler import AsyncScheduler
from apsched.engine import open_store
from apsched.events import EVENT_JOB_EXECUTED
from apsched.jobstores.mongodb import MongoDBJobStore
from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore
from tests.cluster.stores import through
from tests.servers import MongoDB, PostgreSQL, Proxy

BRIEF = 0.5  # seconds, as a timeout
LONGEST = 10.0  # seconds; with these timeouts it takes about 3


def work() -> None:
    """Do nothing."""


@pytest.mark.parametrize("kind", ["postgresql", "mongodb"])
async def test_the_end_waits_but_a_moment_for_a_server_that_says_nothing(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(open_store, "END_PATIENCE", BRIEF)
    server: PostgreSQL | MongoDB = request.getfixturevalue(f"{kind}_server")
    began = anyio.Event()
    with server.database() as url, Proxy(server.port) as proxy:
        make_store = MongoDBJobStore if kind == "mongodb" else SQLAlchemyJobStore
        patient, brief = make_store(url=url, timeout=60), make_store(url=through(proxy, url), timeout=BRIEF)
        async with AsyncScheduler(jobstores={"default": patient}, start_paused=True) as scheduler:
            await scheduler.add_job(work, "interval", seconds=0.05, coalesce=True)
        async with AsyncScheduler(jobstores={"default": brief}) as scheduler:
            await scheduler.add_listener(lambda event: began.set(), EVENT_JOB_EXECUTED)
            with anyio.fail_after(30):
                await began.wait()
            proxy.freeze()
            frozen_at = anyio.current_time()
        assert anyio.current_time() - frozen_at < LONGEST
        proxy.heal()  # or the database could not be removed
