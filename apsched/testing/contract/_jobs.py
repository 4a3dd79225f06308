"""State how a store keeps jobs (layer 10)."""
# ruff: noqa: S101  # assert is how pytest works

from __future__ import annotations

import attrs
import pytest

from apsched.exceptions import ConflictingIdError, JobLookupError
from apsched.job import Job
from apsched.jobstores.base import JobFilter, JobStore
from apsched.testing.contract._fixtures import StoreFixtures
from apsched.testing.contract._values import (
    CANCELLED,
    FAR,
    FREE,
    PENDING,
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
    take_new,
    take_one,
    values_of,
)


class JobTests(StoreFixtures):
    """Adding, changing, removing and finding jobs."""

    # adding

    async def test_an_added_job_is_kept_with_its_values(self, store: JobStore) -> None:
        job = make_job(
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
            timeout=2.5,
        )
        expected = values_of(job)

        (kept,) = await store.add([job])

        assert values_of(kept) == expected
        assert values_of(await get_job(store, "job")) == expected

    async def test_added_jobs_are_returned_in_their_order(self, store: JobStore) -> None:
        kept = await store.add([make_job("b"), make_job("c"), make_job("a")])

        assert ids_of(kept) == ["b", "c", "a"]

    async def test_no_jobs_can_be_added(self, store: JobStore) -> None:
        assert await store.add([]) == []

    async def test_a_job_of_a_taken_id_is_refused_and_none_is_added(self, store: JobStore) -> None:
        await store.add([make_job("b", name="first")])

        with pytest.raises(ConflictingIdError) as caught:
            await store.add([make_job("a"), make_job("b", name="second"), make_job("c")])

        assert caught.value.job_id == "b"
        assert ids_of(await store.select(JobFilter())) == ["b"]
        assert (await get_job(store, "b")).name == "first"

    async def test_ids_that_differ_in_case_space_or_accent_differ(self, store: JobStore) -> None:
        ids = ["job", "Job", "job ", "jöb", "jo\u0308b", "j" * 191, "j@2026-07-01T12:00:00Z"]

        await store.add([make_job(job_id) for job_id in ids])

        assert sorted(ids_of(await store.select(JobFilter()))) == sorted(ids)
        assert [(await get_job(store, job_id)).id for job_id in ids] == ids

    async def test_merge_decides_about_a_taken_id_and_only_about_that(self, store: JobStore) -> None:
        await store.add([make_job("b", name="old")])

        def merge(old: Job, new: Job) -> Job:
            return attrs.evolve(new, name=f"{old.name} and {new.name}")

        kept = await store.add([make_job("a", name="fresh"), make_job("b", name="new")], merge)

        assert [job.name for job in kept] == ["fresh", "old and new"]
        assert (await get_job(store, "b")).name == "old and new"

    async def test_a_merged_job_is_due_when_the_merge_says(self, store: JobStore) -> None:
        await store.add([make_job(due=FAR)])

        await store.add([make_job(due=T0)], take_new)

        assert await store.next_run_time(FREE, "a") == T0
        assert (await take_one(store)).nominal_time == T0

    async def test_an_error_in_merge_adds_and_changes_nothing(self, store: JobStore) -> None:
        await store.add([make_job("b", name="old"), make_job("c", name="old")])

        def merge(old: Job, new: Job) -> Job:
            old.name = new.name = "spoilt"
            if new.id == "c":
                raise ZeroDivisionError
            return new

        with pytest.raises(ZeroDivisionError):
            await store.add([make_job("a"), make_job("b"), make_job("c")], merge)

        assert [(job.id, job.name) for job in await store.select(JobFilter())] == [("b", "old"), ("c", "old")]

    # changing

    async def test_a_job_becomes_what_change_makes_of_it(self, store: JobStore) -> None:
        await store.add([make_job()])

        changed = await store.update("job", lambda job: attrs.evolve(job, name="changed", tags={"a": "b"}))

        assert (changed.id, changed.name, changed.tags) == ("job", "changed", {"a": "b"})
        assert values_of(await get_job(store, "job")) == values_of(changed)

    async def test_change_may_set_attributes_of_the_job_that_it_gets(self, store: JobStore) -> None:
        await store.add([make_job()])

        await store.update("job", setting(name="changed", next_run_time=FAR, next_nominal_time=FAR))

        assert (await get_job(store, "job")).name == "changed"
        assert await store.next_run_time(FREE, "a") == FAR

    async def test_an_error_in_change_leaves_the_job_as_it_was(self, store: JobStore) -> None:
        await store.add([make_job(name="old")])

        def change(job: Job) -> Job:
            job.name, job.next_run_time = "spoilt", FAR
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await store.update("job", change)

        assert (await get_job(store, "job")).name == "old"
        assert await store.next_run_time(FREE, "a") == T0

    async def test_a_job_that_is_not_there_cannot_be_changed(self, store: JobStore) -> None:
        with pytest.raises(JobLookupError) as caught:
            await store.update("job", setting(name="changed"))

        assert caught.value.job_id == "job"

    async def test_a_job_without_a_next_run_time_is_kept_and_not_due(self, store: JobStore) -> None:
        await store.add([make_job()])

        await store.update("job", setting(next_run_time=None, next_nominal_time=None))

        assert (await get_job(store, "job")).next_run_time is None
        assert await store.next_run_time(FREE, "a") is None
        assert await take(store, FAR) == []

    async def test_a_job_that_moved_to_another_executor_is_due_there(self, store: JobStore) -> None:
        await store.add([make_job()])

        await store.update("job", setting(executor="pool"))

        assert await store.next_run_time({"default": 1, "pool": 0}, "a") is None
        assert await store.next_run_time({"default": 1, "pool": 1}, "a") == T0
        assert await take(store, T0, {"default": 9, "pool": 0}) == []
        assert len(await take(store, T0, {"default": 0, "pool": 9})) == 1

    # removing

    async def test_a_removed_job_is_gone(self, store: JobStore) -> None:
        await store.add([make_job("a"), make_job("b")])

        await store.remove("a")

        assert await store.get("a") is None
        assert ids_of(await store.select(JobFilter())) == ["b"]
        assert [plan.job.id for plan in await take(store)] == ["b"]

    async def test_a_job_that_is_not_there_cannot_be_removed(self, store: JobStore) -> None:
        with pytest.raises(JobLookupError) as caught:
            await store.remove("job")

        assert caught.value.job_id == "job"

    async def test_the_id_of_a_removed_job_is_free(self, store: JobStore) -> None:
        await store.add([make_job(due=T0, name="first")])
        await store.remove("job")

        await store.add([make_job(due=T0 + TICK, name="second")])

        assert (await get_job(store, "job")).name == "second"
        assert [plan.job.name for plan in await take(store, T0 + TICK)] == ["second"]

    async def test_removing_a_job_keeps_its_history(self, store: JobStore) -> None:
        await store.add([make_job()])
        await store.finish([ended(await take_one(store))])

        await store.remove("job")

        assert outcomes_of(await history(store)) == [SUCCEEDED]

    async def test_removing_a_job_cancels_its_pending_runs(self, store: JobStore) -> None:
        await store.add([make_job("a", due=FAR), make_job("b", due=FAR)])
        await store.add_run(make_run("a"))
        await store.add_run(make_run("b"))

        await store.remove("a")

        assert outcomes_of(await history(store, job_id="a")) == [CANCELLED]
        assert [plan.job.id for plan in await take(store)] == ["b"]

    async def test_a_run_of_a_removed_job_can_be_finished(self, store: JobStore) -> None:
        await store.add([make_job()])
        run = await take_one(store)
        await store.remove("job")

        stored = await store.finish([ended(run)])

        assert outcomes_of(stored) == [SUCCEEDED]
        assert outcomes_of(await history(store)) == [SUCCEEDED]

    async def test_a_run_of_a_removed_job_that_is_handed_back_is_cancelled(self, store: JobStore) -> None:
        await store.add([make_job()])
        run = await take_one(store)
        await store.remove("job")

        await store.finish([ended(run, PENDING)])

        assert outcomes_of(await history(store)) == [CANCELLED]
        assert await take(store, FAR) == []

    async def test_clearing_removes_all_jobs_and_keeps_the_history(self, store: JobStore) -> None:
        await store.add([make_job("a"), make_job("b", due=FAR), make_job("c", due=None)])
        await store.finish([ended(await take_one(store))])
        await store.add_run(make_run("b"))

        await store.clear()

        assert await store.select(JobFilter()) == []
        assert [(run.job_id, run.outcome) for run in await history(store)] == [("b", CANCELLED), ("a", SUCCEEDED)]
        assert await store.next_run_time(FREE, "a") is None
        assert await take(store, FAR) == []

    # finding

    async def test_there_is_no_job_of_an_unknown_id(self, store: JobStore) -> None:
        assert await store.get("job") is None

    async def test_jobs_are_selected_by_next_run_time_and_id_with_paused_ones_last(self, store: JobStore) -> None:
        await store.add(
            [make_job("e", due=None), make_job("d", due=None), make_job("c"), make_job("b"), make_job("a", due=FAR)]
        )

        assert ids_of(await store.select(JobFilter())) == ["b", "c", "a", "d", "e"]

    async def test_no_more_jobs_are_selected_than_the_limit(self, store: JobStore) -> None:
        await store.add([make_job("c"), make_job("b"), make_job("a", due=FAR)])

        assert ids_of(await store.select(JobFilter(), 2)) == ["b", "c"]
        assert await store.select(JobFilter(), 0) == []

    async def test_jobs_are_selected_page_by_page(self, store: JobStore) -> None:
        dues = [T0, T0, FAR, FAR, FAR, None, None]
        await store.add([make_job(f"job {number}", due=due) for number, due in enumerate(dues)])

        page = await store.select(JobFilter(), 2)
        found = page
        while page:
            page = await store.select(JobFilter(), 2, found[-1].id)
            found = found + page

        assert ids_of(found) == [f"job {number}" for number in range(7)]

    async def test_a_page_goes_on_from_the_present_place_of_the_job_before_it(self, store: JobStore) -> None:
        await store.add([make_job("a", due=T0), make_job("b", due=T0 + TICK), make_job("c", due=FAR)])

        await store.update("a", setting(next_run_time=FAR, next_nominal_time=FAR))

        assert ids_of(await store.select(JobFilter(), after="a")) == ["c"]

    async def test_a_page_cannot_go_on_from_a_job_that_is_not_there(self, store: JobStore) -> None:
        with pytest.raises(JobLookupError):
            await store.select(JobFilter(), after="job")

    async def test_jobs_are_selected_that_have_all_of_the_tags(self, store: JobStore) -> None:
        await store.add(
            [
                make_job("a", tags={"team": "red", "tier": "1"}),
                make_job("b", tags={"team": "red"}),
                make_job("c", tags={"team": "blue", "tier": "1"}),
                make_job("d"),
            ]
        )

        assert ids_of(await store.select(JobFilter(tags={"team": "red"}))) == ["a", "b"]
        assert ids_of(await store.select(JobFilter(tags={"team": "red", "tier": "1"}))) == ["a"]
        assert ids_of(await store.select(JobFilter(tags={"team": "green"}))) == []

    async def test_the_limit_counts_only_jobs_that_are_selected(self, store: JobStore) -> None:
        await store.add(
            [make_job("a"), make_job("b", tags={"team": "red"}), make_job("c"), make_job("d", tags={"team": "red"})]
        )

        assert ids_of(await store.select(JobFilter(tags={"team": "red"}), 2)) == ["b", "d"]
        assert ids_of(await store.select(JobFilter(tags={"team": "red"}), 2, "b")) == ["d"]

    async def test_jobs_are_selected_by_whether_they_are_quarantined(self, store: JobStore) -> None:
        await store.add([make_job("a"), make_job("b", quarantine="it cannot run")])

        assert ids_of(await store.select(JobFilter(is_quarantined=True))) == ["b"]
        assert ids_of(await store.select(JobFilter(is_quarantined=False))) == ["a"]
