"""State what holds for every job store (layer 10).

Rule 1: a test says one sentence of `apsched.jobstores.base`, and asks nothing that is not written there.
Rule 2: nothing here reads a clock or waits.
"""
# ruff: noqa: S101  # assert is how pytest works

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import attrs
import pytest

from apsched.exceptions import ConflictingIdError, JobLookupError
from apsched.job import Job
from apsched.jobstores.base import JobFilter, JobStore, RunFilter
from apsched.run import Outcome, Plan, Planner, Run
from apsched.triggers.interval import IntervalTrigger

T0 = datetime(2026, 7, 1, 12, tzinfo=UTC)
FAR = T0 + timedelta(days=365)
TICK = timedelta(microseconds=1)
ALL = 1000  # more jobs and runs than a test makes
OWNERS = ("a", "b", "c", "d", "node")
LEASE = 15.0  # seconds

RUNNING, PENDING, SUCCEEDED = Outcome.RUNNING, Outcome.PENDING, Outcome.SUCCEEDED
FAILED, CANCELLED, MISSED = Outcome.FAILED, Outcome.CANCELLED, Outcome.MISSED

UNKEPT = ("func", "is_pending", "jobstore", "_face")  # attributes of jobs that a store need not keep as they are


def noop(*args: object, **kwargs: object) -> None:
    """Do nothing; what the jobs of the contract call."""


