"""Runs that fail and are attempted again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from apsched.async_scheduler import AsyncScheduler
from apsched.engine.current import current_run
from apsched.events import EVENT_JOB_CANCELLED, EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_RETRYING
from apsched.exceptions import Cancel, RetryLater, RunFailedError
from apsched.retry import Retry
from apsched.run import Outcome, Run
from apsched.testing.clock import START, VirtualClock
from apsched.testing.cluster import Cluster

ENDS = EVENT_JOB_ERROR | EVENT_JOB_EXECUTED | EVENT_JOB_RETRYING | EVENT_JOB_CANCELLED


async def last_run(scheduler: AsyncScheduler, job_id: str = "job") -> Run:
    return (await scheduler.get_runs(job_id))[0]


async def test_a_run_that_fails_is_attempted_again_after_growing_delays(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    async def work() -> None:
        notes.append((notes.seconds, current_run().attempt))
        if current_run().attempt < 4:
            raise ValueError(current_run().attempt)

    await scheduler.add_listener(notes.event, ENDS)
    await scheduler.add_job(work, id="job", retry=Retry(5, 10))

    await clock.advance(100)

    times = [note for note in notes if isinstance(note, tuple)]
    assert times == [(0, 1), (10, 2), (30, 3), (70, 4)]
    assert [note for note in notes if isinstance(note, str)] == ["JOB_RETRYING"] * 3 + ["JOB_EXECUTED"]
    run = await last_run(scheduler)
    assert (run.outcome, run.attempt, run.error) == (Outcome.SUCCEEDED, 4, None)
    assert [(attempt.number, attempt.outcome) for attempt in run.attempts] == [
        (1, Outcome.FAILED),
        (2, Outcome.FAILED),
        (3, Outcome.FAILED),
    ]
    assert run.attempts[1].started_at == START + timedelta(seconds=10)
    assert run.attempts[1].error is not None
    assert run.attempts[1].error.endswith("ValueError: 2\n")


async def test_after_the_last_attempt_the_run_has_failed(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    await scheduler.add_listener(notes.event, ENDS)
    await scheduler.add_job(divmod, "cron", hour=12, args=[1, 0], id="job", retry={"max_attempts": 2, "backoff": 1})
    handle = await scheduler.run_job("job")

    await clock.advance(10)

    with pytest.raises(ZeroDivisionError):
        await handle.result()
    run = await last_run(scheduler)
    assert (run.outcome, run.attempt, len(run.attempts)) == (Outcome.FAILED, 2, 1)
    assert run.reason == "it was attempt 2, and max_attempts is 2"
    assert notes == ["JOB_RETRYING", "JOB_ERROR"]


async def test_what_failed_for_another_reason_is_not_attempted_again(
    scheduler: AsyncScheduler, clock: VirtualClock
) -> None:
    await scheduler.add_job(divmod, args=[1, 0], id="job", retry=Retry(on=(OSError, "json:JSONDecodeError")))

    await clock.advance(100)

    run = await last_run(scheduler)
    assert (run.outcome, run.attempts, run.reason) == (Outcome.FAILED, (), None)


async def test_a_run_that_timed_out_is_attempted_again(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    await scheduler.add_job(clock.sleep, args=[100], id="job", timeout=5, retry=Retry(2, 1, on=TimeoutError))

    await clock.advance(20)

    run = await last_run(scheduler)
    assert (run.outcome, [attempt.outcome for attempt in run.attempts]) == (Outcome.TIMED_OUT, [Outcome.TIMED_OUT])
    assert run.started_at == START + timedelta(seconds=6)


async def test_a_job_may_ask_for_another_attempt_without_a_policy(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    async def work() -> str:
        notes.time()
        if current_run().attempt < 3:
            raise RetryLater(60, "the file is not there yet")
        return "done"

    await scheduler.add_job(work, id="job")

    await clock.advance(300)

    run = await last_run(scheduler)
    assert notes == [0, 60, 120]
    assert (run.outcome, run.retval, len(run.attempts)) == (Outcome.SUCCEEDED, "done", 2)


async def test_a_policy_bounds_what_a_job_may_ask_for(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    async def work() -> None:
        raise RetryLater(1)

    await scheduler.add_job(work, id="job", retry=Retry(3))

    await clock.advance(10)

    run = await last_run(scheduler)
    assert (run.outcome, run.attempt) == (Outcome.FAILED, 3)


async def test_a_job_may_say_that_there_is_nothing_to_do(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    async def work() -> None:
        raise Cancel("it is a holiday")

    await scheduler.add_listener(notes.event, ENDS)
    await scheduler.add_job(work, "cron", hour=12, id="job", retry=Retry(3))
    handle = await scheduler.run_job("job")

    await clock.advance(100)

    run = await last_run(scheduler)
    assert (run.outcome, run.reason, run.error) == (Outcome.CANCELLED, "it is a holiday", None)
    assert notes == ["JOB_CANCELLED"]
    with pytest.raises(Cancel, match="holiday"):
        await handle.result()


async def test_functions_in_threads_are_attempted_again(
    scheduler: AsyncScheduler, clock: VirtualClock, at: Callable[[float], datetime]
) -> None:
    tries = threading.Semaphore(2)

    def work() -> int:
        if tries.acquire(blocking=False):
            raise RetryLater(5)
        return 7

    await scheduler.add_job(work, id="job")

    await clock.advance(20)

    run = await last_run(scheduler)
    assert (run.retval, run.attempt, run.due_time, run.started_at) == (7, 3, at(10), at(10))


async def test_what_waits_does_not_hold_up_later_nominal_times(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    async def work() -> None:
        notes.append((notes.seconds, current_run().attempt))
        if notes.seconds < 15:
            raise ValueError

    await scheduler.add_job(work, "interval", seconds=10, id="job", retry=Retry(2, 12))

    await clock.advance(25)

    assert notes == [(10, 1), (20, 1), (22, 2)]


async def test_an_attempt_waits_for_a_run_that_is_under_way(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    async def work() -> None:
        notes.append((notes.seconds, current_run().attempt))
        if notes.seconds < 15:
            raise ValueError
        await clock.sleep(5)

    await scheduler.add_job(work, "interval", seconds=10, id="job", retry=Retry(2, 12))

    await clock.advance(29)

    assert notes == [(10, 1), (20, 1), (25, 2)]


async def test_it_is_given_up_when_the_next_nominal_time_has_come(
    scheduler: AsyncScheduler, clock: VirtualClock
) -> None:
    retry = Retry(None, 4, factor=1, on=ZeroDivisionError, give_up_at="next_run")
    await scheduler.add_job(divmod, "interval", seconds=10, args=[1, 0], id="job", retry=retry)

    await clock.advance(19)

    run = await last_run(scheduler)
    assert (run.outcome, run.attempt) == (Outcome.FAILED, 3)
    assert run.reason is not None
    assert run.reason.startswith("the next attempt would come after the next nominal time, ")


async def test_it_is_given_up_when_it_is_too_late(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    retry = Retry(None, 4, factor=1, give_up_at=11)
    await scheduler.add_job(divmod, args=[1, 0], id="job", retry=retry)

    await clock.advance(60)

    run = await last_run(scheduler)
    assert (run.outcome, run.attempt) == (Outcome.FAILED, 3)
    assert run.reason == "the next attempt would come more than 11 s after the nominal time"


async def test_what_waits_can_be_cancelled(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    async def work() -> None:
        notes.time()
        raise ValueError

    await scheduler.add_job(work, "cron", hour=12, id="job", retry=Retry(3))
    handle = await scheduler.run_job("job")
    await clock.advance(5)

    await scheduler.cancel_run(handle.run_id)
    await clock.advance(60)

    assert notes == [0]
    run = await last_run(scheduler)
    assert (run.outcome, len(run.attempts)) == (Outcome.CANCELLED, 1)
    with pytest.raises(RunFailedError, match="was cancelled"):
        await handle.result()


async def test_a_job_that_has_no_time_left_is_removed_once_and_attempted_again(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    async def work() -> None:
        if current_run().attempt == 1:
            raise ValueError

    await scheduler.add_listener(notes.event)
    await scheduler.add_job(work, id="job", retry=Retry(3))

    await clock.advance(60)

    assert notes == ["JOB_ADDED", "JOB_SUBMITTED", "JOB_RETRYING", "JOB_REMOVED", "JOB_SUBMITTED", "JOB_EXECUTED"]


async def test_another_node_makes_the_next_attempt_when_the_first_one_has_died(clock: VirtualClock) -> None:
    made: list[int] = []

    async def work() -> None:
        made.append(current_run().attempt)
        if len(made) == 1:
            raise ValueError

    cluster = Cluster(clock)
    async with cluster.node() as one:
        await one.scheduler.add_job(work, id="job", retry=Retry(3, 60))
        await clock.advance(30)
        async with cluster.node() as two:
            await one.kill()
            await clock.advance(60)

            assert made == [1, 2]
            run = await last_run(two.scheduler)
            assert run.outcome is Outcome.SUCCEEDED
            assert run.node != run.attempts[0].node


async def test_a_death_counts_as_an_attempt(clock: VirtualClock) -> None:
    cluster = Cluster(clock)
    async with cluster.node() as one, cluster.node() as two:
        await two.scheduler.pause()
        await one.scheduler.add_job(clock.sleep, args=[40], id="job")
        await clock.advance(2)
        await two.scheduler.resume()
        await one.kill()
        await clock.advance(100)

        run = await last_run(two.scheduler)
        assert (run.outcome, run.attempt, run.deaths) == (Outcome.SUCCEEDED, 2, 1)
        (first,) = run.attempts
        assert (first.number, first.outcome) == (1, Outcome.ABANDONED)
        assert first.error is not None
        assert "died while it was under way" in first.error
