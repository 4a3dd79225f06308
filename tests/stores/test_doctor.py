"""The doctor finds what no node picks up, and nothing else."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest
import redis

from apsched.clock import SystemClock
from apsched.doctor import Finding, examine
from apsched.jobstores.base import JobStore
from apsched.jobstores.memory import MemoryJobStore
from apsched.run import Outcome, Run
from apsched.testing.contract._values import FAR, LEASE, T0, claim, claim_last, make_job, make_run, quarantine, take
from tests.cluster.stores import make_store

LATER = T0 + timedelta(minutes=10)
SOON = T0 + timedelta(seconds=30)


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/jobs.db" if request.param == "sqlite" else request.getfixturevalue("redis_database")


@pytest.fixture
async def store(url: str) -> AsyncIterator[JobStore]:
    async with make_store(url) as store:
        await store.join("a", LEASE, T0)
        yield store


def unchanged(run: Run) -> Run:
    return attrs.evolve(run, outcome=Outcome.PENDING, epoch=run.epoch + 1, node=None)


async def kinds(store: JobStore, now: datetime) -> list[tuple[str, str]]:
    """Return what is found of jobs and runs."""
    findings = await examine(store, now)
    assert all(finding.detail and finding.advice for finding in findings)
    return [(finding.what, finding.id) for finding in findings if finding.what != "silent"]


async def test_nothing_is_wrong_with_what_waits_for_its_time_or_is_paused(store: JobStore) -> None:
    await store.add([make_job("far", due=FAR), make_job("paused", due=None), make_job("now")])

    assert await kinds(store, SOON) == []


async def test_a_job_that_nobody_has_taken_is_overdue(store: JobStore) -> None:
    await store.add([make_job()])

    assert await kinds(store, LATER) == [("overdue", "job")]


async def test_a_quarantined_job_is_found_with_its_reason(store: JobStore) -> None:
    await store.add([make_job()])
    await take(store, plan=quarantine)

    (finding,) = [found for found in await examine(store, SOON) if found.what != "silent"]

    assert (finding.what, finding.id, finding.detail) == ("quarantined", "job", "it cannot run")


async def test_a_job_that_no_look_finds_is_unreachable(store: JobStore, url: str) -> None:
    await store.add([make_job("lost"), make_job("next", due=FAR)])
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            connection.execute("UPDATE apsched_jobs SET due_time = NULL WHERE id = 'lost'")
            connection.commit()
    else:
        with redis.Redis.from_url(url) as raw:
            raw.zrem("{apsched.jobs}:due:default", "lost")

    assert await kinds(store, LATER) == [("unreachable", "lost")]


async def test_a_run_that_waits_for_nothing_is_stuck(store: JobStore) -> None:
    await store.add([make_job(due=FAR)])
    run = await store.add_run(make_run())

    assert await kinds(store, SOON) == []
    assert await kinds(store, LATER) == [("stuck", run.id)]


async def test_a_run_that_waits_behind_another_is_not_stuck(store: JobStore) -> None:
    await store.add([make_job()])
    await take(store, plan=claim)
    await store.update("job", lambda job: attrs.evolve(job, next_run_time=None))
    await store.add_run(make_run(at=T0 + timedelta(seconds=1)))

    assert await kinds(store, LATER) == []


async def test_a_run_on_a_node_that_is_gone_is_orphaned(store: JobStore) -> None:
    await store.add([make_job()])
    ((plan),) = await take(store, plan=claim_last)
    await store.leave("a")

    assert await kinds(store, SOON) == []
    assert await kinds(store, LATER) == [("orphaned", plan.runs[0].id)]


async def test_what_was_settled_for_a_dead_node_is_no_orphan(store: JobStore) -> None:
    await store.add([make_job()])
    await take(store, plan=claim_last)
    await store.reap({"a": 0}, lambda _, run: unchanged(run))

    assert [what for what, _ in await kinds(store, LATER)] == ["stuck"]


async def test_a_node_that_gives_no_sign_of_life_is_silent(store: JobStore) -> None:
    now = SystemClock().now()

    assert await examine(store, min(now, T0)) == []
    (finding,) = await examine(store, max(now, T0) + timedelta(days=1))

    assert isinstance(finding, Finding)
    assert (finding.what, finding.id) == ("silent", "a")


async def test_a_store_that_is_not_shared_has_no_dead_nodes() -> None:
    async with MemoryJobStore() as store:
        await store.join("a", LEASE, T0)
        await store.add([make_job()])
        await take(store, plan=claim_last)

        assert await examine(store, datetime(2100, 1, 1, tzinfo=UTC)) == []