class JobStoreContract:
    """
    The contract of job stores; subclass it, name the subclass `Test...`, and override the fixture `store`.

    Attributes:
        keep_runs: How many finished runs the store of the fixture keeps of a job that does not name a number.
    """

    pytestmark: pytest.MarkDecorator = pytest.mark.anyio
    keep_runs: int = 100

    @pytest.fixture
    def store(self) -> JobStore:
        """Return the store to test, entered and empty."""
        raise NotImplementedError("a subclass of JobStoreContract must override the fixture 'store'; give it a store")

    @pytest.fixture(autouse=True)
    async def joined(self, store: JobStore) -> None:
        """Let the nodes that claim be known to the store."""
        for owner in OWNERS:
            await store.join(owner, LEASE, T0)

    # adding

    async def test_an_added_job_is_kept_with_its_values(self, store: JobStore) -> None:
        job = _job(
            name="a name",
            args=(1, "two"),
            kwargs={"three": 3.5},
            executor="pool",
            misfire_grace_time=1.5,
            coalesce=False,
            max_instances=3,
            overlap="queue_one",
            tags={"team": "red"},
            keep_runs=7,
        )
        expected = _values(job)

        (kept,) = await store.add([job])

        assert _values(kept) == expected
        assert _values(await _get(store, "job")) == expected

    async def test_added_jobs_are_returned_in_their_order(self, store: JobStore) -> None:
        kept = await store.add([_job("b"), _job("c"), _job("a")])

        assert _ids(kept) == ["b", "c", "a"]

    async def test_no_jobs_can_be_added(self, store: JobStore) -> None:
        assert await store.add([]) == []

    async def test_a_job_of_a_taken_id_is_refused_and_none_is_added(self, store: JobStore) -> None:
        await store.add([_job("b", name="first")])

        with pytest.raises(ConflictingIdError) as caught:
            await store.add([_job("a"), _job("b", name="second"), _job("c")])

        assert caught.value.job_id == "b"
        assert _ids(await store.select(JobFilter())) == ["b"]
        assert (await _get(store, "b")).name == "first"

    async def test_ids_that_differ_in_case_space_or_accent_differ(self, store: JobStore) -> None:
        ids = ["job", "Job", "job ", "jöb", "jo\u0308b", "j" * 191, "j@2026-07-01T12:00:00Z"]

        await store.add([_job(job_id) for job_id in ids])

        assert sorted(_ids(await store.select(JobFilter()))) == sorted(ids)
        assert [(await _get(store, job_id)).id for job_id in ids] == ids

    async def test_merge_decides_about_a_taken_id_and_only_about_that(self, store: JobStore) -> None:
        await store.add([_job("b", name="old")])

        def merge(old: Job, new: Job) -> Job:
            return attrs.evolve(new, name=f"{old.name} and {new.name}")

        kept = await store.add([_job("a", name="fresh"), _job("b", name="new")], merge)

        assert [job.name for job in kept] == ["fresh", "old and new"]
        assert (await _get(store, "b")).name == "old and new"

    async def test_a_merged_job_is_due_when_the_merge_says(self, store: JobStore) -> None:
        await store.add([_job(due=FAR)])

        await store.add([_job(due=T0)], _second)

        assert await store.next_run_time(busy=[]) == T0
        assert (await _take_one(store)).nominal_time == T0

    async def test_an_error_in_merge_adds_and_changes_nothing(self, store: JobStore) -> None:
        await store.add([_job("b", name="old"), _job("c", name="old")])

        def merge(old: Job, new: Job) -> Job:
            old.name = new.name = "spoilt"
            if new.id == "c":
                raise ZeroDivisionError
            return new

        with pytest.raises(ZeroDivisionError):
            await store.add([_job("a"), _job("b"), _job("c")], merge)

        assert [(job.id, job.name) for job in await store.select(JobFilter())] == [("b", "old"), ("c", "old")]

    # changing

    async def test_a_job_becomes_what_change_makes_of_it(self, store: JobStore) -> None:
        await store.add([_job()])

        changed = await store.update("job", lambda job: attrs.evolve(job, name="changed", tags={"a": "b"}))

        assert (changed.id, changed.name, changed.tags) == ("job", "changed", {"a": "b"})
        assert _values(await _get(store, "job")) == _values(changed)

    async def test_change_may_set_attributes_of_the_job_that_it_gets(self, store: JobStore) -> None:
        await store.add([_job()])

        await store.update("job", _set(name="changed", next_run_time=FAR, next_nominal_time=FAR))

        assert (await _get(store, "job")).name == "changed"
        assert await store.next_run_time(busy=[]) == FAR

    async def test_an_error_in_change_leaves_the_job_as_it_was(self, store: JobStore) -> None:
        await store.add([_job(name="old")])

        def change(job: Job) -> Job:
            job.name, job.next_run_time = "spoilt", FAR
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await store.update("job", change)

        assert (await _get(store, "job")).name == "old"
        assert await store.next_run_time(busy=[]) == T0

    async def test_a_job_that_is_not_there_cannot_be_changed(self, store: JobStore) -> None:
        with pytest.raises(JobLookupError) as caught:
            await store.update("job", _set(name="changed"))

        assert caught.value.job_id == "job"

    async def test_a_job_without_a_next_run_time_is_kept_and_not_due(self, store: JobStore) -> None:
        await store.add([_job()])

        await store.update("job", _set(next_run_time=None, next_nominal_time=None))

        assert (await _get(store, "job")).next_run_time is None
        assert await store.next_run_time(busy=[]) is None
        assert await _take(store, FAR) == []

    async def test_a_job_that_moved_to_another_executor_is_due_there(self, store: JobStore) -> None:
        await store.add([_job()])

        await store.update("job", _set(executor="pool"))

        assert await store.next_run_time(busy=["pool"]) is None
        assert await store.next_run_time(busy=[]) == T0
        assert await _take(store, T0, {"default": 9, "pool": 0}) == []
        assert len(await _take(store, T0, {"default": 0, "pool": 9})) == 1

    # removing

    async def test_a_removed_job_is_gone(self, store: JobStore) -> None:
        await store.add([_job("a"), _job("b")])

        await store.remove("a")

        assert await store.get("a") is None
        assert _ids(await store.select(JobFilter())) == ["b"]
        assert [plan.job.id for plan in await _take(store)] == ["b"]

    async def test_a_job_that_is_not_there_cannot_be_removed(self, store: JobStore) -> None:
        with pytest.raises(JobLookupError) as caught:
            await store.remove("job")

        assert caught.value.job_id == "job"

    async def test_the_id_of_a_removed_job_is_free(self, store: JobStore) -> None:
        await store.add([_job(due=T0, name="first")])
        await store.remove("job")

        await store.add([_job(due=T0 + TICK, name="second")])

        assert (await _get(store, "job")).name == "second"
        assert [plan.job.name for plan in await _take(store, T0 + TICK)] == ["second"]

    async def test_removing_a_job_keeps_its_history(self, store: JobStore) -> None:
        await store.add([_job()])
        await store.finish([_ended(await _take_one(store))])

        await store.remove("job")

        assert _outcomes(await _history(store)) == [SUCCEEDED]

    async def test_removing_a_job_cancels_its_pending_runs(self, store: JobStore) -> None:
        await store.add([_job("a", due=FAR), _job("b", due=FAR)])
        await store.add_run(_run("a"))
        await store.add_run(_run("b"))

        await store.remove("a")

        assert _outcomes(await _history(store, job_id="a")) == [CANCELLED]
        assert [plan.job.id for plan in await _take(store)] == ["b"]

    async def test_a_run_of_a_removed_job_can_be_finished(self, store: JobStore) -> None:
        await store.add([_job()])
        run = await _take_one(store)
        await store.remove("job")

        stored = await store.finish([_ended(run)])

        assert _outcomes(stored) == [SUCCEEDED]
        assert _outcomes(await _history(store)) == [SUCCEEDED]

    async def test_a_run_of_a_removed_job_that_is_handed_back_is_cancelled(self, store: JobStore) -> None:
        await store.add([_job()])
        run = await _take_one(store)
        await store.remove("job")

        await store.finish([_ended(run, PENDING)])

        assert _outcomes(await _history(store)) == [CANCELLED]
        assert await _take(store, FAR) == []

    async def test_clearing_removes_all_jobs_and_keeps_the_history(self, store: JobStore) -> None:
        await store.add([_job("a"), _job("b", due=FAR), _job("c", due=None)])
        await store.finish([_ended(await _take_one(store))])
        await store.add_run(_run("b"))

        await store.clear()

        assert await store.select(JobFilter()) == []
        assert [(run.job_id, run.outcome) for run in await _history(store)] == [("b", CANCELLED), ("a", SUCCEEDED)]
        assert await store.next_run_time(busy=[]) is None
        assert await _take(store, FAR) == []

    # finding

    async def test_there_is_no_job_of_an_unknown_id(self, store: JobStore) -> None:
        assert await store.get("job") is None

    async def test_jobs_are_selected_by_next_run_time_and_id_with_paused_ones_last(self, store: JobStore) -> None:
        await store.add([_job("e", due=None), _job("d", due=None), _job("c"), _job("b"), _job("a", due=FAR)])

        assert _ids(await store.select(JobFilter())) == ["b", "c", "a", "d", "e"]

    async def test_no_more_jobs_are_selected_than_the_limit(self, store: JobStore) -> None:
        await store.add([_job("c"), _job("b"), _job("a", due=FAR)])

        assert _ids(await store.select(JobFilter(), 2)) == ["b", "c"]
        assert await store.select(JobFilter(), 0) == []

    async def test_jobs_are_selected_page_by_page(self, store: JobStore) -> None:
        dues = [T0, T0, FAR, FAR, FAR, None, None]
        await store.add([_job(f"job {number}", due=due) for number, due in enumerate(dues)])

        page = await store.select(JobFilter(), 2)
        found = page
        while page:
            page = await store.select(JobFilter(), 2, found[-1].id)
            found = found + page

        assert _ids(found) == [f"job {number}" for number in range(7)]

    async def test_a_page_goes_on_from_the_present_place_of_the_job_before_it(self, store: JobStore) -> None:
        await store.add([_job("a", due=T0), _job("b", due=T0 + TICK), _job("c", due=FAR)])

        await store.update("a", _set(next_run_time=FAR, next_nominal_time=FAR))

        assert _ids(await store.select(JobFilter(), after="a")) == ["c"]

    async def test_a_page_cannot_go_on_from_a_job_that_is_not_there(self, store: JobStore) -> None:
        with pytest.raises(JobLookupError):
            await store.select(JobFilter(), after="job")

    async def test_jobs_are_selected_that_have_all_of_the_tags(self, store: JobStore) -> None:
        await store.add(
            [
                _job("a", tags={"team": "red", "tier": "1"}),
                _job("b", tags={"team": "red"}),
                _job("c", tags={"team": "blue", "tier": "1"}),
                _job("d"),
            ]
        )

        assert _ids(await store.select(JobFilter(tags={"team": "red"}))) == ["a", "b"]
        assert _ids(await store.select(JobFilter(tags={"team": "red", "tier": "1"}))) == ["a"]
        assert _ids(await store.select(JobFilter(tags={"team": "green"}))) == []

    async def test_the_limit_counts_only_jobs_that_are_selected(self, store: JobStore) -> None:
        await store.add([_job("a"), _job("b", tags={"team": "red"}), _job("c"), _job("d", tags={"team": "red"})])

        assert _ids(await store.select(JobFilter(tags={"team": "red"}), 2)) == ["b", "d"]
        assert _ids(await store.select(JobFilter(tags={"team": "red"}), 2, "b")) == ["d"]

    async def test_jobs_are_selected_by_whether_they_are_quarantined(self, store: JobStore) -> None:
        await store.add([_job("a"), _job("b", quarantine="it cannot run")])

        assert _ids(await store.select(JobFilter(is_quarantined=True))) == ["b"]
        assert _ids(await store.select(JobFilter(is_quarantined=False))) == ["a"]

    # when there is something to do

    async def test_an_empty_store_has_nothing_to_come(self, store: JobStore) -> None:
        assert await store.next_run_time(busy=[]) is None

    async def test_the_earliest_next_run_time_of_the_executors_that_are_not_busy_counts(self, store: JobStore) -> None:
        await store.add([_job("a", due=T0, executor="pool"), _job("b", due=FAR), _job("c", due=FAR + TICK)])

        assert await store.next_run_time(busy=["pool"]) == FAR
        assert await store.next_run_time(busy=[]) == T0
        assert await store.next_run_time(busy=["unknown"]) == T0
        assert await store.next_run_time(busy=["default", "pool"]) is None

    async def test_paused_and_quarantined_jobs_have_nothing_to_come(self, store: JobStore) -> None:
        await store.add([_job("a", due=None), _job("b", quarantine="it cannot run")])

        assert await store.next_run_time(busy=[]) is None

    async def test_a_pending_run_that_may_start_is_something_to_do_now(self, store: JobStore) -> None:
        await store.add([_job(due=FAR)])
        await store.add_run(_run())

        moment = await store.next_run_time(busy=[])

        assert moment is not None
        assert moment <= T0
        assert await store.next_run_time(busy=["default"]) is None

    async def test_a_pending_run_that_must_wait_is_nothing_to_do(self, store: JobStore) -> None:
        await store.add([_job()])
        run = await _take_one(store)
        await store.add_run(_run(at=T0 + TICK))

        assert await store.next_run_time(busy=[]) == T0 + timedelta(seconds=10)
        await store.finish([_ended(run)])
        assert (await store.next_run_time(busy=[]) or FAR) <= T0 + TICK

    # claiming due jobs

    async def test_a_job_is_due_at_its_next_run_time_and_not_before(self, store: JobStore) -> None:
        await store.add([_job()])

        assert await _take(store, T0 - TICK) == []
        assert len(await _take(store, T0)) == 1

    async def test_a_due_job_is_planned_for(self, store: JobStore) -> None:
        await store.add([_job()])
        asked: list[tuple[str, datetime | None, int, datetime, str]] = []

        def plan(job: Job, open_runs: Sequence[Run], now: datetime, owner: str) -> Plan:
            asked.append((job.id, job.next_run_time, len(open_runs), now, owner))
            return _claim(job, open_runs, now, owner)

        now = T0 + timedelta(seconds=1)
        await store.take_due(now, {"default": 1}, plan, "node")

        assert set(asked) == {("job", T0, 0, now, "node")}

    async def test_what_was_planned_is_stored_and_returned(self, store: JobStore) -> None:
        await store.add([_job()])
        missed = _run(at=T0 - TICK, outcome=MISSED, finished_at=T0, reason="too late", first_nominal_time=T0 - 9 * TICK)
        following = T0 + timedelta(seconds=10)

        def plan(job: Job, open_runs: Sequence[Run], now: datetime, owner: str) -> Plan:
            claimed = _run(outcome=RUNNING, epoch=1, node=owner, claimed_at=now)
            waiting = _run(at=T0 + TICK)
            return Plan(
                job=job,
                runs=(missed, claimed, waiting),
                next_nominal_time=following,
                next_run_time=following + TICK,
            )

        (made,) = await _take(store, T0, {"default": 1}, plan)

        assert (made.job.id, _outcomes(made.runs)) == ("job", [MISSED, RUNNING, PENDING])
        assert [_run_values(run) for run in await _history(store)] == [_run_values(run) for run in made.runs[::-1]]
        job = await _get(store, "job")
        assert (job.next_nominal_time, job.next_run_time) == (following, following + TICK)

    async def test_a_job_that_was_taken_is_due_again_at_its_next_run_time(self, store: JobStore) -> None:
        await store.add([_job(max_instances=9)])
        await _take(store)

        assert await _take(store) == []
        assert await store.next_run_time(busy=[]) == T0 + timedelta(seconds=10)
        (made,) = await _take(store, T0 + timedelta(seconds=10))
        assert made.runs[0].nominal_time == T0 + timedelta(seconds=10)

    async def test_the_earliest_jobs_are_taken_up_to_the_free_slots(self, store: JobStore) -> None:
        await store.add([_job(str(number), due=T0 - number * TICK + 9 * TICK) for number in range(5)])

        assert [plan.job.id for plan in await _take(store, T0 + 9 * TICK, {"default": 2})] == ["4", "3"]
        assert [plan.job.id for plan in await _take(store, T0 + 9 * TICK, {"default": 9})] == ["2", "1", "0"]

    async def test_each_executor_has_slots_of_its_own(self, store: JobStore) -> None:
        await store.add([_job(f"{alias} {number}", executor=alias) for alias in "ab" for number in range(3)])

        taken = await _take(store, T0, {"a": 1, "b": 2})

        assert sorted(plan.job.executor for plan in taken) == ["a", "b", "b"]

    async def test_an_executor_without_a_free_slot_is_left_alone(self, store: JobStore) -> None:
        await store.add([_job("a", executor="full"), _job("b", executor="open")])
        await store.add_run(_run("a", at=T0 - TICK))

        assert [plan.job.id for plan in await _take(store, T0, {"full": 0, "open": 9})] == ["b"]
        assert await store.next_run_time(busy=[]) is not None
        assert await _take(store, T0, {"full": 0}) == []

    async def test_a_job_of_an_unknown_executor_is_quarantined_and_kept(self, store: JobStore) -> None:
        await store.add([_job()])

        (made,) = await _take(store, T0, {"pool": 1}, _quarantine)

        assert (made.quarantine, made.runs) == ("it cannot run", ())
        job = await _get(store, "job")
        assert (job.quarantine, job.next_run_time) == ("it cannot run", T0)
        assert await _history(store) == []

    async def test_a_job_of_an_unknown_executor_needs_no_slot(self, store: JobStore) -> None:
        await store.add([_job()])

        (made,) = await _take(store, T0, {"pool": 0}, _quarantine)

        assert made.quarantine == "it cannot run"

    async def test_a_quarantined_job_is_not_looked_at_until_it_is_changed(self, store: JobStore) -> None:
        await store.add([_job()])
        await _take(store, T0, {"default": 1}, _quarantine)

        assert await _take(store, FAR) == []
        assert await store.next_run_time(busy=[]) is None
        await store.update("job", _set(quarantine=None))
        assert await store.next_run_time(busy=[]) == T0
        assert len(await _take(store)) == 1

    async def test_plans_are_told_of_the_open_runs_of_the_job(self, store: JobStore) -> None:
        await store.add([_job("a", max_instances=1), _job("b")])
        await _take(store)
        await store.add_run(_run("a", at=T0 + TICK))
        seen: dict[str, list[Outcome]] = {}

        def plan(job: Job, open_runs: Sequence[Run], now: datetime, owner: str) -> Plan:
            seen[job.id] = sorted(run.outcome for run in open_runs)
            return _claim(job, open_runs, now, owner)

        await _take(store, T0 + timedelta(seconds=10), plan=plan)

        assert seen == {"a": [PENDING, RUNNING], "b": [RUNNING]}

    async def test_plans_are_not_told_of_runs_that_have_ended(self, store: JobStore) -> None:
        await store.add([_job()])
        await store.finish([_ended(await _take_one(store))])
        seen: list[Run] = []

        def plan(job: Job, open_runs: Sequence[Run], now: datetime, owner: str) -> Plan:
            seen.extend(open_runs)
            return _claim(job, open_runs, now, owner)

        await _take(store, T0 + timedelta(seconds=10), plan=plan)

        assert seen == []

    async def test_an_error_in_a_plan_changes_nothing(self, store: JobStore) -> None:
        await store.add([_job()])

        with pytest.raises(ZeroDivisionError):
            await _take(store, plan=_fail)

        assert await _history(store) == []
        assert (await _take_one(store)).nominal_time == T0

    async def test_a_finished_job_is_gone_and_its_last_run_can_be_finished(self, store: JobStore) -> None:
        await store.add([_job()])
        run = await _take_one(store, plan=_claim_last)

        assert await store.get("job") is None
        assert _outcomes(await store.finish([_ended(run)])) == [SUCCEEDED]
        assert _outcomes(await _history(store)) == [SUCCEEDED]

    async def test_the_last_run_of_a_finished_job_can_be_handed_back_and_claimed_again(self, store: JobStore) -> None:
        await store.add([_job()])
        run = await _take_one(store, plan=_claim_last)
        await store.finish([_ended(run, PENDING)])

        (made,) = await _take(store, owner="b")

        assert (made.job.id, made.runs[0].id, made.runs[0].epoch) == ("job", run.id, 2)
        assert len(await store.finish([_ended(made.runs[0])])) == 1
        assert await store.next_run_time(busy=[]) is None

    async def test_the_id_of_a_finished_job_is_free(self, store: JobStore) -> None:
        await store.add([_job()])
        run = await _take_one(store, plan=_claim_last)

        await store.add([_job(due=T0 + TICK)])
        await store.finish([_ended(run)])

        assert (await _take_one(store, T0 + TICK)).nominal_time == T0 + TICK

    async def test_a_nominal_time_that_is_recorded_is_dropped_from_plans(self, store: JobStore) -> None:
        await store.add([_job()])
        await store.finish([_ended(await _take_one(store))])
        await store.update("job", _set(next_run_time=T0, next_nominal_time=T0))

        (made,) = await _take(store)

        assert made.runs == ()
        assert _outcomes(await _history(store)) == [SUCCEEDED]
        assert (await _get(store, "job")).next_run_time == T0 + timedelta(seconds=10)

    async def test_a_run_that_is_dropped_from_its_plan_replaces_no_other(self, store: JobStore) -> None:
        await store.add([_job()])
        await _take(store)
        await store.update("job", _set(next_run_time=T0, next_nominal_time=T0))

        def plan(job: Job, open_runs: Sequence[Run], now: datetime, owner: str) -> Plan:
            return attrs.evolve(_claim(job, open_runs, now, owner), cancel=tuple(open_runs))

        (made,) = await _take(store, plan=plan)

        assert (made.runs, made.cancel) == ((), ())
        assert _outcomes(await _history(store)) == [RUNNING]

    async def test_a_nominal_time_is_recorded_for_each_job_by_itself(self, store: JobStore) -> None:
        await store.add([_job("a"), _job("b")])

        await _take(store)

        assert sorted(run.job_id for run in await _history(store)) == ["a", "b"]

    async def test_no_two_owners_get_the_same_run(self, store: JobStore) -> None:
        await store.add([_job(f"{number:02}") for number in range(40)])
        claimed: list[tuple[str, str | None, str]] = []

        async def claim(owner: str) -> None:
            while plans := await _take(store, T0, {"default": 3}, owner=owner):
                claimed.extend((run.id, run.node, owner) for plan in plans for run in plan.runs)
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as group:
            for owner in "abcd":
                group.start_soon(claim, owner)

        assert len({run_id for run_id, _, _ in claimed}) == len(claimed) == 40
        assert all(node == owner for _, node, owner in claimed)

    # claiming pending runs

    async def test_a_pending_run_is_claimed_without_a_plan(self, store: JobStore) -> None:
        await store.add([_job(due=FAR)])
        queued = await store.add_run(_run(args=(1,), kwargs={"two": 2}))
        now = T0 + timedelta(seconds=1)

        (made,) = await _take(store, now, plan=_fail, owner="node")

        (run,) = made.runs
        assert made.job.id == "job"
        assert (made.removes_job, made.quarantine, made.cancel) == (False, None, ())
        assert (run.id, run.outcome, run.epoch, run.node, run.claimed_at) == (queued.id, RUNNING, 1, "node", now)
        assert (run.args, run.kwargs, run.is_manual) == ((1,), {"two": 2}, True)
        assert [_run_values(known) for known in await _history(store)] == [_run_values(run)]
        assert (await _get(store, "job")).next_run_time == FAR

    async def test_a_pending_run_is_claimed_once(self, store: JobStore) -> None:
        await store.add([_job(due=FAR)])
        await store.add_run(_run())

        assert len(await _take(store)) == 1
        assert await _take(store) == []

    async def test_pending_runs_come_before_due_jobs(self, store: JobStore) -> None:
        await store.add([_job("a"), _job("b", due=FAR)])
        await store.add_run(_run("b", at=T0 + TICK))

        taken = [await _take(store, T0, {"default": 1}) for _ in range(3)]

        assert [[plan.job.id for plan in plans] for plans in taken] == [["b"], ["a"], []]

    async def test_pending_runs_use_up_slots(self, store: JobStore) -> None:
        await store.add([_job("a"), _job("b"), _job("c", due=FAR)])
        await store.add_run(_run("c"))

        assert len(await _take(store, T0, {"default": 2})) == 2
        assert len(await _take(store, T0, {"default": 2})) == 1

    async def test_a_run_of_a_paused_job_is_claimed(self, store: JobStore) -> None:
        await store.add([_job(due=None)])
        await store.add_run(_run())

        assert len(await _take(store)) == 1

    async def test_pending_runs_are_claimed_up_to_max_instances(self, store: JobStore) -> None:
        await store.add([_job(due=FAR, max_instances=2)])
        for number in range(3):
            await store.add_run(_run(at=T0 + number * TICK))

        first, second = (plan.runs[0] for plan in await _take(store, FAR - TICK))

        assert await _take(store, FAR - TICK) == []
        await store.finish([_ended(second)])
        (third,) = (plan.runs[0] for plan in await _take(store, FAR - TICK))
        assert [run.nominal_time for run in (first, second, third)] == [T0, T0 + TICK, T0 + 2 * TICK]

    async def test_pending_runs_of_a_job_are_claimed_in_the_order_of_their_nominal_times(self, store: JobStore) -> None:
        await store.add([_job(due=FAR)])
        for number in (2, 0, 1):
            await store.add_run(_run(at=T0 + number * TICK))

        taken = [await _take_one(store)]
        for _ in range(2):
            await store.finish([_ended(taken[-1])])
            taken.append(await _take_one(store))

        assert [run.nominal_time for run in taken] == [T0, T0 + TICK, T0 + 2 * TICK]

    async def test_pending_runs_of_a_finished_job_go_to_the_job_that_takes_its_id(self, store: JobStore) -> None:
        await store.add([_job()])
        run = await _take_one(store, plan=_claim_last)
        await store.finish([_ended(run, PENDING)])
        await store.add([_job(due=FAR, executor="pool")])

        assert await _take(store) == []
        (made,) = await _take(store, T0, {"pool": 1})
        assert (made.job.executor, made.runs[0].nominal_time) == ("pool", T0)

    async def test_pending_runs_of_a_job_that_may_overlap_are_all_claimed(self, store: JobStore) -> None:
        await store.add([_job(due=FAR, overlap="allow")])
        for number in range(3):
            await store.add_run(_run(at=T0 + number * TICK))

        assert len(await _take(store)) == 3

    async def test_what_a_plan_queued_is_claimed_when_its_turn_comes(self, store: JobStore) -> None:
        await store.add([_job()])
        first = await _take_one(store)
        await _take(store, T0 + timedelta(seconds=10), plan=_queue)

        assert await _take(store, T0 + timedelta(seconds=10)) == []
        await store.finish([_ended(first)])
        run = await _take_one(store, T0 + timedelta(seconds=10))
        assert (run.nominal_time, run.epoch) == (T0 + timedelta(seconds=10), 1)

    # starting by hand

    async def test_a_run_that_is_added_is_kept_and_returned(self, store: JobStore) -> None:
        await store.add([_job(due=FAR)])
        run = _run(args=(1, "two"), kwargs={"three": 3})

        queued = await store.add_run(run)

        assert _run_values(queued) == _run_values(run)
        assert [_run_values(known) for known in await _history(store)] == [_run_values(run)]

    async def test_a_run_whose_nominal_time_is_taken_moves_on_by_microseconds(self, store: JobStore) -> None:
        await store.add([_job("a"), _job("b", due=FAR)])
        await store.finish([_ended(await _take_one(store))])

        queued = [await store.add_run(_run("a")) for _ in range(3)]
        other = await store.add_run(_run("b"))

        assert [run.nominal_time for run in queued] == [T0 + TICK, T0 + 2 * TICK, T0 + 3 * TICK]
        assert [run.due_time for run in queued] == [T0] * 3
        assert other.nominal_time == T0
        assert len(await _history(store)) == 5

    async def test_a_run_of_a_job_that_is_not_there_cannot_be_added(self, store: JobStore) -> None:
        with pytest.raises(JobLookupError) as caught:
            await store.add_run(_run())

        assert caught.value.job_id == "job"
        assert await _history(store) == []

    # finishing

    async def test_how_a_run_ended_is_stored(self, store: JobStore) -> None:
        await store.add([_job()])
        run = attrs.evolve(
            await _take_one(store),
            outcome=FAILED,
            started_at=T0 + timedelta(seconds=1),
            finished_at=T0 + timedelta(seconds=2, microseconds=7),
            retval={"a": [1, None, "ö"]},
            error="Traceback: ...",
            reason="it was cancelled",
        )

        stored = await store.finish([run])

        assert stored == [run]
        assert [_run_values(known) for known in await _history(store)] == [_run_values(run)]

    async def test_no_runs_can_be_finished(self, store: JobStore) -> None:
        assert await store.finish([]) == []

    async def test_an_ended_run_frees_its_instance(self, store: JobStore) -> None:
        await store.add([_job(due=FAR)])
        await store.add_run(_run())
        await store.add_run(_run())

        await store.finish([_ended(await _take_one(store))])

        assert (await _take_one(store)).nominal_time == T0 + TICK

    async def test_a_run_cannot_be_finished_twice(self, store: JobStore) -> None:
        await store.add([_job()])
        run = await _take_one(store)
        await store.finish([_ended(run)])

        assert await store.finish([_ended(run, FAILED)]) == []
        assert await store.finish([_ended(run, PENDING)]) == []
        assert _outcomes(await _history(store)) == [SUCCEEDED]
        assert await _take(store) == []

    async def test_a_run_that_is_not_kept_cannot_be_finished(self, store: JobStore) -> None:
        await store.add([_job()])

        assert await store.finish([_run(outcome=SUCCEEDED, epoch=1), _run("other", outcome=SUCCEEDED)]) == []
        assert await _history(store) == []

    async def test_a_run_whose_claim_was_lost_changes_nothing(self, store: JobStore) -> None:
        await store.add([_job()])
        lost = await _take_one(store, owner="a")
        await store.finish([_ended(lost, PENDING)])
        held = await _take_one(store, owner="b")

        assert await store.finish([_ended(lost, FAILED)]) == []
        assert await store.finish([_ended(lost, PENDING)]) == []
        assert [_run_values(run) for run in await _history(store)] == [_run_values(held)]
        assert len(await store.finish([_ended(held)])) == 1

    async def test_of_many_runs_those_are_stored_whose_claim_holds(self, store: JobStore) -> None:
        await store.add([_job(name) for name in "abc"])
        runs = [_ended(plan.runs[0]) for plan in await _take(store)]
        runs[1] = attrs.evolve(runs[1], epoch=7)

        stored = await store.finish(runs)

        assert stored == [runs[0], runs[2]]
        assert sorted(_outcomes(await _history(store))) == [RUNNING, SUCCEEDED, SUCCEEDED]

    async def test_a_run_that_is_handed_back_is_claimed_again_with_a_higher_epoch(self, store: JobStore) -> None:
        await store.add([_job()])
        run = await _take_one(store, owner="a")

        stored = await store.finish([attrs.evolve(run, outcome=PENDING)])

        assert _outcomes(stored) == [PENDING]
        again = await _take_one(store, T0 + TICK, owner="b")
        assert (again.id, again.outcome, again.epoch, again.node) == (run.id, RUNNING, 2, "b")
        assert again.claimed_at == T0 + TICK

    async def test_a_run_that_was_handed_back_cannot_be_handed_back_or_finished(self, store: JobStore) -> None:
        await store.add([_job(max_instances=9)])
        run = await _take_one(store)
        await store.finish([_ended(run, PENDING)])

        assert await store.finish([_ended(run, PENDING)]) == []
        assert await store.finish([_ended(run, SUCCEEDED)]) == []
        assert len(await _take(store)) == 1
        assert await _take(store) == []

    async def test_runs_that_are_handed_back_come_before_later_ones_of_their_job(self, store: JobStore) -> None:
        await store.add([_job(due=FAR, max_instances=3)])
        for number in range(5):
            await store.add_run(_run(at=T0 + number * TICK))
        claimed = [plan.runs[0] for plan in await _take(store)]
        await store.finish([_ended(run, PENDING) for run in reversed(claimed)])

        again = [plan.runs[0].nominal_time for plan in await _take(store)]

        assert again == [T0, T0 + TICK, T0 + 2 * TICK]

    async def test_a_pending_run_may_be_cancelled(self, store: JobStore) -> None:
        await store.add([_job(due=FAR)])
        first = await store.add_run(_run())
        await store.add_run(_run(at=T0 + TICK))

        stored = await store.finish([_ended(first, CANCELLED)])

        assert _outcomes(stored) == [CANCELLED]
        assert _outcomes(await _history(store)) == [PENDING, CANCELLED]
        assert (await _take_one(store)).nominal_time == T0 + TICK

    async def test_a_pending_run_that_was_claimed_meanwhile_is_not_cancelled(self, store: JobStore) -> None:
        await store.add([_job(due=FAR)])
        queued = await store.add_run(_run())
        await _take(store)

        assert await store.finish([_ended(queued, CANCELLED)]) == []
        assert _outcomes(await _history(store)) == [RUNNING]

    async def test_a_pending_run_ends_in_no_other_way(self, store: JobStore) -> None:
        await store.add([_job(due=FAR)])
        queued = await store.add_run(_run())

        assert await store.finish([_ended(queued, SUCCEEDED)]) == []
        assert _outcomes(await _history(store)) == [PENDING]

    # history

    async def test_runs_are_returned_by_nominal_time_and_job_id_the_latest_first(self, store: JobStore) -> None:
        await store.add([_job(name, due=FAR) for name in "abc"])
        for name, moment in (("a", 1), ("b", 0), ("c", 1), ("a", 2), ("a", 0)):
            await store.add_run(_run(name, at=T0 + timedelta(seconds=moment)))

        runs = await _history(store)

        assert [f"{run.job_id}{run.nominal_time.second}" for run in runs] == ["a2", "c1", "a1", "b0", "a0"]

    async def test_no_more_runs_are_returned_than_the_limit(self, store: JobStore) -> None:
        await _queue_runs(store, 5)

        runs = await store.runs(RunFilter(), 2)

        assert [run.nominal_time for run in runs] == [T0 + timedelta(seconds=4), T0 + timedelta(seconds=3)]

    async def test_runs_are_returned_page_by_page(self, store: JobStore) -> None:
        await store.add([_job(name, due=FAR) for name in "abc"])
        for name in "abc":
            for moment in range(3):
                await store.add_run(_run(name, at=T0 + timedelta(seconds=moment)))

        page = await store.runs(RunFilter(), 2)
        found = page
        while page:
            page = await store.runs(RunFilter(), 2, found[-1])
            found = found + page

        assert [run.id for run in found] == [run.id for run in await _history(store)]
        assert len({run.id for run in found}) == 9

    async def test_runs_are_filtered(self, store: JobStore) -> None:
        await _queue_runs(store, 2)
        await store.add([_job("other", due=T0 + timedelta(seconds=2))])
        await _take(store, T0 + timedelta(seconds=2), {"default": 2}, owner="node")

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
        await _queue_runs(store, 5)
        first, last = T0 + timedelta(seconds=1), T0 + timedelta(seconds=3)

        assert len(await store.runs(RunFilter(since=first, until=last), ALL)) == 3
        assert len(await store.runs(RunFilter(since=first + TICK, until=last - TICK), ALL)) == 1
        assert len(await store.runs(RunFilter(since=last), ALL)) == 2

    async def test_reading_forgets_nothing(self, store: JobStore) -> None:
        await _queue_runs(store, 3)
        before = [run.id for run in await _history(store)]

        await store.runs(RunFilter(), 1)

        assert [run.id for run in await _history(store)] == before

    # retention

    async def test_the_last_runs_of_each_job_are_kept(self, store: JobStore) -> None:
        await store.add([_job("a", keep_runs=3), _job("b"), _job("c", keep_runs=0)])
        for number in range(self.keep_runs + 2):
            plans = await _take(store, T0 + timedelta(seconds=10 * number))
            await store.finish([_ended(plan.runs[0]) for plan in plans])

        await store.prune(FAR, ALL)

        latest = T0 + timedelta(seconds=10 * (self.keep_runs + 1))
        runs = {name: await _history(store, job_id=name) for name in "abc"}
        assert [len(runs[name]) for name in "abc"] == [3, self.keep_runs, 0]
        assert [run.nominal_time for run in runs["a"]] == [latest - timedelta(seconds=10 * n) for n in range(3)]
        assert not runs["b"] or runs["b"][0].nominal_time == latest

    async def test_the_last_runs_of_a_job_that_is_gone_are_kept(self, store: JobStore) -> None:
        await store.add([_job(keep_runs=2)])
        for number in range(4):
            plan = _claim_last if number == 3 else _claim
            run = await _take_one(store, T0 + timedelta(seconds=10 * number), plan=plan)
            await store.finish([_ended(run)])

        await store.prune(T0 - TICK, ALL)

        runs = await _history(store)
        assert [run.nominal_time for run in runs[:2]] == [T0 + timedelta(seconds=30), T0 + timedelta(seconds=20)]

    async def test_open_runs_are_never_forgotten(self, store: JobStore) -> None:
        await store.add([_job(keep_runs=0, max_instances=2)])
        first, second = [await _take_one(store, T0 + timedelta(seconds=10 * number)) for number in range(2)]
        await store.add_run(_run(at=T0 + timedelta(seconds=20)))
        await store.finish([_ended(first)])

        await store.prune(FAR, ALL)

        assert _outcomes(await _history(store)) == [PENDING, RUNNING]
        assert len(await store.finish([_ended(second)])) == 1

    async def test_pruning_tells_how_many_runs_it_has_forgotten(self, store: JobStore) -> None:
        await store.add([_job(keep_runs=1)])
        for number in range(4):
            run = await _take_one(store, T0 + timedelta(seconds=10 * number))
            await store.finish([_ended(run)])
        before = len(await _history(store))

        forgotten = await store.prune(FAR, ALL)

        assert before - forgotten == len(await _history(store)) == 1
        assert await store.prune(FAR, ALL) == 0


