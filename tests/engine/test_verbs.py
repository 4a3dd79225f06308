"""What the verbs do to the runs to come."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from apsched.async_scheduler import AsyncScheduler
from apsched.exceptions import ConflictingIdError, JobLookupError
from apsched.job import Job
from apsched.jobstores.base import Change
from apsched.jobstores.memory import MemoryJobStore
from apsched.testing.clock import VirtualClock


async def test_add_jobs_adds_all_or_none(scheduler: AsyncScheduler, notes: Any) -> None:
    good = {"func": notes.time, "trigger": "interval", "hours": 1}
    await scheduler.add_job(int, "interval", hours=1, id="taken")

    for bad in ({**good, "id": "taken"}, {**good, "id": "new"}, {**good, "args": [1, 2, 3]}):
        with pytest.raises((ConflictingIdError, ValueError, TypeError)):
            await scheduler.add_jobs([{**good, "id": "new"}, bad])

    assert [job.id for job in await scheduler.get_jobs()] == ["taken"]


async def test_a_paused_job_does_not_run(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    job = await scheduler.add_job(notes.time, "interval", seconds=10)

    await scheduler.pause_job(job.id)
    await clock.advance(60)

    assert notes == []
    assert await scheduler.get_runs(job.id) == []


async def test_a_job_without_a_next_run_time_is_added_paused(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    job = await scheduler.add_job(notes.time, "interval", seconds=10, next_run_time=None)
    await clock.advance(15)
    await scheduler.resume_job(job.id)
    await clock.advance(10)

    assert notes == [20]


async def test_resuming_a_job_with_no_time_left_removes_it(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    job = await scheduler.add_job(int, "interval", seconds=5, end_date="2026-01-01 00:00:10")
    await scheduler.pause_job(job.id)
    await clock.advance(20)

    assert await scheduler.resume_job(job.id) is None
    assert await scheduler.get_jobs() == []


async def test_modified_arguments_count_from_the_next_run_on(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    job = await scheduler.add_job(notes.keep, "interval", ["old"], seconds=10)
    await clock.advance(10)

    await scheduler.modify_job(job.id, args=["new"])
    await clock.advance(10)

    assert notes == ["old", "new"]


async def test_a_modified_next_run_time_counts_at_once(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any, at: Callable[[float], datetime]
) -> None:
    job = await scheduler.add_job(notes.time, "interval", hours=1)

    await scheduler.modify_job(job.id, next_run_time=at(5))
    await clock.advance(10)

    assert notes == [5]


async def test_a_rescheduled_job_runs_at_its_new_times_even_if_it_was_paused(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    job = await scheduler.add_job(notes.time, "interval", hours=1)
    await scheduler.pause_job(job.id)

    await scheduler.reschedule_job(job.id, trigger="interval", seconds=20)
    await clock.advance(50)

    assert notes == [20, 40]


class SlowStore(MemoryJobStore):
    """Lets time pass before it changes a job, as a database does where somebody has locked it."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self.clock = clock

    async def update(self, job_id: str, change: Change) -> Job:
        await self.clock.advance(9)
        return await super().update(job_id, change)


@pytest.mark.parametrize("verb", ["reschedule_job", "resume_job"])
async def test_a_job_does_not_go_back_behind_what_was_recorded_while_its_store_was_slow(
    clock: VirtualClock, verb: str
) -> None:
    async with AsyncScheduler(jobstores={"default": SlowStore(clock)}, clock=clock, timezone="UTC") as scheduler:
        await scheduler.add_job(int, "interval", seconds=2, id="job")
        trigger = {"trigger": "interval", "seconds": 3} if verb == "reschedule_job" else {}

        job = await getattr(scheduler, verb)("job", **trigger)

        (last, *_) = await scheduler.get_runs("job")
        assert job.next_nominal_time > last.nominal_time


