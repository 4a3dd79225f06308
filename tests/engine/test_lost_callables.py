"""A callable that one node finds and another does not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from apsched.async_scheduler import AsyncScheduler
from apsched.events import EVENT_JOB_QUARANTINED
from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore
from apsched.run import Outcome, Plan, Planner
from apsched.testing.clock import VirtualClock


class CountingStore(SQLAlchemyJobStore):
    """Counts how often it is looked at."""

    looks = 0

    async def take_due(self, now: datetime, slots: Mapping[str, int], plan: Planner, owner: str) -> list[Plan]:
        self.looks += 1
        return await super().take_due(now, slots, plan, owner)


def work() -> None:
    """Do nothing."""


async def test_a_node_that_lacks_a_callable_leaves_its_job_to_another_and_does_other_work(
    tmp_path: Path, clock: VirtualClock, notes: Any
) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    store = CountingStore(url, allowed_modules=["tests.engine.conftest"])
    unable = AsyncScheduler(clock=clock, timezone="UTC", jobstores={"default": store})
    able = AsyncScheduler(clock=clock, timezone="UTC", jobstores={"default": SQLAlchemyJobStore(url)})

    async with unable:
        await unable.add_listener(notes.keep, EVENT_JOB_QUARANTINED)
        async with able:
            await able.add_job(work, "interval", seconds=10, id="job")
            await able.pause()
            await clock.advance(60)  # it is due, and nobody runs it
            quarantine = (await unable.get_jobs())[0].quarantine
            looks = store.looks
            await able.resume()
            await clock.advance(60)

            runs = await able.get_runs("job", outcome=Outcome.SUCCEEDED)

    assert [(event.job_id, event.detail) for event in notes] == [("job", quarantine)]
    assert str(quarantine).startswith(f"node {unable.node} could not run it at ")
    assert {run.node for run in runs} == {able.node}
    assert len(runs) >= 6
    assert looks < 60