def _job(id: str = "job", *, due: datetime | None = T0, **options: Any) -> Job:
    options = {"name": "noop", "tags": {}, **options}
    trigger = IntervalTrigger(seconds=10, start_date=T0, timezone="UTC")
    return Job(id=id, func=noop, trigger=trigger, next_run_time=due, next_nominal_time=due, **options)


def _run(job_id: str = "job", *, at: datetime = T0, outcome: Outcome = PENDING, **options: Any) -> Run:
    """Return a run that was started by hand."""
    return Run(job_id=job_id, nominal_time=at, due_time=at, outcome=outcome, is_manual=True, **options)


def _ended(run: Run, outcome: Outcome = SUCCEEDED) -> Run:
    """Return a claimed run as it comes from the engine: as it ended, or to be handed back."""
    return attrs.evolve(run, outcome=outcome, finished_at=run.nominal_time + TICK if outcome.is_final else None)


def _claim(job: Job, open_runs: Sequence[Run], now: datetime, owner: str) -> Plan:
    """Claim the next nominal time of *job*, whatever is under way."""
    return _plan(job, Run(**_next(job), outcome=RUNNING, epoch=1, node=owner, claimed_at=now))


def _queue(job: Job, open_runs: Sequence[Run], now: datetime, owner: str) -> Plan:
    """Let the next nominal time of *job* wait for its turn."""
    return _plan(job, Run(**_next(job), outcome=PENDING))


