"""State how runs wait for another attempt, follow other runs, report and are asked to end (layer 10)."""
# ruff: noqa: S101  # assert is how pytest works

from __future__ import annotations

from datetime import datetime, timedelta

import attrs
import pytest

from apsched.job import Job
from apsched.jobstores.base import JobFilter, JobStore, RunFilter
from apsched.retry import Retry
from apsched.run import DEATH, Attempt, Outcome, Report, Run
from apsched.testing.contract._fixtures import StoreFixtures
from apsched.testing.contract._values import (
    CANCELLED,
    FAILED,
    FAR,
    FREE,
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
    outcomes_of,
    run_values_of,
    setting,
    take,
    take_one,
)
from apsched.triggers.after import NEVER, After

LATER = T0 + timedelta(seconds=30)
ATTEMPT = Attempt(
    number=1,
    outcome=FAILED,
    node="a",
    started_at=T0,
    finished_at=T0 + TICK,
    error="Traceback (most recent call last): ...\nValueError: \0 \ud800 ü",
)
REPORT = Report(progress=0.25, message="a quarter ü", log="one\ntwo\n")
PLAIN = attrs.evolve(ATTEMPT, error="ValueError")


def waiting(run: Run, due: datetime = LATER) -> Run:
    """Return a claimed run that has failed and waits for its next attempt."""
    return attrs.evolve(run, outcome=PENDING, due_time=due, attempts=(*run.attempts, PLAIN), reason="it failed")


def make_follower(job_id: str, trigger: After) -> Job:
    return attrs.evolve(make_job(job_id, due=NEVER), trigger=trigger)


