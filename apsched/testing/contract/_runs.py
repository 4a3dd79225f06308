"""State how a store keeps runs (layer 10)."""
# ruff: noqa: S101  # assert is how pytest works

from __future__ import annotations

from datetime import datetime, timedelta

import attrs

from apsched.jobstores.base import JobStore, RunFilter
from apsched.serializers.base import Unstorable
from apsched.testing.contract._fixtures import StoreFixtures
from apsched.testing.contract._values import (
    ALL,
    CANCELLED,
    FAILED,
    FAR,
    PENDING,
    RUNNING,
    SUCCEEDED,
    T0,
    TICK,
    claim,
    claim_last,
    ended,
    history,
    make_job,
    make_run,
    miss,
    outcomes_of,
    queue_runs,
    run_values_of,
    take,
    take_one,
)


class _Unwilling:
    """Cannot be written by any means, and not even shown."""

    def __reduce__(self) -> str:
        raise TypeError("it holds a socket")

    def __repr__(self) -> str:
        raise ValueError("it is not to be shown")


class RunTests(StoreFixtures):
    """How runs end, are found and are forgotten."""

    # finishing

    async def test_how_a_run_ended_is_stored(self, store: JobStore) -> None:
        await store.add([make_job()])
        run = attrs.evolve(
            await take_one(store),
            outcome=FAILED,
            started_at=T0 + timedelta(seconds=1),
            finished_at=T0 + timedelta(seconds=2, microseconds=7),
            retval={"a": [1, None, "ö"]},
            error="Traceback: ...",
            reason="it was cancelled",
        )

        (stored,) = await store.finish([run])

        assert stored is run
        assert [run_values_of(known) for known in await history(store)] == [run_values_of(run)]

    async def test_a_result_that_cannot_be_stored_is_noted_and_its_run_is_stored(self, store: JobStore) -> None:
        results = {"large": "x" * 1_000_000, "nameless": lambda: None, "unwilling": _Unwilling(), "fine": 5}
        await store.add([make_job(name) for name in results])
        runs = [attrs.evolve(ended(plan.runs[0]), retval=results[plan.job.id]) for plan in await take(store)]

        stored = await store.finish(runs)

        assert sorted(run.job_id for run in stored) == sorted(results)
        kept = {run.job_id: run for run in await history(store)}
        assert {run.outcome for run in kept.values()} == {SUCCEEDED}
        assert kept.pop("fine").retval == 5
        for name, run in kept.items():
            assert run.retval is results[name] or isinstance(run.retval, Unstorable)

    async def test_no_runs_can_be_finished(self, store: JobStore) -> None:
        assert await store.finish([]) == []

    async def test_an_ended_run_frees_its_instance(self, store: JobStore) -> None:
        await store.add([make_job(due=FAR)])
        await store.add_run(make_run())
        await store.add_run(make_run())

        await store.finish([ended(await take_one(store))])

        assert (await take_one(store)).nominal_time == T0 + TICK

    async def test_finishing_again_in_the_same_way_counts_as_stored(self, store: JobStore) -> None:
        await store.add([make_job("a"), make_job("b"), make_job("c", due=FAR)])
        first, second = (plan.runs[0] for plan in await take(store))
        waiting = await store.add_run(make_run("c", at=T0 + TICK))
        runs = [ended(first), ended(second, FAILED), ended(waiting, CANCELLED)]
        await store.finish(runs)
        before = [run_values_of(run) for run in await history(store)]

        again = await store.finish(runs)

        assert [id(run) for run in again] == [id(run) for run in runs]
        assert [run_values_of(run) for run in await history(store)] == before

    async def test_handing_back_again_changes_nothing(self, store: JobStore) -> None:
        await store.add([make_job()])
        run = ended(await take_one(store), PENDING)
        await store.finish([run])

        assert await store.finish([run]) == [run]
        held = await take_one(store, owner="b")
        assert await store.finish([run]) == []
        assert await store.finish([ended(held)]) != []

    async def test_a_run_cannot_be_finished_in_two_ways(self, store: JobStore) -> None:
        await store.add([make_job()])
        run = await take_one(store)
        await store.finish([ended(run)])

        assert await store.finish([ended(run, FAILED)]) == []
        assert await store.finish([ended(run, PENDING)]) == []
        assert outcomes_of(await history(store)) == [SUCCEEDED]
        assert await take(store) == []

    async def test_a_run_that_is_not_kept_cannot_be_finished(self, store: JobStore) -> None:
        await store.add([make_job()])

        assert await store.finish([make_run(outcome=SUCCEEDED, epoch=1), make_run("other", outcome=SUCCEEDED)]) == []
        assert await history(store) == []

    async def test_a_run_whose_claim_was_lost_changes_nothing(self, store: JobStore) -> None:
        await store.add([make_job()])
        lost = await take_one(store, owner="a")
        await store.finish([ended(lost, PENDING)])
        held = await take_one(store, owner="b")

        assert await store.finish([ended(lost, FAILED)]) == []
        assert await store.finish([ended(lost, PENDING)]) == []
        assert [run_values_of(run) for run in await history(store)] == [run_values_of(held)]
        assert len(await store.finish([ended(held)])) == 1

    async def test_of_many_runs_those_are_stored_whose_claim_holds(self, store: JobStore) -> None:
        await store.add([make_job(name) for name in "abc"])
        runs = [ended(plan.runs[0]) for plan in await take(store)]
        runs[1] = attrs.evolve(runs[1], epoch=7)

        stored = await store.finish(runs)

        assert stored == [runs[0], runs[2]]
        assert sorted(outcomes_of(await history(store))) == [RUNNING, SUCCEEDED, SUCCEEDED]

    async def test_a_run_that_is_handed_back_is_claimed_again_with_a_higher_epoch(self, store: JobStore) -> None:
        await store.add([make_job()])
        run = await take_one(store, owner="a")

        stored = await store.finish([attrs.evolve(run, outcome=PENDING)])

        assert outcomes_of(stored) == [PENDING]
        again = await take_one(store, T0 + TICK, owner="b")
        assert (again.id, again.outcome, again.epoch, again.node) == (run.id, RUNNING, 2, "b")
        assert again.claimed_at == T0 + TICK

    async def test_a_run_that_was_handed_back_cannot_be_finished(self, store: JobStore) -> None:
        await store.add([make_job(max_instances=9)])
        run = await take_one(store)
        await store.finish([ended(run, PENDING)])

        assert await store.finish([ended(run, SUCCEEDED)]) == []
        assert len(await take(store)) == 1
        assert await take(store) == []

    async def test_runs_that_are_handed_back_come_before_later_ones_of_their_job(self, store: JobStore) -> None:
        await store.add([make_job(due=FAR, max_instances=3)])
        for number in range(5):
            await store.add_run(make_run(at=T0 + number * TICK))
        claimed = [plan.runs[0] for plan in await take(store)]
        await store.finish([ended(run, PENDING) for run in reversed(claimed)])

        again = [plan.runs[0].nominal_time for plan in await take(store)]

        assert again == [T0, T0 + TICK, T0 + 2 * TICK]

    async def test_a_pending_run_may_be_cancelled(self, store: JobStore) -> None:
        await store.add([make_job(due=FAR)])
        first = await store.add_run(make_run())
        await store.add_run(make_run(at=T0 + TICK))

        stored = await store.finish([ended(first, CANCELLED)])

        assert outcomes_of(stored) == [CANCELLED]
        assert outcomes_of(await history(store)) == [PENDING, CANCELLED]
        assert (await take_one(store)).nominal_time == T0 + TICK

    async def test_a_pending_run_that_was_claimed_meanwhile_is_not_cancelled(self, store: JobStore) -> None:
        await store.add([make_job(due=FAR)])
        queued = await store.add_run(make_run())
        await take(store)

        assert await store.finish([ended(queued, CANCELLED)]) == []
        assert outcomes_of(await history(store)) == [RUNNING]

    async def test_a_pending_run_ends_in_no_other_way(self, store: JobStore) -> None:
        await store.add([make_job(due=FAR)])
        queued = await store.add_run(make_run())

        assert await store.finish([ended(queued, SUCCEEDED)]) == []
        assert outcomes_of(await history(store)) == [PENDING]

    # history

    async def test_runs_are_returned_by_nominal_time_and_job_id_the_latest_first(self, store: JobStore) -> None:
        await store.add([make_job(name, due=FAR) for name in "abc"])
        for name, moment in (("a", 1), ("b", 0), ("c", 1), ("a", 2), ("a", 0)):
            await store.add_run(make_run(name, at=T0 + timedelta(seconds=moment)))

        runs = await history(store)

        assert [f"{run.job_id}{run.nominal_time.second}" for run in runs] == ["a2", "c1", "a1", "b0", "a0"]

    async def test_no_more_runs_are_returned_than_the_limit(self, store: JobStore) -> None:
        await queue_runs(store, 5)

        runs = await store.runs(RunFilter(), 2)

        assert [run.nominal_time for run in runs] == [T0 + timedelta(seconds=4), T0 + timedelta(seconds=3)]

    async def test_runs_are_returned_page_by_page(self, store: JobStore) -> None:
        await store.add([make_job(name, due=FAR) for name in "abc"])
        for name in "abc":
            for moment in range(3):
                await store.add_run(make_run(name, at=T0 + timedelta(seconds=moment)))

        page = await store.runs(RunFilter(), 2)
        found = page
        while page:
            page = await store.runs(RunFilter(), 2, found[-1])
            found = found + page

        assert [run.id for run in found] == [run.id for run in await history(store)]
        assert len({run.id for run in found}) == 9

    async def test_runs_are_filtered(self, store: JobStore) -> None:
        await queue_runs(store, 2)
        await store.add([make_job("other", due=T0 + timedelta(seconds=2))])
        await take(store, T0 + timedelta(seconds=2), {"default": 2}, owner="node")

        async def seconds(where: RunFilter) -> list[int]:
            return [run.nominal_time.second for run in await store.runs(where, ALL)]

        assert await seconds(RunFilter()) == [2, 1, 0]
        assert await seconds(RunFilter(job_id="job")) == [1, 0]
        assert await seconds(RunFilter(job_id="unknown")) == []
        assert await seconds(RunFilter(outcomes=[PENDING])) == [1]
        assert await seconds(RunFilter(outcomes={RUNNING, PENDING})) == [2, 1, 0]
        assert await seconds(RunFilter(outcomes=())) == []
        assert await seconds(RunFilter(node="node")) == [2, 0]
        assert await seconds(RunFilter(node="other")) == []
        assert await seconds(RunFilter(job_id="job", outcomes=[RUNNING], node="node")) == [0]

    async def test_runs_are_filtered_by_nominal_time_with_both_ends_included(self, store: JobStore) -> None:
        await queue_runs(store, 5)
        first, last = T0 + timedelta(seconds=1), T0 + timedelta(seconds=3)

        assert len(await store.runs(RunFilter(since=first, until=last), ALL)) == 3
        assert len(await store.runs(RunFilter(since=first + TICK, until=last - TICK), ALL)) == 1
        assert len(await store.runs(RunFilter(since=last), ALL)) == 2

    async def test_reading_forgets_nothing(self, store: JobStore) -> None:
        await queue_runs(store, 3)
        before = [run.id for run in await history(store)]

        await store.runs(RunFilter(), 1)

        assert [run.id for run in await history(store)] == before

    # retention

    async def test_the_last_runs_of_each_job_are_kept(self, store: JobStore) -> None:
        count = self.keep_runs + 2
        await store.add([make_job("a", keep_runs=3), make_job("b"), make_job("c", keep_runs=0)])
        await take(store, FAR, plan=miss(count))

        await prune_all(store, FAR)

        latest = T0 + timedelta(seconds=10 * (count - 1))
        runs = {name: await history(store, job_id=name) for name in "abc"}
        assert [len(runs[name]) for name in "abc"] == [3, self.keep_runs, 0]
        assert [run.nominal_time for run in runs["a"]] == [latest - timedelta(seconds=10 * n) for n in range(3)]
        assert not runs["b"] or runs["b"][0].nominal_time == latest

    async def test_runs_that_ended_since_are_kept_of_jobs_that_name_no_number(self, store: JobStore) -> None:
        if not self.is_persistent:
            return  # it keeps no more than a number of runs
        count = self.keep_runs + 4
        await store.add([make_job("a"), make_job("b"), make_job("c", keep_runs=1)])
        await take(store, FAR, plan=miss(count))
        await store.remove("b")

        await prune_all(store, T0 + timedelta(seconds=20))

        kept = [len(await history(store, job_id=name)) for name in "abc"]
        assert kept == [count - 2, count - 2, 1]

    async def test_a_run_that_was_started_counts_by_its_end(self, store: JobStore) -> None:
        if not self.is_persistent:
            return  # it keeps no more than a number of runs
        await store.add([make_job()])
        run = attrs.evolve(ended(await take_one(store)), started_at=T0, finished_at=T0 + timedelta(days=2))
        await store.finish([run])
        await take(store, FAR, plan=miss(self.keep_runs))

        await prune_all(store, T0 + timedelta(days=2))
        assert len(await history(store)) == self.keep_runs + 1

        await prune_all(store, T0 + timedelta(days=2) + TICK)
        assert len(await history(store)) == self.keep_runs

    async def test_the_last_runs_of_a_job_that_is_gone_are_kept(self, store: JobStore) -> None:
        await store.add([make_job(keep_runs=2)])
        for number in range(4):
            plan = claim_last if number == 3 else claim
            run = await take_one(store, T0 + timedelta(seconds=10 * number), plan=plan)
            await store.finish([ended(run)])

        await prune_all(store, T0 - TICK)

        runs = await history(store)
        assert [run.nominal_time for run in runs[:2]] == [T0 + timedelta(seconds=30), T0 + timedelta(seconds=20)]

    async def test_open_runs_are_never_forgotten(self, store: JobStore) -> None:
        await store.add([make_job(keep_runs=0, max_instances=2)])
        first, second = [await take_one(store, T0 + timedelta(seconds=10 * number)) for number in range(2)]
        await store.add_run(make_run(at=T0 + timedelta(seconds=20)))
        await store.finish([ended(first)])

        await prune_all(store, FAR)

        assert outcomes_of(await history(store)) == [PENDING, RUNNING]
        assert len(await store.finish([ended(second)])) == 1

    async def test_pruning_tells_how_many_runs_it_has_forgotten(self, store: JobStore) -> None:
        await store.add([make_job("a", keep_runs=1), make_job("b", keep_runs=0)])
        await take(store, FAR, plan=miss(4))
        before = len(await history(store))

        forgotten = await store.prune(FAR, ALL)

        assert before - forgotten == len(await history(store)) == 1
        assert await store.prune(FAR, ALL) == 0

    async def test_no_more_runs_are_forgotten_at_once_than_the_limit(self, store: JobStore) -> None:
        await store.add([make_job("a", keep_runs=1), make_job("b", keep_runs=0)])
        await take(store, FAR, plan=miss(5))
        expected = len(await history(store)) - 1

        counts = [await store.prune(FAR, 2)]
        while counts[-1] == 2:
            counts.append(await store.prune(FAR, 2))

        assert max(counts) <= 2
        assert sum(counts) == expected
        assert len(await history(store)) == 1


async def prune_all(store: JobStore, before: datetime) -> None:
    while await store.prune(before, ALL) == ALL:
        pass