def _claim_last(job: Job, open_runs: Sequence[Run], now: datetime, owner: str) -> Plan:
    """Claim the next nominal time of *job*, which is its last."""
    plan = _claim(job, open_runs, now, owner)
    return attrs.evolve(plan, next_nominal_time=None, next_run_time=None, removes_job=True)


def _quarantine(job: Job, open_runs: Sequence[Run], now: datetime, owner: str) -> Plan:
    return Plan(job=job, quarantine="it cannot run")


def _fail(job: Job, open_runs: Sequence[Run], now: datetime, owner: str) -> Plan:
    raise ZeroDivisionError


def _next(job: Job) -> dict[str, Any]:
    return {"job_id": job.id, "nominal_time": job.next_nominal_time, "due_time": job.next_run_time}


def _plan(job: Job, run: Run) -> Plan:
    following = job.trigger.get_next_fire_time(run.nominal_time, run.nominal_time)
    return Plan(job=job, runs=(run,), next_nominal_time=following, next_run_time=following)


def _second(old: Job, new: Job) -> Job:
    return new


def _set(**changes: Any) -> Callable[[Job], Job]:
    """Return a change that sets attributes of the job that it gets."""

    def change(job: Job) -> Job:
        for name, value in changes.items():
            setattr(job, name, value)
        return job

    return change


