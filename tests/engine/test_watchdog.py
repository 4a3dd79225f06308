"""What blocks the event loop is noticed and named."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest

from apsched.async_scheduler import AsyncScheduler
from apsched.events import EVENT_JOB_EXECUTED, EVENT_LOOP_BLOCKED, SchedulerEvent
from apsched.schedulers.background import BackgroundScheduler

LIMIT = 0.05  # seconds


class Noticed(logging.Handler):
    """Set when a warning has told of a block."""

    def __init__(self) -> None:
        super().__init__()
        self.event = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if "is blocked" in record.getMessage():
            self.event.set()


noticed = Noticed()


@pytest.fixture(autouse=True)
def notice() -> Iterator[None]:
    noticed.event.clear()
    logger = logging.getLogger("apsched.scheduler")
    logger.addHandler(noticed)
    yield
    logger.removeHandler(noticed)


def block(seconds: float = 30) -> None:
    """Block until that is noticed, at most so many seconds."""
    end = time.monotonic() + seconds
    while not noticed.event.is_set() and time.monotonic() < end:
        time.sleep(0.001)


async def block_in_loop(seconds: float = 30) -> None:
    block(seconds)


def watchdogs() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "apsched-watchdog"]


class Told(list[Any]):
    """Events, and a way to wait for one."""

    def __init__(self) -> None:
        super().__init__()
        self.has_come = anyio.Event()

    def take(self, event: SchedulerEvent) -> None:
        self.append(event)
        self.has_come.set()


@pytest.fixture
async def told() -> Told:
    return Told()


@pytest.fixture
async def watched(told: Told) -> AsyncIterator[AsyncScheduler]:
    async with AsyncScheduler(timezone="UTC", blocked_after=LIMIT) as scheduler:
        await scheduler.add_listener(told.take, EVENT_LOOP_BLOCKED)
        yield scheduler


async def test_a_coroutine_that_blocks_the_loop_is_named(
    watched: AsyncScheduler, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    await watched.add_job(block_in_loop, id="rude")
    with anyio.fail_after(30):
        await told.has_come.wait()

    assert "the event loop is blocked for more than 0.05 s by job 'rude' (run rude@" in caplog.text
    assert told[0].detail.startswith("job 'rude' (run rude@")
    assert "test_watchdog.py:" in told[0].detail
    assert " in block blocked the event loop for 0." in told[0].detail
    health = (await watched.health()).event_loop
    assert health.times_blocked == 1
    assert health.longest_block >= LIMIT
    assert (health.last_blocked_by or "").endswith("in block")


async def test_a_listener_that_blocks_the_loop_is_named(watched: AsyncScheduler, told: Told) -> None:
    def listen(event: SchedulerEvent) -> None:
        block()

    await watched.add_job(anyio.sleep_forever)  # keeps the watchdog awake
    await watched.add_listener(listen, EVENT_JOB_EXECUTED)
    await watched.add_job(int, id="polite")
    with anyio.fail_after(30):
        await told.has_come.wait()

    assert "listen" in told[0].detail.partition(", at ")[0]
    assert told[0].detail.startswith("listener ")
    await watched.shutdown(wait=False)


async def test_other_code_that_blocks_the_loop_is_told_of_while_runs_are_under_way(
    watched: AsyncScheduler, told: Told
) -> None:
    entered = anyio.Event()

    async def wait() -> None:
        entered.set()
        await anyio.sleep_forever()

    await watched.add_job(wait)
    await entered.wait()

    block()
    with anyio.fail_after(30):
        await told.has_come.wait()

    assert told[0].detail.startswith("code outside of jobs, at ")
    await watched.shutdown(wait=False)


async def test_jobs_that_wait_and_threads_that_block_are_no_concern(watched: AsyncScheduler, told: Told) -> None:
    await watched.add_job(anyio.sleep, "cron", [4 * LIMIT], hour=0, id="waits")
    await watched.add_job(block, "cron", [4 * LIMIT], hour=0, id="blocks a thread")
    for handle in [await watched.run_job("waits"), await watched.run_job("blocks a thread")]:
        await handle.wait()

    assert not any(event.detail.startswith("job ") for event in told)  # a busy machine may hold up other things


async def test_the_thread_sleeps_while_nothing_runs_and_ends_with_the_scheduler() -> None:
    before = watchdogs()
    async with AsyncScheduler(timezone="UTC", blocked_after=LIMIT) as scheduler:
        assert watchdogs() == before
        await scheduler.add_job(int, "cron", hour=0, id="job")
        await (await scheduler.run_job("job")).wait()
        assert scheduler._watchdog is not None
        with anyio.fail_after(30):
            while scheduler._watchdog.is_awake:  # noqa: ASYNC110  # there is nothing to wait for
                await anyio.sleep(0.001)
        assert len(watchdogs()) == len(before) + 1

    assert watchdogs() == before


async def test_infinity_lets_the_loop_be_blocked(caplog: pytest.LogCaptureFixture) -> None:
    async with AsyncScheduler(timezone="UTC", blocked_after=math.inf) as scheduler:
        await scheduler.add_job(block_in_loop, "cron", [0.1], hour=0, id="rude")
        with caplog.at_level(logging.INFO):
            await (await scheduler.run_job("rude")).wait()
        assert watchdogs() == []
    assert "blocked" not in caplog.text


def test_a_blocking_scheduler_watches_its_own_loop() -> None:
    told = threading.Event()
    scheduler = BackgroundScheduler(
        {"apscheduler.blocked_after": str(LIMIT), "apscheduler.timezone": "UTC"},
    )
    scheduler.add_listener(lambda event: told.set(), EVENT_LOOP_BLOCKED)
    scheduler.start()
    try:
        scheduler.add_job(block_in_loop, id="rude")
        assert told.wait(30)
        assert scheduler.health().event_loop.times_blocked == 1
    finally:
        scheduler.shutdown()


@pytest.mark.parametrize("value", [0, -1, True, float("nan"), "soon"])
def test_what_is_no_limit_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="blocked_after must be a number of seconds above 0, got"):
        AsyncScheduler(blocked_after=value)