class WaitingTests(StoreFixtures):
    """What becomes of runs that are not done at the first go, and of jobs that follow others."""

    # attempts

    async def test_a_run_that_is_handed_back_for_later_is_claimed_when_it_is_due(self, store: JobStore) -> None:
        await store.add([make_job(due=T0, max_instances=2)])
        run = await take_one(store, plan=claim_last)

        stored = await store.finish([waiting(run)])

        assert outcomes_of(stored) == [PENDING]
        assert await store.next_run_time(FREE, "a") == LATER
        assert await take(store, LATER - TICK) == []
        again = await take_one(store, LATER, owner="b")
        assert (again.id, again.due_time, again.epoch, again.node) == (run.id, LATER, 2, "b")
        assert (again.attempts, again.attempt) == ((PLAIN,), 2)

    async def test_a_run_that_waits_does_not_hold_up_others_of_its_job(self, store: JobStore) -> None:
        await store.add([make_job(due=FAR)])
        await store.add_run(make_run())
        await store.finish([waiting(await take_one(store))])
        later = await store.add_run(make_run(at=T0 + TICK))

        run = await take_one(store)

        assert run.id == later.id
        assert await take(store, LATER) == []  # max_instances
        await store.finish([ended(run)])
        assert (await take_one(store, LATER)).nominal_time == T0

    async def test_a_run_that_waits_says_when_it_is_due_unless_it_may_not_start_then(self, store: JobStore) -> None:
        await store.add([make_job(due=FAR)])
        await store.add_run(make_run())
        await store.finish([waiting(await take_one(store))])

        assert await store.next_run_time(FREE, "a") == LATER
        assert await store.next_run_time({"default": 0}, "a") in (None, FAR)
        await store.add_run(make_run(at=T0 + TICK))
        moment = await store.next_run_time(FREE, "a")
        assert moment is not None
        assert moment <= T0 + TICK
        await take_one(store)
        assert await store.next_run_time(FREE, "a") == FAR

    async def test_a_run_that_waits_may_be_cancelled_and_is_when_its_job_is_removed(self, store: JobStore) -> None:
        await store.add([make_job("a"), make_job("b")])
        runs = [waiting(plan.runs[0]) for plan in await take(store)]
        await store.finish(runs)

        assert outcomes_of(await store.finish([attrs.evolve(runs[0], outcome=CANCELLED)])) == [CANCELLED]
        await store.remove("b")
        assert outcomes_of(await history(store)) == [CANCELLED, CANCELLED]

    async def test_attempts_and_reports_are_kept_with_the_run(self, store: JobStore) -> None:
        await store.add([make_job()])
        run = await take_one(store)
        await store.finish([attrs.evolve(waiting(run, T0), report=REPORT)])

        (kept,) = await history(store)
        assert (kept.attempts, kept.report, kept.reason) == ((PLAIN,), REPORT, "it failed")
        again = await take_one(store)
        await store.finish([attrs.evolve(ended(again), attempts=again.attempts, report=REPORT)])

        (kept,) = [run for run in await history(store) if run.outcome is SUCCEEDED]
        assert (kept.attempts, kept.report) == ((PLAIN,), REPORT)

    async def test_of_a_text_that_cannot_be_kept_in_an_attempt_what_can_is_kept(self, store: JobStore) -> None:
        await store.add([make_job()])
        run = await take_one(store)

        stored = await store.finish([attrs.evolve(ended(run, FAILED), attempts=(ATTEMPT,))])

        assert len(stored) == 1
        (kept,) = (await history(store))[0].attempts
        assert kept.error is not None
        assert kept.error.startswith("Traceback")
        assert attrs.evolve(kept, error=None) == attrs.evolve(ATTEMPT, error=None)

    async def test_the_retry_policy_of_a_job_is_kept(self, store: JobStore) -> None:
        retry = Retry(None, 1.5, factor=3, longest=60, jitter=0.5, on=(OSError, "a.b:C.D"), give_up_at="next_run")
        await store.add([make_job("a", retry=retry, expect_success_within=60.5), make_job("b")])

        assert (await get_job(store, "a")).retry == retry
        assert (await get_job(store, "a")).expect_success_within == 60.5
        assert (await get_job(store, "b")).retry is None
        assert ids_of(await store.select(JobFilter(expects_success=True))) == ["a"]
        assert ids_of(await store.select(JobFilter(expects_success=False))) == ["b"]

    async def test_a_run_that_is_settled_keeps_its_attempts(self, store: JobStore) -> None:
        await store.add([make_job()])
        run = await take_one(store)

        def rerun(job: Job | None, run: Run) -> Run:
            return attrs.evolve(run, outcome=PENDING, epoch=run.epoch + DEATH, node=None, attempts=(PLAIN,))

        await store.reap({"a": 0}, rerun)

        again = await take_one(store, owner="b")
        assert (again.id, again.attempts) == (run.id, (PLAIN,))

    # what is made up for

    async def test_a_run_for_a_nominal_time_that_is_taken_is_not_queued_unless_it_is_started_by_hand(
        self, store: JobStore
    ) -> None:
        await store.add([make_job(due=T0)])
        run = await take_one(store)

        queued = await store.add_run(make_run(is_manual=False))
        other = await store.add_run(make_run(at=T0 - TICK, is_manual=False))

        assert run_values_of(queued) == run_values_of(run)
        assert (other.nominal_time, other.outcome, other.is_manual) == (T0 - TICK, PENDING, False)
        assert outcomes_of(await history(store)) == [RUNNING, PENDING]

    # followers

    @pytest.mark.parametrize(
        ("on", "outcome", "is_followed"),
        [
            ("success", Outcome.SUCCEEDED, True),
            ("success", Outcome.FAILED, False),
            ("failure", Outcome.FAILED, True),
            ("failure", Outcome.TIMED_OUT, True),
            ("failure", Outcome.CANCELLED, False),
            ("any", Outcome.CANCELLED, True),
            ("any", Outcome.SUCCEEDED, True),
        ],
    )
    async def test_a_job_that_waits_for_another_one_follows_as_it_is_to(
        self, store: JobStore, on: str, outcome: Outcome, is_followed: bool
    ) -> None:
        await store.add([make_job("first"), make_follower("second", After("first", on))])  # type: ignore[arg-type]
        run = await take_one(store)

        stored = await store.finish([ended(run, outcome)])

        assert stored[0].id == run.id
        assert [(made.job_id, made.nominal_time, made.outcome) for made in stored[1:]] == (
            [("second", T0, PENDING)] if is_followed else []
        )
        assert len(await history(store, "second")) == is_followed

    async def test_what_follows_is_claimed_as_any_pending_run_and_is_followed_itself(self, store: JobStore) -> None:
        jobs = [make_job("a"), make_follower("b", After("a")), make_follower("c", After("b"))]
        await store.add(jobs)
        await store.finish([ended(await take_one(store))])

        second = await take_one(store, T0 + TICK)
        await store.finish([ended(second)])
        third = await take_one(store, T0 + TICK)

        assert [second.id, third.id] == [f"{name}@2026-07-01T12:00:00Z" for name in "bc"]
        assert second.reason is not None
        assert "follows run a@2026-07-01T12:00:00Z" in second.reason

    async def test_a_job_that_waits_for_another_one_is_never_due(self, store: JobStore) -> None:
        await store.add([make_follower("b", After("a"))])

        assert await store.next_run_time(FREE, "a") is None
        assert await take(store, FAR) == []
        assert (await get_job(store, "b")).next_run_time == NEVER

    async def test_a_run_is_followed_once_however_often_its_end_is_stored(self, store: JobStore) -> None:
        await store.add([make_job("a"), make_follower("b", After("a", "any"))])
        run = ended(await take_one(store))
        await store.finish([run])
        await store.finish([ended(await take_one(store, T0 + TICK))])

        again = await store.finish([run])

        assert again == [run]
        assert outcomes_of(await history(store, "b")) == [SUCCEEDED]

    async def test_a_run_that_waits_for_another_attempt_is_not_followed_yet(self, store: JobStore) -> None:
        await store.add([make_job("a"), make_follower("b", After("a", "any"))])

        stored = await store.finish([waiting(await take_one(store))])

        assert len(stored) == 1
        assert await history(store, "b") == []

    async def test_several_jobs_may_follow_one_and_several_runs_be_followed_at_once(self, store: JobStore) -> None:
        followers = [make_follower(name, After(name[0])) for name in ("a1", "a2", "b1")]
        await store.add([make_job("a"), make_job("b"), make_job("c"), *followers])

        stored = await store.finish([ended(plan.runs[0]) for plan in await take(store)])

        assert sorted(run.job_id for run in stored[3:]) == ["a1", "a2", "b1"]

    async def test_a_job_that_is_paused_changed_or_removed_does_not_follow(self, store: JobStore) -> None:
        names = ["paused", "changed", "removed", "stays"]
        await store.add([make_job("a"), *(make_follower(name, After("a")) for name in names)])
        await store.update("paused", setting(next_run_time=None, next_nominal_time=None))
        await store.update("changed", setting(trigger=After("other")))
        await store.remove("removed")

        stored = await store.finish([ended(await take_one(store))])

        assert [run.job_id for run in stored[1:]] == ["stays"]

    async def test_a_job_that_comes_to_wait_for_another_one_follows(self, store: JobStore) -> None:
        await store.add([make_job("a"), make_job("b", due=FAR)])
        await store.update("b", setting(trigger=After("a"), next_run_time=NEVER, next_nominal_time=NEVER))

        stored = await store.finish([ended(await take_one(store))])

        assert [run.job_id for run in stored[1:]] == ["b"]

    async def test_an_abandoned_run_is_followed_as_one_that_failed(self, store: JobStore) -> None:
        await store.add([make_job("a"), make_follower("b", After("a", "failure"))])
        run = await take_one(store)

        def abandon(job: Job | None, run: Run) -> Run:
            return attrs.evolve(run, outcome=Outcome.ABANDONED, epoch=run.epoch + DEATH, finished_at=T0)

        settled = await store.reap({"a": 0}, abandon)

        assert [(made.job_id, made.outcome) for made in settled] == [("a", Outcome.ABANDONED), ("b", PENDING)]
        assert (await take_one(store, owner="b")).nominal_time == run.nominal_time

    # reports

    async def test_what_a_run_reports_is_seen_while_it_is_under_way(self, store: JobStore) -> None:
        await store.add([make_job("a"), make_job("b")])
        runs = [plan.runs[0] for plan in await take(store)]

        await store.report([attrs.evolve(runs[0], report=REPORT), attrs.evolve(runs[1], report=Report(progress=1.0))])
        await store.report([attrs.evolve(runs[1], report=Report(message="done"))])

        assert {run.job_id: run.report for run in await history(store)} == {
            "a": REPORT,
            "b": Report(message="done"),
        }
        assert {run.outcome for run in await history(store)} == {RUNNING}

    async def test_a_run_whose_claim_was_lost_reports_nothing(self, store: JobStore) -> None:
        await store.add([make_job()])
        lost = await take_one(store)
        await store.finish([ended(lost, PENDING)])
        await store.report([attrs.evolve(lost, report=REPORT)])
        await take_one(store, owner="b")

        await store.report([attrs.evolve(lost, report=REPORT)])
        await store.report([make_run("unknown", outcome=RUNNING, epoch=1, report=REPORT)])
        await store.report([])

        assert [run.report for run in await history(store)] == [None]

    # cancellations

    async def test_a_node_learns_what_it_is_asked_to_cancel_until_that_has_ended(self, store: JobStore) -> None:
        await store.add([make_job("a"), make_job("b"), make_job("c")])
        first, second, third = [plan.runs[0] for plan in await take(store)]

        assert await store.asked_to_cancel("a") == []
        assert await store.ask_to_cancel(first, "it takes too long")
        assert await store.ask_to_cancel(second, "and so does this ü")
        assert await store.ask_to_cancel(second, "asked again")

        asked = sorted(await store.asked_to_cancel("a"), key=lambda run: run.job_id)
        assert [(run.id, run.epoch) for run in asked] == [(first.id, 1), (second.id, 1)]
        assert asked[0].cancel_reason == "it takes too long"
        assert len(await store.asked_to_cancel("a")) == 2
        assert await store.asked_to_cancel("b") == []
        await store.finish([ended(first, CANCELLED), ended(third)])
        assert [run.id for run in await store.asked_to_cancel("a")] == [second.id]

    async def test_a_run_that_has_ended_or_changed_hands_is_not_asked_to_end(self, store: JobStore) -> None:
        await store.add([make_job("a"), make_job("b")])
        first, second = [plan.runs[0] for plan in await take(store)]
        await store.finish([ended(first), ended(second, PENDING)])
        again = await take_one(store, owner="b")

        assert not await store.ask_to_cancel(first, "late")
        assert not await store.ask_to_cancel(second, "late")
        assert await store.asked_to_cancel("a") == await store.asked_to_cancel("b") == []
        assert await store.ask_to_cancel(again, "in time")

    async def test_who_settles_a_run_learns_that_it_was_to_be_cancelled(self, store: JobStore) -> None:
        await store.add([make_job()])
        await store.ask_to_cancel(await take_one(store), "it takes too long")
        reasons = []

        def settle(job: Job | None, run: Run) -> Run:
            reasons.append(run.cancel_reason)
            return attrs.evolve(run, outcome=CANCELLED, epoch=run.epoch + DEATH, finished_at=T0, reason="cancelled")

        await store.reap({"a": 0}, settle)

        assert reasons == ["it takes too long"]
        assert [(run.outcome, run.cancel_reason) for run in await history(store)] == [(CANCELLED, None)]

    async def test_a_run_that_is_to_be_cancelled_is_not_handed_back(self, store: JobStore) -> None:
        await store.add([make_job("a"), make_job("b"), make_job("c")])
        first, second, third = [plan.runs[0] for plan in await take(store)]
        await store.ask_to_cancel(first, "it takes too long")
        back, done = ended(second, PENDING), ended(third)

        for _ in range(2):
            assert await store.finish([ended(first, PENDING), back, done]) == [back, done]
            assert await store.finish([ended(first, PENDING)]) == []

        assert [(run.id, run.epoch) for run in await store.asked_to_cancel("a")] == [(first.id, 1)]
        assert [run.id for run in await store.runs(RunFilter(outcomes=[RUNNING]), 9)] == [first.id]
        cancelled = ended(first, CANCELLED)
        assert await store.finish([cancelled]) == [cancelled]
        assert await store.asked_to_cancel("a") == []
        assert (await take_one(store)).id == second.id
