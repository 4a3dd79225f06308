"""Who is told, and what listeners may do."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import anyio
import pytest

from apsched.async_scheduler import AsyncScheduler
from apsched.events import EVENT_JOB_ADDED, EVENT_JOB_EXECUTED, EVENT_JOB_REMOVED, JobExecutionEvent, SchedulerEvent
from apsched.testing.clock import VirtualClock


class Alarm(BaseException):
    """Not to be caught by `except Exception`."""


async def test_a_mask_picks_events(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    await scheduler.add_listener(notes.event, EVENT_JOB_ADDED | EVENT_JOB_REMOVED)

    await scheduler.add_job(int)
    await clock.advance()

    assert notes == ["JOB_ADDED", "JOB_REMOVED"]


async def test_a_listener_that_was_removed_is_told_nothing_more(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    await scheduler.add_listener(notes.event, EVENT_JOB_ADDED)
    await scheduler.add_job(int)
    await clock.advance()

    await scheduler.remove_listener(notes.event)
    await scheduler.add_job(int)
    await clock.advance()

    assert notes == ["JOB_ADDED"]


async def test_removing_an_unknown_listener_does_nothing(scheduler: AsyncScheduler) -> None:
    await scheduler.remove_listener(print)


@pytest.mark.parametrize("callback", [None, 5])
async def test_a_listener_must_be_callable(scheduler: AsyncScheduler, callback: Any) -> None:
    with pytest.raises(TypeError, match="callback must be a function of one event"):
        await scheduler.add_listener(callback)


async def test_a_mask_must_be_a_number(scheduler: AsyncScheduler) -> None:
    with pytest.raises(TypeError, match="mask must be a sum of EVENT_ constants"):
        await scheduler.add_listener(print, "EVENT_ALL")  # type: ignore[arg-type]  # that is the point


async def test_coroutine_functions_are_awaited_in_order_with_plain_ones(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    async def slow(event: SchedulerEvent) -> None:
        await anyio.sleep(0.001)
        notes.append("slow")

    async def quick(event: SchedulerEvent) -> None:
        notes.append("quick")

    await scheduler.add_listener(slow, EVENT_JOB_ADDED)
    await scheduler.add_listener(lambda event: notes.append("plain"), EVENT_JOB_ADDED)
    await scheduler.add_listener(quick, EVENT_JOB_ADDED)

    await scheduler.add_jobs([{"func": int, "trigger": "interval", "hours": 1}] * 2)
    await clock.advance()

    assert notes == ["slow", "plain", "quick"] * 2


@pytest.mark.parametrize("error", [LookupError("no"), SystemExit(3), Alarm(), asyncio.CancelledError()], ids=repr)
async def test_a_coroutine_listener_that_raises_stops_neither_the_others_nor_itself(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any, error: BaseException
) -> None:
    async def fail(event: SchedulerEvent) -> None:
        notes.append("fails")
        raise error

    await scheduler.add_listener(fail, EVENT_JOB_ADDED)
    await scheduler.add_listener(notes.event, EVENT_JOB_ADDED)

    for _ in range(2):
        await scheduler.add_job(int)
        await clock.advance()

    assert notes == ["fails", "JOB_ADDED"] * 2
    assert scheduler.running


@pytest.mark.parametrize("error", [LookupError("no"), SystemExit(3)], ids=repr)
async def test_a_plain_listener_that_raises_stops_neither_the_others_nor_itself(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(event: SchedulerEvent) -> None:
        notes.append("fails")
        raise error

    await scheduler.add_listener(fail, EVENT_JOB_ADDED)
    await scheduler.add_listener(notes.event, EVENT_JOB_ADDED)

    for _ in range(2):
        await scheduler.add_job(int)
        await clock.advance()

    assert notes == ["fails", "JOB_ADDED"] * 2
    assert "raised on" in caplog.text


async def test_a_listener_may_call_verbs(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    async def chain(event: JobExecutionEvent) -> None:
        if event.job_id == "first":
            await scheduler.add_job(notes.time, id="second")

    await scheduler.add_listener(chain, EVENT_JOB_EXECUTED)
    await scheduler.add_job(int, "date", id="first")

    await clock.advance()

    assert notes == [0]


async def test_a_listener_may_run_a_job_and_wait_for_its_result(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    async def ask(event: JobExecutionEvent) -> None:
        if event.job_id == "first":
            notes.append(await (await scheduler.run_job("second")).result())

    await scheduler.add_listener(ask, EVENT_JOB_EXECUTED)
    await scheduler.add_job(int, "interval", ["7"], hours=1, id="second")
    await scheduler.add_job(int, id="first")

    await clock.advance()

    assert notes == [7]


async def test_a_listener_may_remove_itself(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    async def once(event: SchedulerEvent) -> None:
        notes.append(event.name)
        await scheduler.remove_listener(once)

    await scheduler.add_listener(once, EVENT_JOB_ADDED)

    await scheduler.add_jobs([{"func": int, "trigger": "interval", "hours": 1}] * 3)
    await clock.advance()

    assert notes == ["EVENT_JOB_ADDED"]


async def test_a_listener_hears_only_of_what_happens_while_it_listens(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    await scheduler.add_listener(lambda event: notes.append(("first", event.job_id)), EVENT_JOB_ADDED)
    await scheduler.add_job(int, "interval", hours=1, id="a")

    await scheduler.add_listener(lambda event: notes.append(("second", event.job_id)), EVENT_JOB_ADDED)
    await scheduler.add_job(int, "interval", hours=1, id="b")
    await clock.advance()

    assert notes == [("first", "a"), ("first", "b"), ("second", "b")]


async def test_a_listener_may_add_listeners(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    async def recruit(event: JobExecutionEvent) -> None:
        await scheduler.remove_listener(recruit)
        await scheduler.add_listener(lambda event: notes.append(event.job_id), EVENT_JOB_ADDED)
        await scheduler.add_job(int, "interval", hours=1, id="second")

    await scheduler.add_listener(recruit, EVENT_JOB_ADDED)
    await scheduler.add_job(int, "interval", hours=1, id="first")

    await clock.advance()

    assert notes == ["second"]


async def test_a_listener_that_was_added_twice_is_called_twice_and_removed_at_once(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    for _ in range(2):
        await scheduler.add_listener(notes.event, EVENT_JOB_ADDED)
    await scheduler.add_job(int, "interval", hours=1)
    await clock.advance()

    await scheduler.remove_listener(notes.event)
    await scheduler.add_job(int, "interval", hours=1)
    await clock.advance()

    assert notes == ["JOB_ADDED"] * 2


async def test_a_slow_listener_does_not_delay_runs(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    async def slow(event: SchedulerEvent) -> None:
        await clock.sleep(1000)

    await scheduler.add_listener(slow, EVENT_JOB_EXECUTED)
    await scheduler.add_job(notes.time, "interval", seconds=10)

    await clock.advance(50)

    assert notes == [10, 20, 30, 40, 50]
    await scheduler.remove_listener(slow)
    await clock.advance(1000)  # lets the listener end, which is waited for


async def test_plain_listeners_run_in_the_event_loop_or_in_one_thread(clock: VirtualClock, notes: Any) -> None:
    for in_thread in (False, True):
        async with AsyncScheduler(clock=clock, listeners_in_thread=in_thread) as scheduler:
            await scheduler.add_listener(
                lambda event: notes.append(threading.current_thread() is threading.main_thread()), EVENT_JOB_ADDED
            )
            await scheduler.add_job(int)
            await clock.advance()

    assert notes == [True, False]
