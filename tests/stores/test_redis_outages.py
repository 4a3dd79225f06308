"""What the Redis store does where an answer is lost, a clock is wrong or a record is damaged."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import anyio
import attrs
import pytest
import redis
from redis.asyncio import Redis

from apsched.exceptions import JobStoreUnavailableError
from apsched.job import Job
from apsched.jobstores.redis import RedisJobStore
from apsched.run import Outcome, Plan, Run
from apsched.testing.contract._values import FAR, LEASE, T0, claim, make_job, setting, take, take_one
from tests.stores.test_redis_store import TAG, elsewhere, row_of

PENDING = Outcome.PENDING


@pytest.fixture
def raw(redis_database: str) -> Iterator[redis.Redis]:
    """A client that looks past the store."""
    with redis.Redis.from_url(redis_database) as client:
        yield client


@pytest.fixture
async def store(redis_database: str) -> AsyncIterator[RedisJobStore]:
    async with RedisJobStore(url=redis_database) as store:
        for node in "ab":
            await store.join(node, LEASE, T0)
        yield store


class Fragile(Redis):
    """
    A client whose connection may break.

    Attributes:
        calls_left: How many calls are answered; the next one is carried out and not answered, and no other arrives.
    """

    calls_left = 10**9

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        Fragile.calls_left -= 1
        if Fragile.calls_left < -1:
            raise redis.ConnectionError("the connection is gone")
        answer = await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]  # so it is in the client
        if Fragile.calls_left < 0:
            raise redis.ConnectionError("the connection has broken")
        return answer


async def test_a_claim_without_an_answer_is_an_error_whatever_was_claimed_before(
    store: RedisJobStore, redis_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.add([make_job("x"), make_job("y")])
    names: list[str] = []

    async def change() -> None:
        async with RedisJobStore(url=redis_database) as other:
            await other.update("x", setting(name="changed"))

    def plan(job: Job, *args: Any) -> Plan:
        if not names:
            elsewhere(change)
        names.append(job.name)
        if job.name == "changed":
            monkeypatch.setattr(Fragile, "calls_left", 0)
        return claim(job, *args)

    monkeypatch.setattr(Fragile, "calls_left", 10**9)
    async with RedisJobStore(client=lambda: Fragile.from_url(redis_database)) as fragile:
        with pytest.raises(JobStoreUnavailableError):
            await take(fragile, plan=plan)

    assert names == ["noop", "noop", "changed"]
    assert {plan.job.id for plan in await store.claimed("a")} == {"x", "y"}


async def test_what_a_node_with_a_fast_clock_was_planning_for_is_free_as_soon_as_any(
    store: RedisJobStore, redis_database: str, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.add([make_job()])

    def die(job: Job, *args: Any) -> Plan:
        monkeypatch.setattr(Fragile, "calls_left", -1)
        return claim(job, *args)

    async with RedisJobStore(client=lambda: Fragile.from_url(redis_database)) as fragile:
        with pytest.raises(JobStoreUnavailableError):
            await take(fragile, T0 + timedelta(days=1), plan=die)

    seconds: Any = raw.time()
    held: Any = raw.hget(f"{TAG}:held", "a")
    (until,) = re.findall(rb"\d{16}", held)
    assert seconds[0] - 60 < int(until) / 1_000_000 < seconds[0] + 60


def again(job: Job | None, run: Run) -> Run:
    return attrs.evolve(run, outcome=PENDING, epoch=run.epoch + 1, node=None, claimed_at=None)


@pytest.mark.parametrize("head", [b"R|1|%d|||a\n" % 10**30, b"R|01|1|||a\n"], ids=["claimed too late", "odd epoch"])
async def test_a_damaged_run_of_a_dead_node_keeps_nobody_from_settling_the_others(
    store: RedisJobStore, raw: redis.Redis, head: bytes
) -> None:
    await store.add([make_job("good"), make_job("bad")])
    runs = {plan.job.id: plan.runs[0] for plan in await take(store)}
    name = f"{round(runs['bad'].nominal_time.timestamp() * 1_000_000)}:bad"
    raw.hset(f"{TAG}:runs", name, head + row_of(raw, name).partition(b"\n")[2])
    await store.leave("a")

    with anyio.fail_after(10):
        settled = await store.reap({}, again)

    assert [(run.job_id, run.outcome) for run in settled] == [("good", PENDING)]
    assert (await take_one(store, owner="b")).job_id == "good"


async def test_a_run_to_start_again_whose_job_is_gone_is_settled_as_cancelled(store: RedisJobStore) -> None:
    await store.add([make_job()])
    await take_one(store, T0)
    await store.remove("job")
    await store.leave("a")

    (run,) = await store.reap({}, again)

    assert run.outcome is Outcome.CANCELLED
    assert await take(store, FAR, owner="b") == []
