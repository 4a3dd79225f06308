"""State how a store tells the living from the dead (layer 10)."""
# ruff: noqa: S101  # assert is how pytest works

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta

import attrs
import pytest
from anyio.from_thread import start_blocking_portal

from apsched.exceptions import LeaseLostError
from apsched.job import Job
from apsched.jobstores.base import JobFilter, JobStore
from apsched.run import DEATH, Run
from apsched.testing.contract._fixtures import StoreFixtures
from apsched.testing.contract._values import (
    ABANDONED,
    CANCELLED,
    FAILED,
    FAR,
    FREE,
    LEASE,
    PENDING,
    RUNNING,
    SUCCEEDED,
    T0,
    TICK,
    claim_last,
    ended,
    get_job,
    history,
    ids_of,
    make_job,
    make_run,
    node_ids,
    noop,
    outcomes_of,
    quarantine,
    run_values_of,
    setting,
    take,
    take_one,
    values_of,
)

UNABLE, ABLE = "a", "b"  # nodes that have joined
MODULE = "apsched_no_such_module"


class NodeTests(StoreFixtures):
    """Joining, beating, leaving, dying, and what becomes of the runs."""

    # joining and leaving

    async def test_a_node_that_has_joined_is_known_with_its_values(self, store: JobStore) -> None:
        await store.join("host:7:x", 7.5, T0 + TICK)

        (node,) = [node for node in await store.nodes() if node.id == "host:7:x"]

        assert (node.beat, node.lease, node.started_at, node.is_dead) == (0, 7.5, T0 + TICK, False)
        assert node.seen_at.tzinfo is not None

    async def test_a_node_that_has_left_is_forgotten(self, store: JobStore) -> None:
        await store.leave("a")

        assert await node_ids(store) == ["b", "c", "d", "node"]
        with pytest.raises(LeaseLostError):
            await take(store)

    async def test_a_node_that_is_not_known_can_leave(self, store: JobStore) -> None:
        await store.leave("unknown")

        assert "unknown" not in await node_ids(store)

    async def test_a_node_that_has_not_joined_claims_nothing(self, store: JobStore) -> None:
        await store.add([make_job()])

        with pytest.raises(LeaseLostError) as caught:
            await take(store, owner="unknown")

        assert caught.value.node == "unknown"
        assert await history(store) == []
        assert len(await take(store)) == 1

    # beating

    async def test_a_beat_raises_the_beat_of_its_node(self, store: JobStore) -> None:
        with pulse_elsewhere(store, "a") as beat:
            assert [beat(), beat()] == [True, True]

        assert {node.id: node.beat for node in await store.nodes()} == {"a": 2, "b": 0, "c": 0, "d": 0, "node": 0}

    async def test_the_beat_of_a_node_can_be_raised_again_by_another_pulse(self, store: JobStore) -> None:
        for _ in range(2):
            with pulse_elsewhere(store, "a") as beat:
                assert beat()

        assert [node.beat for node in await store.nodes() if node.id == "a"] == [2]

    async def test_the_beat_of_a_node_that_is_not_known_is_false(self, store: JobStore) -> None:
        with pulse_elsewhere(store, "unknown") as beat:
            assert not beat()

        assert "unknown" not in await node_ids(store)

    async def test_the_beat_of_a_node_that_has_left_is_false(self, store: JobStore) -> None:
        with pulse_elsewhere(store, "a") as beat:
            assert beat()
            await store.leave("a")
            assert not beat()

        assert "a" not in await node_ids(store)

    async def test_the_beat_of_a_node_that_was_taken_for_dead_is_false(self, store: JobStore) -> None:
        with pulse_elsewhere(store, "a") as beat:
            assert beat()
            await store.reap({"a": 1}, rerun)
            assert not beat()

    # dying

    async def test_a_node_whose_beat_stood_still_is_taken_for_dead(self, store: JobStore) -> None:
        await store.add([make_job()])

        assert await store.reap({"a": 0}, rerun) == []

        assert await node_ids(store) == ["b", "c", "d", "node"]
        with pytest.raises(LeaseLostError):
            await take(store, owner="a")
        assert len(await take(store, owner="b")) == 1

    async def test_a_node_whose_beat_has_gone_on_lives(self, store: JobStore) -> None:
        await store.add([make_job()])
        run = await take_one(store, owner="a")
        with pulse_elsewhere(store, "a") as beat:
            beat()

        assert await store.reap({"a": 0}, rerun) == []

        assert await node_ids(store) == ["a", "b", "c", "d", "node"]
        assert outcomes_of(await store.finish([ended(run)])) == [SUCCEEDED]

    async def test_a_node_that_is_not_known_cannot_be_taken_for_dead(self, store: JobStore) -> None:
        assert await store.reap({"unknown": 0}, rerun) == []

    async def test_what_becomes_of_the_runs_of_a_dead_node_is_decided_run_by_run(self, store: JobStore) -> None:
        await store.add([make_job("x", tags={"a": "b"}), make_job("y")])
        runs = {plan.job.id: plan.runs[0] for plan in await take(store)}
        values = values_of(await get_job(store, "x"))
        asked: dict[str, tuple[Job | None, Run]] = {}

        def decide(job: Job | None, run: Run) -> Run:
            asked[run.job_id] = (job, run)
            return rerun(job, run) if run.job_id == "x" else abandon(job, run)

        settled = await store.reap({"a": 0}, decide)

        job, run = asked["x"]
        assert job is not None
        assert values_of(job) == values
        assert run_values_of(run) == run_values_of(runs["x"])
        assert {run.job_id: (run.outcome, run.epoch) for run in settled} == {"x": (PENDING, 2), "y": (ABANDONED, 2)}
        kept = {run.job_id: run_values_of(run) for run in await history(store)}
        assert kept == {run.job_id: run_values_of(run) for run in settled}

    async def test_a_run_of_a_dead_node_is_claimed_again_with_a_higher_epoch(self, store: JobStore) -> None:
        await store.add([make_job()])
        lost = await take_one(store, owner="a")
        await store.reap({"a": 0}, lambda job, run: attrs.evolve(rerun(job, run), epoch=run.epoch + DEATH))

        run = await take_one(store, owner="b")

        assert (run.id, run.outcome, run.node) == (lost.id, RUNNING, "b")
        assert (run.epoch, run.reason) == (DEATH + 2, "its node has died")
        assert outcomes_of(await store.finish([ended(run)])) == [SUCCEEDED]
        assert [run.epoch for run in await history(store)] == [DEATH + 2]

    async def test_what_a_dead_node_still_writes_is_refused(self, store: JobStore) -> None:
        await store.add([make_job()])
        lost = await take_one(store, owner="a")
        await store.reap({"a": 0}, rerun)

        assert await store.finish([ended(lost)]) == []
        assert await store.finish([ended(lost, CANCELLED)]) == []
        assert await store.finish([ended(lost, PENDING)]) == []
        held = await take_one(store, owner="b")
        assert await store.finish([ended(lost, FAILED)]) == []
        await store.finish([ended(held)])
        assert await store.finish([ended(lost, FAILED), ended(lost)]) == []
        assert [run_values_of(run) for run in await history(store)] == [run_values_of(ended(held))]

    async def test_the_result_of_a_run_that_was_abandoned_is_refused(self, store: JobStore) -> None:
        await store.add([make_job()])
        lost = await take_one(store, owner="a")
        (abandoned,) = await store.reap({"a": 0}, abandon)

        assert await store.finish([ended(lost)]) == []
        assert [run_values_of(run) for run in await history(store)] == [run_values_of(abandoned)]

    async def test_runs_of_the_living_and_runs_that_wait_are_left_alone(self, store: JobStore) -> None:
        await store.add([make_job("x"), make_job("y", due=FAR), make_job("z")])
        await take(store, slots={"default": 1}, owner="b")
        await store.add_run(make_run("y"))
        before = [run_values_of(run) for run in await history(store)]

        assert await store.reap({"a": 0, "c": 0}, rerun) == []

        assert [run_values_of(run) for run in await history(store)] == before

    async def test_runs_of_a_node_that_has_left_are_settled_by_the_next_reap(self, store: JobStore) -> None:
        await store.add([make_job()])
        run = await take_one(store, owner="a")
        await store.leave("a")

        settled = await store.reap({}, rerun)

        assert [(run.id, run.outcome) for run in settled] == [(run.id, PENDING)]
        assert "a" not in await node_ids(store)

    async def test_a_run_that_is_settled_is_returned_once(self, store: JobStore) -> None:
        await store.add([make_job()])
        await take(store)

        first = await store.reap({"a": 0}, rerun)
        second = await store.reap({"a": 0}, rerun)

        assert (len(first), second) == (1, [])

    async def test_a_run_that_is_settled_frees_its_instance(self, store: JobStore) -> None:
        await store.add([make_job()])
        await take(store)
        await store.add_run(make_run(at=T0 + TICK))
        assert await take(store, owner="b") == []

        await store.reap({"a": 0}, abandon)

        assert (await take_one(store, owner="b")).nominal_time == T0 + TICK

    async def test_the_last_run_of_a_finished_job_is_settled_with_its_job(self, store: JobStore) -> None:
        await store.add([make_job(name="the last")])
        lost = await take_one(store, plan=claim_last)
        names: set[str] = set()

        def decide(job: Job | None, run: Run) -> Run:
            assert job is not None
            names.add(job.name)
            return rerun(job, run)

        await store.reap({"a": 0}, decide)

        assert names == {"the last"}
        assert await store.get("job") is None
        (made,) = await take(store, owner="b")
        assert (made.job.name, made.runs[0].id) == ("the last", lost.id)
        assert outcomes_of(await store.finish([ended(made.runs[0])])) == [SUCCEEDED]

    async def test_a_run_of_a_removed_job_is_settled_without_a_job(self, store: JobStore) -> None:
        await store.add([make_job()])
        await take(store)
        await store.remove("job")
        jobs: list[Job | None] = []

        def decide(job: Job | None, run: Run) -> Run:
            jobs.append(job)
            return abandon(job, run)

        settled = await store.reap({"a": 0}, decide)

        assert set(jobs) == {None}
        assert outcomes_of(settled) == outcomes_of(await history(store)) == [ABANDONED]
        assert await take(store, FAR, owner="b") == []

    # claims that got no answer

    async def test_the_claims_of_a_node_are_told(self, store: JobStore) -> None:
        await store.add([make_job("x"), make_job("y"), make_job("z", due=FAR)])
        made = await take(store, owner="a")

        plans = await store.claimed("a")

        assert {plan.job.id: run_values_of(*plan.runs) for plan in plans} == {
            plan.job.id: run_values_of(*plan.runs) for plan in made
        }
        assert {(plan.removes_job, plan.cancel, plan.quarantine) for plan in plans} == {(False, (), None)}
        assert values_of(plans[0].job) == values_of(await get_job(store, plans[0].job.id))

    async def test_only_claims_that_are_not_finished_are_told_and_only_those_of_the_node(self, store: JobStore) -> None:
        await store.add([make_job(name, due=T0 + number * TICK) for number, name in enumerate("vwxyz")])
        taken = [await take_one(store, T0 + 9 * TICK, owner=owner) for owner in "aaab"]
        await store.add_run(make_run("z"))
        await store.finish([ended(taken[0]), ended(taken[1], PENDING)])

        assert [plan.runs[0].id for plan in await store.claimed("a")] == [taken[2].id]
        assert await store.claimed("c") == await store.claimed("unknown") == []

    async def test_the_claim_of_the_last_run_of_a_finished_job_is_told(self, store: JobStore) -> None:
        await store.add([make_job(name="the last")])
        run = await take_one(store, plan=claim_last)

        (plan,) = await store.claimed("a")

        assert (plan.job.name, plan.runs[0].id) == ("the last", run.id)

    async def test_claims_that_were_settled_are_not_told(self, store: JobStore) -> None:
        await store.add([make_job()])
        await take(store)

        await store.reap({"a": 0}, rerun)

        assert await store.claimed("a") == []

    # quarantine

    async def test_a_job_whose_callable_one_node_lacks_is_run_by_another(
        self, store: JobStore, other_store: JobStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if other_store is store or not store.is_shared:
            return  # the two nodes look in the same place
        await store.add([attrs.evolve(make_job("lost"), func=f"{MODULE}:noop"), make_job("sound", due=T0 + TICK)])

        (made,) = await take(store, T0, owner=UNABLE)
        monkeypatch.setitem(sys.modules, MODULE, sys.modules[noop.__module__])

        assert made.runs == ()
        assert f"node {UNABLE} could not run it" in str(made.quarantine)
        assert (await get_job(store, "lost")).quarantine == made.quarantine
        assert await store.next_run_time(FREE, UNABLE) == T0 + TICK
        assert await other_store.next_run_time(FREE, ABLE) == T0
        assert [plan.job.id for plan in await take(store, T0 + TICK, {"default": 1}, owner=UNABLE)] == ["sound"]
        assert [plan.job.id for plan in await take(other_store, T0 + TICK, owner=ABLE)] == ["lost"]
        later = T0 + timedelta(seconds=10)
        assert (await get_job(store, "lost")).next_run_time == later
        assert ids_of(await store.select(JobFilter(is_quarantined=True))) == ["lost"]
        assert ids_of(await store.select(JobFilter(is_quarantined=False))) == ["sound"]
        assert [plan.job.id for plan in await take(store, later, owner=UNABLE)] == ["sound"]
        assert [plan.job.id for plan in await take(other_store, later, owner=ABLE)] == ["lost"]

    async def test_a_pending_run_whose_callable_one_node_lacks_is_started_by_another(
        self, store: JobStore, other_store: JobStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if other_store is store or not store.is_shared:
            return  # the two nodes look in the same place
        await store.add([attrs.evolve(make_job("lost", due=None), func=f"{MODULE}:noop"), make_job("sound", due=FAR)])
        await store.add_run(make_run("lost"))
        await store.add_run(make_run("sound", at=T0 + TICK))

        assert [plan.runs for plan in await take(store, T0, {"default": 1}, owner=UNABLE)] == [()]
        monkeypatch.setitem(sys.modules, MODULE, sys.modules[noop.__module__])

        assert [plan.job.id for plan in await take(store, T0, {"default": 1}, owner=UNABLE)] == ["sound"]
        assert await store.next_run_time(FREE, UNABLE) == FAR
        assert (await other_store.next_run_time(FREE, ABLE) or FAR) <= T0
        (run,) = [run for plan in await take(other_store, T0, owner=ABLE) for run in plan.runs]
        assert (run.job_id, run.node) == ("lost", ABLE)

    async def test_a_job_whose_callable_no_node_has_is_left_alone_until_it_is_changed_or_a_node_joins(
        self, store: JobStore, other_store: JobStore
    ) -> None:
        if not self.is_persistent:
            return  # it keeps callables, which need not be found
        await store.add([attrs.evolve(make_job(), func=f"{MODULE}:noop")])
        nodes = [(store, "a"), (other_store, "b")]

        for told in range(3):
            if told == 1:
                await store.update("job", setting(quarantine=None))
            if told == 2:
                await store.join("c", LEASE, T0)
            for asked, node in nodes if store.is_shared else nodes[:1]:
                assert await asked.next_run_time(FREE, node) == T0
                assert [plan.runs for plan in await take(asked, T0 + told * TICK, owner=node)] == [()]
                assert await asked.next_run_time(FREE, node) is None
                assert await take(asked, FAR, owner=node) == []
            assert MODULE in str((await get_job(store, "job")).quarantine)

    async def test_a_quarantined_job_is_due_again_when_a_node_joins(self, store: JobStore) -> None:
        await store.add([make_job(args=(1,)), make_job("paused", due=None, quarantine="it cannot run")])
        before = values_of(await get_job(store, "job"))
        await take(store, plan=quarantine)

        await store.join("able", LEASE, T0)

        assert values_of(await get_job(store, "job")) == before
        assert (await get_job(store, "paused")).quarantine is None
        assert await store.next_run_time(FREE, "a") == T0
        assert [plan.job.id for plan in await take(store, owner="able")] == ["job"]


def rerun(job: Job | None, run: Run) -> Run:
    return attrs.evolve(
        run, outcome=PENDING, epoch=run.epoch + 1, node=None, claimed_at=None, reason="its node has died"
    )


def abandon(job: Job | None, run: Run) -> Run:
    return attrs.evolve(run, outcome=ABANDONED, epoch=run.epoch + 1, finished_at=T0 + TICK, reason="its node has died")


@contextmanager
def pulse_elsewhere(store: JobStore, node: str) -> Generator[Callable[[], bool]]:
    """Give what raises the beat in the asyncio event loop of another thread while the loop of this one is blocked."""
    with start_blocking_portal("asyncio") as portal, portal.wrap_async_context_manager(store.pulse(node)) as beat:
        yield lambda: portal.call(beat)