async def _take(
    store: JobStore,
    now: datetime = T0,
    slots: Mapping[str, int] | None = None,
    plan: Planner = _claim,
    owner: str = "a",
) -> list[Plan]:
    return await store.take_due(now, {"default": ALL} if slots is None else slots, plan, owner)


async def _take_one(store: JobStore, now: datetime = T0, plan: Planner = _claim, owner: str = "a") -> Run:
    """Take the one run that is due or pending."""
    (made,) = await _take(store, now, {"default": 1}, plan, owner)
    (run,) = made.runs
    return run


async def _queue_runs(store: JobStore, count: int) -> None:
    await store.add([_job(due=FAR)])
    for moment in range(count):
        await store.add_run(_run(at=T0 + timedelta(seconds=moment)))


async def _get(store: JobStore, job_id: str) -> Job:
    job = await store.get(job_id)
    assert job is not None
    return job


async def _history(store: JobStore, job_id: str | None = None) -> list[Run]:
    return await store.runs(RunFilter(job_id=job_id), ALL)


def _ids(jobs: Sequence[Job]) -> list[str]:
    return [job.id for job in jobs]


def _outcomes(runs: Sequence[Run]) -> list[Outcome]:
    return [run.outcome for run in runs]


def _values(job: Job) -> dict[str, Any]:
    values = {field.name: getattr(job, field.name) for field in attrs.fields(Job) if field.name not in UNKEPT}
    return values | {"func_ref": job.func_ref}


def _run_values(run: Run) -> dict[str, Any]:
    return {field.name: getattr(run, field.name) for field in attrs.fields(Run)}
