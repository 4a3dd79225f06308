"""State what holds when several use a store at once, and when a call is cancelled (layer 10)."""
# ruff: noqa: S101  # assert is how pytest works

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import anyio
import anyio.lowlevel
import attrs

from apsched.engine.plan import make_planner
from apsched.exceptions import ConflictingIdError
from apsched.job import Job
from apsched.jobstores.base import JobFilter, JobStore, RunFilter
from apsched.run import Outcome, Run
from apsched.testing.contract._fixtures import StoreFixtures
from apsched.testing.contract._nodes import rerun
from apsched.testing.contract._values import (
    ALL,
    FAR,
    PENDING,
    RUNNING,
    SUCCEEDED,
    T0,
    TICK,
    ended,
    get_job,
    history,
    ids_of,
    make_job,
    make_run,
    outcomes_of,
    setting,
    take,
)

DEADLINES = (0.0, 0.0005, 0.001, 0.002, 0.004, 0.008)  # seconds; before, inside and after a call


class RaceTests(StoreFixtures):
    """Several owners, on two store objects where there are two, and calls that are cut short."""

    async def test_no_two_owners_get_the_same_run(self, store: JobStore, other_store: JobStore) -> None:
        await store.add([make_job(f"{number:03}") for number in range(200)])
        claimed: list[tuple[str, str | None, str]] = []

        async def work(store: JobStore, owner: str) -> None:
            while plans := await take(store, T0, {"default": 7}, owner=owner):
                claimed.extend((run.id, run.node, owner) for plan in plans for run in plan.runs)
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as group:
            for place, owner in zip(_turns(store, other_store), "abcd", strict=False):
                group.start_soon(work, place, owner)

        assert len({run_id for run_id, _, _ in claimed}) == len(claimed) == 200
        assert all(node == owner for _, node, owner in claimed)
        assert outcomes_of(await history(store)) == [RUNNING] * 200

    async def test_owners_together_stay_within_max_instances(self, store: JobStore, other_store: JobStore) -> None:
        options: dict[str, Any] = {"coalesce": False, "overlap": "queue_all", "max_instances": 2}
        await store.add([make_job(name, **options) for name in "uvwxyz"])
        now = T0 + timedelta(seconds=95)  # ten nominal times of each job
        plan = make_planner({"default"})
        live: Counter[str] = Counter()
        most: Counter[str] = Counter()
        started: list[str] = []

        async def work(store: JobStore, owner: str) -> None:
            while True:
                plans = await take(store, now, {"default": 5}, plan, owner)
                runs = [run for made in plans for run in made.runs if run.outcome is RUNNING]
                live.update(run.job_id for run in runs)
                started.extend(run.id for run in runs)
                most.update({name: count - most[name] for name, count in live.items() if count > most[name]})
                await anyio.lowlevel.checkpoint()
                live.subtract(run.job_id for run in runs)
                await store.finish([ended(run) for run in runs])
                if len(started) >= 60:
                    return

        async with anyio.create_task_group() as group:
            for place, owner in zip(_turns(store, other_store), "abcd", strict=False):
                group.start_soon(work, place, owner)

        assert max(most.values()) <= 2
        assert len(set(started)) == len(started) == 60
        assert outcomes_of(await history(store)) == [SUCCEEDED] * 60

    async def test_of_two_that_add_one_id_one_is_refused(self, store: JobStore, other_store: JobStore) -> None:
        refused: list[str] = []

        async def add(store: JobStore, job: Job) -> None:
            try:
                await store.add([job])
            except ConflictingIdError as exc:
                refused.append(exc.job_id)

        async with anyio.create_task_group() as group:
            for number in range(8):
                for place in (store, other_store):
                    group.start_soon(add, place, make_job(str(number)))

        assert sorted(refused) == [str(number) for number in range(8)]
        assert ids_of(await store.select(JobFilter())) == [str(number) for number in range(8)]

    async def test_no_change_is_lost(self, store: JobStore, other_store: JobStore) -> None:
        await store.add([make_job(tags={"count": "0"})])

        def count(job: Job) -> Job:
            return attrs.evolve(job, tags={"count": str(int(job.tags["count"]) + 1)})

        async def work(store: JobStore) -> None:
            for _ in range(10):
                await store.update("job", count)

        async with anyio.create_task_group() as group:
            for place in (store, other_store):
                group.start_soon(work, place)

        assert (await get_job(store, "job")).tags == {"count": "20"}

    async def test_a_change_and_a_claim_do_not_undo_each_other(self, store: JobStore, other_store: JobStore) -> None:
        await store.add([make_job(max_instances=50)])

        async def change() -> None:
            for number in range(10):
                await store.update("job", setting(name=f"name {number}"))

        async def work() -> None:
            for number in range(10):
                while not await take(other_store, T0 + timedelta(seconds=10 * number)):
                    pass  # a claim may pass over a job that is being changed, until the next look

        async with anyio.create_task_group() as group:
            group.start_soon(change)
            group.start_soon(work)

        job = await get_job(store, "job")
        assert (job.name, job.next_run_time) == ("name 9", T0 + timedelta(seconds=100))
        assert len(await history(store)) == 10

    async def test_runs_that_are_added_at_once_get_nominal_times_of_their_own(
        self, store: JobStore, other_store: JobStore
    ) -> None:
        await store.add([make_job(due=FAR)])

        async with anyio.create_task_group() as group:
            for _ in range(5):
                for place in (store, other_store):
                    group.start_soon(place.add_run, make_run())

        moments = [run.nominal_time for run in await history(store)]
        assert moments == [T0 + number * TICK for number in reversed(range(10))]

    async def test_of_two_that_settle_the_runs_of_a_dead_node_each_run_goes_to_one(
        self, store: JobStore, other_store: JobStore
    ) -> None:
        await store.add([make_job(f"{number:02}") for number in range(20)])
        await take(store)
        settled: list[Run] = []

        async def reap(store: JobStore) -> None:
            settled.extend(await store.reap({"a": 0}, rerun))

        async with anyio.create_task_group() as group:
            for place in (store, other_store):
                group.start_soon(reap, place)

        assert sorted(run.job_id for run in settled) == [f"{number:02}" for number in range(20)]
        assert {(run.outcome, run.epoch) for run in await history(store)} == {(PENDING, 2)}

    async def test_of_two_that_end_a_run_one_is_refused(self, store: JobStore, other_store: JobStore) -> None:
        await store.add([make_job(f"{number:02}") for number in range(20)])
        runs = [plan.runs[0] for plan in await take(store)]
        stored: list[Run] = []

        async def finish(store: JobStore, outcome: Outcome) -> None:
            for run in runs:
                stored.extend(await store.finish([ended(run, outcome)]))

        async with anyio.create_task_group() as group:
            group.start_soon(finish, store, SUCCEEDED)
            group.start_soon(finish, other_store, Outcome.FAILED)

        assert sorted(run.job_id for run in stored) == sorted(run.job_id for run in runs)
        kept = {run.id: run.outcome for run in await history(store)}
        assert kept == {run.id: run.outcome for run in stored}

    async def test_a_run_is_handed_back_or_asked_to_end_and_not_both(
        self, store: JobStore, other_store: JobStore
    ) -> None:
        await store.add([make_job(f"{number:02}") for number in range(10)])
        runs = [plan.runs[0] for plan in await take(store)]
        decided: list[str] = []

        async def hand_back() -> None:
            for run in runs:
                decided.extend(stored.id for stored in await store.finish([ended(run, PENDING)]))

        async def ask() -> None:
            decided.extend([run.id for run in runs if await other_store.ask_to_cancel(run, "it takes too long")])

        async with anyio.create_task_group() as group:
            group.start_soon(hand_back)
            group.start_soon(ask)

        assert sorted(decided) == sorted(run.id for run in runs)

    # cancellation

    async def test_jobs_are_added_all_or_none_when_the_call_is_cancelled(self, store: JobStore) -> None:
        for number, deadline in enumerate(DEADLINES):
            jobs = [make_job(f"{number} {part:02}", due=FAR) for part in range(20)]
            with anyio.move_on_after(deadline) as scope:
                await store.add(jobs)

            there = len([job for job in await store.select(JobFilter()) if job.id.startswith(f"{number} ")])
            assert there in ({0, 20} if scope.cancelled_caught else {20})

    async def test_no_claim_is_lost_when_the_call_is_cancelled(self, store: JobStore) -> None:
        for number, deadline in enumerate(DEADLINES):
            await store.add([make_job(f"{number} {part:02}") for part in range(20)])
            with anyio.move_on_after(deadline):
                await take(store)

            await take(store, owner="b")
            claims = [plan.runs[0] for owner in "ab" for plan in await store.claimed(owner)]
            assert sorted(run.job_id for run in claims) == [f"{number} {part:02}" for part in range(20)]
            assert len(await store.finish([ended(run) for run in claims])) == 20
            await store.clear()

    async def test_runs_can_be_finished_again_when_the_call_was_cancelled(self, store: JobStore) -> None:
        for number, deadline in enumerate(DEADLINES):
            await store.add([make_job(f"{number} {part:02}") for part in range(20)])
            runs = [ended(plan.runs[0]) for plan in await take(store)]
            with anyio.move_on_after(deadline):
                await store.finish(runs)

            assert await store.finish(runs) == runs
            assert await store.runs(RunFilter(outcomes=[RUNNING]), ALL) == []
            await store.clear()


def _turns(*stores: JobStore) -> Iterator[JobStore]:
    while True:
        yield from stores