async def test_a_trigger_with_no_time_left_leaves_the_job_as_it_was(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    job = await scheduler.add_job(notes.time, "interval", seconds=10)
    await clock.advance(15)

    with pytest.raises(ValueError, match="must have a time to come"):
        await scheduler.reschedule_job(job.id, trigger="interval", seconds=5, end_date="2026-01-01 00:00:01")
    await clock.advance(10)

    assert notes == [10, 20]


async def test_replacing_a_job_keeps_its_schedule_and_its_pause(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    for name in ("first", "second"):
        await scheduler.add_job(notes.keep, "interval", [name], seconds=10, id="job", replace_existing=True)
        await clock.advance(6)
    assert notes == ["second"]

    await scheduler.pause_job("job")
    await scheduler.add_job(notes.keep, "interval", ["third"], seconds=10, id="job", replace_existing=True)
    await clock.advance(60)
    assert notes == ["second"]


async def test_resetting_a_job_begins_anew(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    await scheduler.add_job(notes.time, "interval", seconds=10, id="job")
    await clock.advance(6)
    await scheduler.add_job(notes.time, "interval", seconds=10, id="job", on_conflict="reset")

    await clock.advance(10)

    assert notes == [16]


async def test_a_taken_id_is_refused(scheduler: AsyncScheduler) -> None:
    await scheduler.add_job(int, "interval", hours=1, id="job")

    with pytest.raises(ConflictingIdError):
        await scheduler.add_job(int, "interval", hours=1, id="job")


@pytest.mark.parametrize("verb", ["modify_job", "pause_job", "resume_job", "remove_job", "reschedule_job", "run_job"])
async def test_verbs_refuse_an_unknown_job(scheduler: AsyncScheduler, verb: str) -> None:
    with pytest.raises(JobLookupError, match="nobody"):
        await getattr(scheduler, verb)("nobody")


async def test_a_job_whose_time_is_over_is_not_added(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    await clock.advance(100)

    job = await scheduler.add_job(int, "interval", seconds=5, end_date="2026-01-01 00:00:01")

    assert job.next_run_time is None
    assert await scheduler.get_jobs() == []


async def test_jobs_are_listed_by_next_run_time_with_paused_ones_last(scheduler: AsyncScheduler) -> None:
    for seconds in (30, 10, 20):
        await scheduler.add_job(int, "interval", seconds=seconds, id=str(seconds), tags={"team": "x"})
    await scheduler.pause_job("10")

    assert [job.id for job in await scheduler.get_jobs()] == ["20", "30", "10"]
    assert [job.id for job in await scheduler.get_jobs(tags={"team": "x"}, limit=2)] == ["20", "30"]
    assert await scheduler.get_jobs(tags={"team": "y"}) == []
    assert await scheduler.get_jobs(pending=True) == []


async def test_print_jobs_prints_them(scheduler: AsyncScheduler) -> None:
    await scheduler.add_jobstore("memory", "empty")
    await scheduler.add_job(int, "interval", hours=1)
    out = io.StringIO()

    await scheduler.print_jobs(out=out)

    assert out.getvalue().splitlines() == [
        "Jobstore default:",
        "    int (trigger: interval[1:00:00], next run at: 2026-01-01 01:00:00 UTC)",
        "Jobstore empty:",
        "    No scheduled jobs",
    ]


async def test_print_jobs_prints_what_waits_for_the_start(clock: VirtualClock) -> None:
    scheduler = AsyncScheduler(clock=clock)
    await scheduler.add_jobstore("memory", "empty")
    await scheduler.add_job(int, "interval", hours=1)
    all_of_them, none = io.StringIO(), io.StringIO()

    await scheduler.print_jobs(out=all_of_them)
    await scheduler.print_jobs("empty", none)

    assert all_of_them.getvalue() == "Pending jobs:\n    int (trigger: interval[1:00:00], pending)\n"
    assert none.getvalue() == "Pending jobs:\n    No pending jobs\n"


async def test_health_tells_how_much_is_going_on(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    await scheduler.add_jobs([{"func": clock.sleep, "args": [100]} for _ in range(3)])
    await clock.advance(1)
    await scheduler.pause()

    health = await scheduler.health()

    assert (health.node, health.is_paused, health.runs_under_way) == (scheduler.node, True, 3)
    assert health.executors["asyncio"].in_use == 3
    assert health.executors["default"].in_use == 0
