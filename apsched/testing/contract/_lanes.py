"""State how jobs of several priorities and requirements are told apart (layer 10)."""
# ruff: noqa: S101  # assert is how pytest works

from __future__ import annotations

from datetime import datetime, timedelta

from apsched.job import Job
from apsched.jobstores.base import JobStore
from apsched.testing.contract._fixtures import StoreFixtures
from apsched.testing.contract._values import (
    FAR,
    PENDING,
    T0,
    ended,
    get_job,
    make_job,
    make_run,
    setting,
    take,
    take_one,
)

URGENT = "default|5|"
ON_GPU = "default|0|eu,gpu"


def urgent(job_id: str, due: datetime = T0) -> Job:
    return make_job(job_id, due=due, priority=5)


class LaneTests(StoreFixtures):
    """Priorities and requirements."""

    async def test_the_lanes_of_all_jobs_are_known(self, store: JobStore) -> None:
        await store.add([make_job("a"), urgent("b"), make_job("c", requires=("eu", "gpu"))])
        await store.update("a", setting(priority=-2))

        assert {URGENT, ON_GPU, "default|-2|"} <= set(await store.lanes())
        assert (await get_job(store, "b")).priority == 5
        assert (await get_job(store, "c")).requires == ("eu", "gpu")

    async def test_jobs_are_claimed_lane_by_lane(self, store: JobStore) -> None:
        await store.add([make_job("a"), urgent("b", due=T0), make_job("c")])

        first = await take(store, T0, {URGENT: 9, "default": 0})
        rest = await take(store, T0, {URGENT: 0, "default": 9})

        assert [plan.job.id for plan in first] == ["b"]
        assert sorted(plan.job.id for plan in rest) == ["a", "c"]

    async def test_each_lane_has_its_own_next_time(self, store: JobStore) -> None:
        await store.add([make_job("a", due=FAR), urgent("b", due=T0 + timedelta(seconds=5))])

        assert await store.next_run_time({URGENT: 1, "default": 1}, "a") == T0 + timedelta(seconds=5)
        assert await store.next_run_time({URGENT: 0, "default": 1}, "a") == FAR

    async def test_pending_runs_stand_in_the_lanes_of_their_jobs(self, store: JobStore) -> None:
        await store.add([make_job("a", due=FAR), urgent("b", due=FAR)])
        for name in "ab":
            await store.add_run(make_run(name))

        (made,) = await take(store, T0, {URGENT: 9, "default": 0})
        assert made.job.id == "b"
        await store.finish([ended(made.runs[0], PENDING)])
        assert [plan.job.id for plan in await take(store, T0, {URGENT: 0, "default": 9})] == ["a"]
        assert [plan.job.id for plan in await take(store, T0, {URGENT: 9, "default": 0})] == ["b"]

    async def test_a_job_that_is_changed_changes_its_lane(self, store: JobStore) -> None:
        await store.add([urgent("a", due=T0)])
        await store.update("a", setting(priority=0))

        assert await take(store, T0, {URGENT: 9, "default": 0}) == []
        assert (await take_one(store)).job_id == "a"
        later = T0 + timedelta(days=1)
        await store.update("a", setting(priority=5, next_run_time=later, next_nominal_time=later))
        assert await store.next_run_time({URGENT: 1, "default": 0}, "a") == later
