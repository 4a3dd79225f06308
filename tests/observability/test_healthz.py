"""Probes get the answers that let an orchestrator do the right thing."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import attrs
import pytest

from apsched import AsyncScheduler, ExecutorHealth, Health
from apsched.healthz import health_document
from apsched.testing import FaultyJobStore, VirtualClock


async def test_a_scheduler_that_is_well_is_ready_and_live(
    apsched_scheduler: AsyncScheduler, apsched_clock: VirtualClock
) -> None:
    await apsched_clock.run_until_idle()
    health = await apsched_scheduler.health()

    assert health_document(health, now=apsched_clock.now()) == (
        200,
        {"status": "ok", "problems": [], "node": apsched_scheduler.node},
    )
    assert health_document(health, "live", now=apsched_clock.now())[0] == 200


async def test_a_paused_one_is_ready_and_says_so(
    apsched_scheduler: AsyncScheduler, apsched_clock: VirtualClock
) -> None:
    await apsched_scheduler.pause()
    await apsched_clock.advance(hours=1)

    status, document = health_document(await apsched_scheduler.health(), now=apsched_clock.now())

    assert (status, document["status"]) == (200, "paused")


async def test_one_whose_store_is_away_is_live_but_not_ready(
    apsched_scheduler: AsyncScheduler, apsched_clock: VirtualClock, apsched_store: FaultyJobStore
) -> None:
    await apsched_scheduler.add_job(print, "interval", minutes=1)
    apsched_store.cut()
    await apsched_clock.advance(minutes=5)
    health = await apsched_scheduler.health()

    ready, document = health_document(health, now=apsched_clock.now())
    live, _ = health_document(health, "live", now=apsched_clock.now())

    assert (ready, live) == (503, 200)
    assert document["status"] == "degraded"
    assert document["problems"] == ["job store 'default' does not answer"]
    assert "jobstores" not in document  # the errors of stores name hosts and users


async def test_one_that_has_shut_down_is_neither(apsched_options: dict[str, Any]) -> None:
    async with AsyncScheduler(**apsched_options) as scheduler:
        pass
    health = await scheduler.health()

    assert health_document(health)[0] == health_document(health, "live")[0] == 503
    assert health_document(health)[1]["problems"] == ["the scheduler is not running"]


async def test_a_loop_that_does_not_look_and_an_executor_that_is_held_want_a_restart(
    apsched_scheduler: AsyncScheduler, apsched_clock: VirtualClock
) -> None:
    await apsched_clock.run_until_idle()
    health = await apsched_scheduler.health()
    later = apsched_clock.now() + timedelta(seconds=61)
    held = attrs.evolve(health, executors={"default": ExecutorHealth(capacity=10, in_use=10, stuck=10)})

    assert health_document(health, "live", now=later) == (
        503,
        {
            "status": "degraded",
            "problems": ["the loop of job store 'default' has not looked at it for 61 s"],
            "node": apsched_scheduler.node,
        },
    )
    assert health_document(health, "live", now=later, stale_after=120)[0] == 200
    status, document = health_document(held, "live", now=apsched_clock.now())
    assert (status, document["problems"]) == (503, ["executor 'default' is held by 10 calls that were given up"])


async def test_details_are_told_where_they_are_asked_for(
    apsched_scheduler: AsyncScheduler, apsched_clock: VirtualClock
) -> None:
    await apsched_clock.run_until_idle()
    health: Health = await apsched_scheduler.health()

    _, document = health_document(health, details=True, now=apsched_clock.now() + timedelta(seconds=2))

    assert json.loads(json.dumps(document))["jobstores"]["default"] == {
        "node": apsched_scheduler.node,
        "seconds_since_look": 2.0,
        "seconds_since_beat": None,
        "failures": 0,
        "last_error": None,
        "unrecorded": 0,
        "is_trusted": True,
        "live_nodes": 1,
    }
    assert set(document) == {
        *("status", "problems", "node", "runs_under_way", "jobstores", "executors", "event_loop"),
    }


async def test_there_are_two_probes(apsched_scheduler: AsyncScheduler) -> None:
    with pytest.raises(ValueError, match="probe must be 'ready' or 'live', got 'startup'"):
        health_document(await apsched_scheduler.health(), "startup")  # type: ignore[arg-type]
