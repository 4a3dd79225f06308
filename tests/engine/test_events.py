"""What is told, in which order, and with which attributes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from apsched import events
from apsched.async_scheduler import AsyncScheduler
from apsched.events import (
    EVENT_ALL,
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_SUBMITTED,
    JobEvent,
    JobExecutionEvent,
    JobSubmissionEvent,
    SchedulerEvent,
)
from apsched.testing.clock import START, VirtualClock


def test_event_all_is_the_sum_of_all_codes() -> None:
    assert sum(events.NAMES) == EVENT_ALL


def test_an_event_knows_the_name_of_its_code() -> None:
    assert SchedulerEvent(EVENT_JOB_EXECUTED).name == "EVENT_JOB_EXECUTED"
    assert SchedulerEvent(2**30).name == str(2**30)


async def test_start_and_end_are_told(clock: VirtualClock, notes: Any) -> None:
    scheduler = AsyncScheduler(clock=clock)
    await scheduler.add_listener(notes.event)

    async with scheduler:
        await clock.advance()

    assert notes == ["SCHEDULER_STARTED", "SCHEDULER_SHUTDOWN"]


async def test_every_event_of_apscheduler_3_comes_in_its_class(clock: VirtualClock, notes: Any) -> None:
    scheduler = AsyncScheduler(clock=clock)
    await scheduler.add_listener(lambda event: notes.append((event.code, type(event))))

    async with scheduler:
        await scheduler.pause()
        await scheduler.resume()
        await scheduler.add_executor("threadpool", "extra")
        await scheduler.remove_executor("extra")
        await scheduler.add_jobstore("memory", "extra")
        await scheduler.remove_jobstore("extra")
        await scheduler.add_job(int)
        await scheduler.add_job(int, args=["x"])
        await scheduler.add_job(int, run_date=START - timedelta(minutes=1), misfire_grace_time=1)
        job = await scheduler.add_job(clock.sleep, "interval", [15], seconds=10)
        await scheduler.modify_job(job.id, name="slow")
        await clock.advance(25)
        await scheduler.remove_all_jobs()
        await clock.advance(25)

    run, about_job = JobExecutionEvent, JobEvent
    submission, about_scheduler = JobSubmissionEvent, SchedulerEvent
    classes = [*[about_scheduler] * 9, *[about_job] * 3, *[run] * 3, *[submission] * 2]  # those of 2**0, 2**1, ...
    assert set(notes) == {(2**place, cls) for place, cls in enumerate(classes)}


async def test_jobs_that_were_staged_are_told_as_added_before_the_start(clock: VirtualClock, notes: Any) -> None:
    scheduler = AsyncScheduler(clock=clock)
    await scheduler.add_listener(notes.event)
    await scheduler.add_job(int)

    async with scheduler:
        await clock.advance()

    assert notes == [
        "JOB_ADDED",
        "SCHEDULER_STARTED",
        "JOB_SUBMITTED",
        "JOB_EXECUTED",
        "JOB_REMOVED",
        "SCHEDULER_SHUTDOWN",
    ]


async def test_pausing_and_resuming_is_told_once_each(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    await scheduler.add_listener(notes.event)

    for verb in (scheduler.pause, scheduler.pause, scheduler.resume, scheduler.resume):
        await verb()
    await clock.advance()

    assert notes == ["SCHEDULER_PAUSED", "SCHEDULER_RESUMED"]


async def test_parts_that_come_and_go_are_told_with_their_alias(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    await scheduler.add_listener(notes.keep)

    await scheduler.add_executor("threadpool", "threads")
    await scheduler.remove_executor("threads")
    await scheduler.add_jobstore("memory", "store")
    await scheduler.remove_jobstore("store")
    await clock.advance()

    assert [(event.name, event.alias) for event in notes] == [
        ("EVENT_EXECUTOR_ADDED", "threads"),
        ("EVENT_EXECUTOR_REMOVED", "threads"),
        ("EVENT_JOBSTORE_ADDED", "store"),
        ("EVENT_JOBSTORE_REMOVED", "store"),
    ]
    assert all(type(event) is SchedulerEvent for event in notes)


async def test_what_verbs_do_to_jobs_is_told(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    await scheduler.add_listener(notes.keep)

    await scheduler.add_job(int, "interval", hours=1, id="job")
    await scheduler.modify_job("job", name="other")
    await scheduler.pause_job("job")
    await scheduler.resume_job("job")
    await scheduler.reschedule_job("job", trigger="interval", hours=2)
    await scheduler.remove_job("job")
    await clock.advance()

    assert [event.name for event in notes] == [
        "EVENT_JOB_ADDED",
        *["EVENT_JOB_MODIFIED"] * 4,
        "EVENT_JOB_REMOVED",
    ]
    assert all(type(event) is JobEvent and (event.job_id, event.jobstore) == ("job", "default") for event in notes)


async def test_the_removal_of_all_jobs_is_one_event(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    await scheduler.add_jobs([{"func": int, "trigger": "interval", "hours": 1}] * 3)
    await scheduler.add_listener(notes.keep)

    await scheduler.remove_all_jobs("default")
    await scheduler.remove_all_jobs()
    await clock.advance()

    assert [(event.name, event.alias) for event in notes] == [
        ("EVENT_ALL_JOBS_REMOVED", "default"),
        ("EVENT_ALL_JOBS_REMOVED", None),
    ]


async def test_a_run_is_submitted_then_executed_then_its_finished_job_removed(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    await scheduler.add_listener(notes.event)

    await scheduler.add_job(int, "interval", seconds=10, end_date=START + timedelta(seconds=20))
    await clock.advance(30)

    run = ["JOB_SUBMITTED", "JOB_EXECUTED"]
    assert notes == ["JOB_ADDED", *run, *run, "JOB_REMOVED"]


async def test_the_event_of_a_success_has_what_apscheduler_3_gave(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    await scheduler.add_listener(notes.keep, EVENT_JOB_SUBMITTED | EVENT_JOB_EXECUTED)
    await scheduler.add_job(int, "interval", ["7"], seconds=10, id="job")

    await clock.advance(10)

    submitted, executed = notes
    nominal = START + timedelta(seconds=10)
    assert type(submitted) is JobSubmissionEvent
    assert (submitted.job_id, submitted.jobstore, submitted.scheduled_run_times) == ("job", "default", [nominal])
    assert type(executed) is JobExecutionEvent
    assert (executed.job_id, executed.jobstore, executed.scheduled_run_time) == ("job", "default", nominal)
    assert (executed.retval, executed.exception, executed.traceback) == (7, None, None)
    assert [executed.run] == await scheduler.get_runs("job")


async def test_the_event_of_a_failure_has_the_exception_and_its_traceback(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    await scheduler.add_listener(notes.keep, EVENT_JOB_ERROR)
    await scheduler.add_job(int, args=["x"])

    await clock.advance()

    (event,) = notes
    assert isinstance(event.exception, ValueError)
    assert "ValueError: invalid literal" in event.traceback
    assert event.retval is None


async def test_every_run_ends_in_one_event_whatever_becomes_of_it(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    def note(event: Any) -> None:
        if isinstance(event, JobExecutionEvent):
            notes.append(event.run.id)
        elif event.name == "EVENT_JOB_MAX_INSTANCES":
            notes.extend(run.id for run in event.runs)

    await scheduler.add_listener(note)
    await scheduler.add_job(clock.sleep, "interval", [25], seconds=10, id="skips", coalesce=False)
    await scheduler.add_job(clock.sleep, "interval", [25], seconds=10, id="cancels", overlap="cancel_running")
    await scheduler.add_job(clock.sleep, "interval", [25], seconds=10, id="queues", overlap="queue_one")
    await scheduler.add_job(int, "interval", ["x"], seconds=10, id="fails")
    await scheduler.add_job(int, "interval", seconds=10, id="misses", coalesce=False, misfire_grace_time=15)
    await clock.advance(50)
    await scheduler.pause()
    await clock.advance(100)
    await scheduler.resume()
    await clock.advance(200)

    ended = [run.id for run in await scheduler.get_runs(limit=10_000) if run.outcome.is_final]
    assert sorted(notes) == sorted(ended)


async def test_an_event_comes_after_its_run_is_stored(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    async def look(event: JobExecutionEvent) -> None:
        notes.extend(run.outcome.value for run in await scheduler.get_runs(event.job_id))

    await scheduler.add_listener(look, EVENT_JOB_EXECUTED)
    await scheduler.add_job(int)

    await clock.advance()

    assert notes == ["succeeded"]
