"""State how a store gives out runs (layer 10)."""
# ruff: noqa: S101  # assert is how pytest works

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import attrs
import pytest

from apsched.exceptions import JobLookupError
from apsched.job import Job
from apsched.jobstores.base import JobFilter, JobStore
from apsched.run import Outcome, Plan, Run
from apsched.testing.contract._fixtures import StoreFixtures
from apsched.testing.contract._values import (
    FAR,
    FREE,
    MISSED,
    PENDING,
    RUNNING,
    SUCCEEDED,
    T0,
    TICK,
    claim,
    claim_last,
    ended,
    fail,
    get_job,
    history,
    ids_of,
    make_job,
    make_run,
    outcomes_of,
    quarantine,
    queue,
    run_values_of,
    setting,
    take,
    take_new,
    take_one,
    values_of,
)


class ClaimTests(StoreFixtures):
    """What is to come, and claims."""

    # when there is something to do

    async def test_an_empty_store_has_nothing_to_come(self, store: JobStore) -> None:
        assert await store.next_run_time(FREE, "a") is None

    async def test_the_earliest_next_run_time_of_the_executors_that_are_not_busy_counts(self, store: JobStore) -> None:
        await store.add([make_job("a", due=T0, executor="pool"), make_job("b", due=FAR), make_job("c", due=FAR + TICK)])

        assert await store.next_run_time({"default": 1, "pool": 0}, "a") == FAR
        assert await store.next_run_time({"default": 9, "pool": 1}, "a") == T0
        assert await store.next_run_time({"default": 1, "pool": 1, "unknown": 1}, "a") == T0
        assert await store.next_run_time({"default": 0, "pool": 0, "unknown": 1}, "a") is None

    async def test_an_executor_that_is_not_named_has_nothing_to_come_if_the_store_is_shared(
        self, store: JobStore
    ) -> None:
        await store.add([make_job("a", due=T0, executor="pool"), make_job("b", due=FAR)])
        await store.add_run(make_run("a"))

        assert await store.next_run_time({"default": 1}, "a") == (FAR if store.is_shared else T0)
        assert await store.next_run_time({}, "a") == (None if store.is_shared else T0)

    async def test_paused_and_quarantined_jobs_have_nothing_to_come(self, store: JobStore) -> None:
        await store.add([make_job("a", due=None), make_job("b", quarantine="it cannot run")])

        assert await store.next_run_time(FREE, "a") is None

    async def test_a_pending_run_that_may_start_is_something_to_do_now(self, store: JobStore) -> None:
        await store.add([make_job(due=FAR)])
        await store.add_run(make_run())

        moment = await store.next_run_time(FREE, "a")

        assert moment is not None
        assert moment <= T0
        assert await store.next_run_time({"default": 0}, "a") is None

    async def test_a_pending_run_that_must_wait_is_nothing_to_do(self, store: JobStore) -> None:
        await store.add([make_job()])
        run = await take_one(store)
        await store.add_run(make_run(at=T0 + TICK))

        assert await store.next_run_time(FREE, "a") == T0 + timedelta(seconds=10)
        await store.finish([ended(run)])
        assert (await store.next_run_time(FREE, "a") or FAR) <= T0 + TICK

    # claiming due jobs

    async def test_a_job_is_due_at_its_next_run_time_and_not_before(self, store: JobStore) -> None:
        await store.add([make_job()])

        assert await take(store, T0 - TICK) == []
        assert len(await take(store, T0)) == 1

    async def test_a_due_job_is_planned_for(self, store: JobStore) -> None:
        await store.add([make_job()])
        asked: list[tuple[str, datetime | None, int, datetime, str]] = []

        def plan(job: Job, open_runs: Sequence[Run], now: datetime, owner: str) -> Plan:
            asked.append((job.id, job.next_run_time, len(open_runs), now, owner))
            return claim(job, open_runs, now, owner)

        now = T0 + timedelta(seconds=1)
        await store.take_due(now, {"default": 1}, plan, "node")

        assert set(asked) == {("job", T0, 0, now, "node")}

    async def test_what_was_planned_is_stored_and_returned(self, store: JobStore) -> None:
        await store.add([make_job()])
        missed = make_run(
            at=T0 - TICK, outcome=MISSED, finished_at=T0, reason="too late", first_nominal_time=T0 - 9 * TICK
        )
        following = T0 + timedelta(seconds=10)

        def plan(job: Job, open_runs: Sequence[Run], now: datetime, owner: str) -> Plan:
            claimed = make_run(outcome=RUNNING, epoch=1, node=owner, claimed_at=now)
            waiting = make_run(at=T0 + TICK)
            return Plan(
                job=job,
                runs=(missed, claimed, waiting),
                next_nominal_time=following,
                next_run_time=following + TICK,
            )

        (made,) = await take(store, T0, {"default": 1}, plan)

        assert (made.job.id, outcomes_of(made.runs)) == ("job", [MISSED, RUNNING, PENDING])
        assert [run_values_of(run) for run in await history(store)] == [run_values_of(run) for run in made.runs[::-1]]
        job = await get_job(store, "job")
        assert (job.next_nominal_time, job.next_run_time) == (following, following + TICK)

    async def test_a_job_that_was_taken_is_due_again_at_its_next_run_time(self, store: JobStore) -> None:
        await store.add([make_job(max_instances=9)])
        await take(store)

        assert await take(store) == []
        assert await store.next_run_time(FREE, "a") == T0 + timedelta(seconds=10)
        (made,) = await take(store, T0 + timedelta(seconds=10))
        assert made.runs[0].nominal_time == T0 + timedelta(seconds=10)

    async def test_the_earliest_jobs_are_taken_up_to_the_free_slots(self, store: JobStore) -> None:
        await store.add([make_job(str(number), due=T0 - number * TICK + 9 * TICK) for number in range(5)])

        assert [plan.job.id for plan in await take(store, T0 + 9 * TICK, {"default": 2})] == ["4", "3"]
        assert [plan.job.id for plan in await take(store, T0 + 9 * TICK, {"default": 9})] == ["2", "1", "0"]

    async def test_each_executor_has_slots_of_its_own(self, store: JobStore) -> None:
        await store.add([make_job(f"{alias} {number}", executor=alias) for alias in "ab" for number in range(3)])

        taken = await take(store, T0, {"a": 1, "b": 2})

        assert sorted(plan.job.executor for plan in taken) == ["a", "b", "b"]

    async def test_an_executor_without_a_free_slot_is_left_alone(self, store: JobStore) -> None:
        await store.add([make_job("a", executor="full"), make_job("b", executor="open")])
        await store.add_run(make_run("a", at=T0 - TICK))

        assert [plan.job.id for plan in await take(store, T0, {"full": 0, "open": 9})] == ["b"]
        assert await store.next_run_time({"full": 1, "open": 1}, "a") is not None
        assert await take(store, T0, {"full": 0}) == []

    async def test_a_job_of_an_executor_that_is_not_named_is_for_others_if_the_store_is_shared(
        self, store: JobStore
    ) -> None:
        await store.add([make_job()])
        await store.add_run(make_run(at=T0 - TICK))

        made = await take(store, T0, {"pool": 0}, quarantine)

        assert [plan.quarantine for plan in made] == ([] if store.is_shared else ["it cannot run"])
        job = await get_job(store, "job")
        assert (job.quarantine is None) == store.is_shared
        assert job.next_run_time == T0
        assert outcomes_of(await history(store)) == [PENDING]

    async def test_a_quarantined_job_keeps_its_values(self, store: JobStore) -> None:
        await store.add([make_job(args=(1,), tags={"a": "b"}, max_instances=3)])
        before = values_of(await get_job(store, "job"))

        (made,) = await take(store, plan=quarantine)

        assert (made.quarantine, made.runs) == ("it cannot run", ())
        assert values_of(await get_job(store, "job")) == before | {"quarantine": "it cannot run"}
        assert await history(store) == []

    async def test_a_job_whose_callable_cannot_be_found_is_quarantined_unplanned(self, store: JobStore) -> None:
        if not self.is_persistent:
            return  # it keeps callables, which need not be found
        lost = attrs.evolve(make_job("lost", args=(1,)), func="apsched.no_such_module:run")
        await store.add([lost, make_job("sound")])
        before = values_of(await get_job(store, "lost"))

        made = {plan.job.id: plan for plan in await take(store)}

        assert made["lost"].runs == ()
        reason = made["lost"].quarantine
        assert reason is not None
        assert "apsched.no_such_module" in reason
        assert outcomes_of(made["sound"].runs) == [RUNNING]
        assert values_of(await get_job(store, "lost")) == before | {"quarantine": reason}
        assert ids_of(await store.select(JobFilter(is_quarantined=True))) == ["lost"]

    async def test_a_quarantined_job_can_be_removed_and_replaced(self, store: JobStore) -> None:
        await store.add([make_job("a"), make_job("b")])
        await take(store, plan=quarantine)

        await store.remove("a")
        await store.add([make_job("b", name="sound")], take_new)

        assert [plan.job.name for plan in await take(store)] == ["sound"]

    async def test_a_quarantined_job_is_not_looked_at_until_it_is_changed(self, store: JobStore) -> None:
        await store.add([make_job()])
        await take(store, T0, {"default": 1}, quarantine)

        assert await take(store, FAR) == []
        assert await store.next_run_time(FREE, "a") is None
        await store.update("job", setting(quarantine=None))
        assert await store.next_run_time(FREE, "a") == T0
        assert len(await take(store)) == 1

    async def test_plans_are_told_of_the_open_runs_of_the_job(self, store: JobStore) -> None:
        await store.add([make_job("a", max_instances=1), make_job("b")])
        await take(store)
        await store.add_run(make_run("a", at=T0 + TICK))
        seen: dict[str, list[Outcome]] = {}

        def plan(job: Job, open_runs: Sequence[Run], now: datetime, owner: str) -> Plan:
            seen[job.id] = sorted(run.outcome for run in open_runs)
            return claim(job, open_runs, now, owner)

        await take(store, T0 + timedelta(seconds=10), plan=plan)

        assert seen == {"a": [PENDING, RUNNING], "b": [RUNNING]}

    async def test_plans_are_not_told_of_runs_that_have_ended(self, store: JobStore) -> None:
        await store.add([make_job()])
        await store.finish([ended(await take_one(store))])
        seen: list[Run] = []

        def plan(job: Job, open_runs: Sequence[Run], now: datetime, owner: str) -> Plan:
            seen.extend(open_runs)
            return claim(job, open_runs, now, owner)

        await take(store, T0 + timedelta(seconds=10), plan=plan)

        assert seen == []

    async def test_an_error_in_a_plan_changes_nothing(self, store: JobStore) -> None:
        await store.add([make_job()])

        with pytest.raises(ZeroDivisionError):
            await take(store, plan=fail)

        assert await history(store) == []
        assert (await take_one(store)).nominal_time == T0

    async def test_a_finished_job_is_gone_and_its_last_run_can_be_finished(self, store: JobStore) -> None:
        await store.add([make_job()])
        run = await take_one(store, plan=claim_last)

        assert await store.get("job") is None
        assert outcomes_of(await store.finish([ended(run)])) == [SUCCEEDED]
        assert outcomes_of(await history(store)) == [SUCCEEDED]

    async def test_the_last_run_of_a_finished_job_can_be_handed_back_and_claimed_again(self, store: JobStore) -> None:
        await store.add([make_job()])
        run = await take_one(store, plan=claim_last)
        await store.finish([ended(run, PENDING)])

        (made,) = await take(store, owner="b")

        assert (made.job.id, made.runs[0].id, made.runs[0].epoch) == ("job", run.id, 2)
        assert len(await store.finish([ended(made.runs[0])])) == 1
        assert await store.next_run_time(FREE, "a") is None

    async def test_the_id_of_a_finished_job_is_free(self, store: JobStore) -> None:
        await store.add([make_job()])
        run = await take_one(store, plan=claim_last)

        await store.add([make_job(due=T0 + TICK)])
        await store.finish([ended(run)])

        assert (await take_one(store, T0 + TICK)).nominal_time == T0 + TICK

    async def test_a_finished_job_leaves_no_tags(self, store: JobStore) -> None:
        await store.add([make_job(tags={"team": "a"})])
        await store.finish([ended(await take_one(store, plan=claim_last))])

        await store.add([make_job(tags={"team": "b"})])

        assert await store.select(JobFilter(tags={"team": "a"})) == []
        assert len(await store.select(JobFilter(tags={"team": "b"}))) == 1

    async def test_a_nominal_time_that_is_recorded_is_dropped_from_plans(self, store: JobStore) -> None:
        await store.add([make_job()])
        await store.finish([ended(await take_one(store))])
        await store.update("job", setting(next_run_time=T0, next_nominal_time=T0))

        (made,) = await take(store)

        assert made.runs == ()
        assert outcomes_of(await history(store)) == [SUCCEEDED]
        assert (await get_job(store, "job")).next_run_time == T0 + timedelta(seconds=10)

    async def test_a_run_that_is_dropped_from_its_plan_replaces_no_other(self, store: JobStore) -> None:
        await store.add([make_job()])
        await take(store)
        await store.update("job", setting(next_run_time=T0, next_nominal_time=T0))

        def plan(job: Job, open_runs: Sequence[Run], now: datetime, owner: str) -> Plan:
            return attrs.evolve(claim(job, open_runs, now, owner), cancel=tuple(open_runs))

        (made,) = await take(store, plan=plan)

        assert (made.runs, made.cancel) == ((), ())
        assert outcomes_of(await history(store)) == [RUNNING]

    async def test_a_nominal_time_is_recorded_for_each_job_by_itself(self, store: JobStore) -> None:
        await store.add([make_job("a"), make_job("b")])

        await take(store)

        assert sorted(run.job_id for run in await history(store)) == ["a", "b"]

    async def test_plans_for_a_new_job_are_told_of_the_runs_that_a_finished_one_has_left(self, store: JobStore) -> None:
        await store.add([make_job()])
        left = await take_one(store, plan=claim_last)
        await store.add([make_job(due=T0 + TICK)])
        seen: list[str] = []

        def plan(job: Job, open_runs: Sequence[Run], now: datetime, owner: str) -> Plan:
            seen.extend(run.id for run in open_runs)
            return queue(job, open_runs, now, owner)

        await take(store, T0 + TICK, plan=plan)

        assert set(seen) == {left.id}
        assert await take(store, T0 + TICK) == []
        await store.finish([ended(left)])
        assert (await take_one(store, T0 + TICK)).nominal_time == T0 + TICK

    # claiming pending runs

    async def test_a_pending_run_is_claimed_without_a_plan(self, store: JobStore) -> None:
        await store.add([make_job(due=FAR)])
        queued = await store.add_run(make_run(args=(1,), kwargs={"two": 2}))
        now = T0 + timedelta(seconds=1)

        (made,) = await take(store, now, plan=fail, owner="node")

        (run,) = made.runs
        assert made.job.id == "job"
        assert (made.removes_job, made.quarantine, made.cancel) == (False, None, ())
        assert (run.id, run.outcome, run.epoch, run.node, run.claimed_at) == (queued.id, RUNNING, 1, "node", now)
        assert (run.args, run.kwargs, run.is_manual) == ((1,), {"two": 2}, True)
        assert [run_values_of(known) for known in await history(store)] == [run_values_of(run)]
        assert (await get_job(store, "job")).next_run_time == FAR

    async def test_a_pending_run_is_claimed_once(self, store: JobStore) -> None:
        await store.add([make_job(due=FAR)])
        await store.add_run(make_run())

        assert len(await take(store)) == 1
        assert await take(store) == []

    async def test_pending_runs_come_before_due_jobs(self, store: JobStore) -> None:
        await store.add([make_job("a"), make_job("b", due=FAR)])
        await store.add_run(make_run("b", at=T0 + TICK))

        taken = [await take(store, T0, {"default": 1}) for _ in range(3)]

        assert [[plan.job.id for plan in plans] for plans in taken] == [["b"], ["a"], []]

    async def test_pending_runs_use_up_slots(self, store: JobStore) -> None:
        await store.add([make_job("a"), make_job("b"), make_job("c", due=FAR)])
        await store.add_run(make_run("c"))

        assert len(await take(store, T0, {"default": 2})) == 2
        assert len(await take(store, T0, {"default": 2})) == 1

    async def test_a_run_of_a_paused_job_is_claimed(self, store: JobStore) -> None:
        await store.add([make_job(due=None)])
        await store.add_run(make_run())

        assert len(await take(store)) == 1

    async def test_pending_runs_are_claimed_up_to_max_instances(self, store: JobStore) -> None:
        await store.add([make_job(due=FAR, max_instances=2)])
        for number in range(3):
            await store.add_run(make_run(at=T0 + number * TICK))

        first, second = (plan.runs[0] for plan in await take(store, FAR - TICK))

        assert await take(store, FAR - TICK) == []
        await store.finish([ended(second)])
        (third,) = (plan.runs[0] for plan in await take(store, FAR - TICK))
        assert [run.nominal_time for run in (first, second, third)] == [T0, T0 + TICK, T0 + 2 * TICK]

    async def test_pending_runs_of_a_job_are_claimed_in_the_order_of_their_nominal_times(self, store: JobStore) -> None:
        await store.add([make_job(due=FAR)])
        for number in (2, 0, 1):
            await store.add_run(make_run(at=T0 + number * TICK))

        taken = [await take_one(store)]
        for _ in range(2):
            await store.finish([ended(taken[-1])])
            taken.append(await take_one(store))

        assert [run.nominal_time for run in taken] == [T0, T0 + TICK, T0 + 2 * TICK]

    async def test_pending_runs_of_a_finished_job_go_to_the_job_that_takes_its_id(self, store: JobStore) -> None:
        await store.add([make_job()])
        run = await take_one(store, plan=claim_last)
        await store.finish([ended(run, PENDING)])
        await store.add([make_job(due=FAR, executor="pool")])

        assert await take(store) == []
        (made,) = await take(store, T0, {"pool": 1})
        assert (made.job.executor, made.runs[0].nominal_time) == ("pool", T0)

    async def test_pending_runs_of_a_job_that_may_overlap_are_all_claimed(self, store: JobStore) -> None:
        await store.add([make_job(due=FAR, overlap="allow")])
        for number in range(3):
            await store.add_run(make_run(at=T0 + number * TICK))

        assert len(await take(store)) == 3

    async def test_what_a_plan_queued_is_claimed_when_its_turn_comes(self, store: JobStore) -> None:
        await store.add([make_job()])
        first = await take_one(store)
        await take(store, T0 + timedelta(seconds=10), plan=queue)

        assert await take(store, T0 + timedelta(seconds=10)) == []
        await store.finish([ended(first)])
        run = await take_one(store, T0 + timedelta(seconds=10))
        assert (run.nominal_time, run.epoch) == (T0 + timedelta(seconds=10), 1)

    # starting by hand

    async def test_a_run_that_is_added_is_kept_and_returned(self, store: JobStore) -> None:
        await store.add([make_job(due=FAR)])
        run = make_run(args=(1, "two"), kwargs={"three": 3})

        queued = await store.add_run(run)

        assert run_values_of(queued) == run_values_of(run)
        assert [run_values_of(known) for known in await history(store)] == [run_values_of(run)]

    async def test_a_run_whose_nominal_time_is_taken_moves_on_by_microseconds(self, store: JobStore) -> None:
        await store.add([make_job("a"), make_job("b", due=FAR)])
        await store.finish([ended(await take_one(store))])

        queued = [await store.add_run(make_run("a")) for _ in range(3)]
        other = await store.add_run(make_run("b"))

        assert [run.nominal_time for run in queued] == [T0 + TICK, T0 + 2 * TICK, T0 + 3 * TICK]
        assert [run.due_time for run in queued] == [T0] * 3
        assert other.nominal_time == T0
        assert len(await history(store)) == 5

    async def test_a_run_of_a_job_that_is_not_there_cannot_be_added(self, store: JobStore) -> None:
        with pytest.raises(JobLookupError) as caught:
            await store.add_run(make_run())

        assert caught.value.job_id == "job"
        assert await history(store) == []
