"""Callables that do what they should not: their run fails, and the scheduler goes on."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from typing import Any

import anyio
import pytest
import sniffio

from apsched.async_scheduler import AsyncScheduler
from apsched.engine.ended import LONGEST_ERROR
from apsched.exceptions import WorkerDiedError
from apsched.executors.pool import ProcessPoolExecutor
from apsched.run import Outcome, Run


class Unspeakable(BaseException):
    """Cannot be shown."""

    def __str__(self) -> str:
        raise SystemExit("not even that")

    __repr__ = __str__


def end_with_code() -> None:
    os._exit(3)


def be_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def raise_exit() -> None:
    sys.exit("enough")


def interrupt() -> None:
    raise KeyboardInterrupt


async def raise_group() -> None:
    raise BaseExceptionGroup("several", [SystemExit(1), KeyboardInterrupt(), GeneratorExit()])


async def raise_unspeakable() -> None:
    raise Unspeakable


def raise_at_length() -> None:
    raise ValueError("x" * 10_000_000)


async def end_of(scheduler: AsyncScheduler, func: Any, **options: Any) -> Run:
    """Return how a run of *func* ended, after which another job still succeeds."""
    await scheduler.add_job(func, "cron", hour=0, id="bad", replace_existing=True, **options)
    run = await (await scheduler.run_job("bad")).wait()
    await scheduler.add_job(int, "cron", hour=0, id="good", replace_existing=True, **options)
    assert await (await scheduler.run_job("good")).result() == 0
    return run


async def test_a_worker_process_may_end_in_any_way() -> None:
    executors = {"processes": ProcessPoolExecutor(1)}
    async with AsyncScheduler(timezone="UTC", executors=executors) as scheduler:
        for func, text in [
            (end_with_code, "ended with exit code 3"),
            (be_killed, "was ended by SIGKILL (9); perhaps out of memory"),
            (raise_exit, "SystemExit: enough"),
            (interrupt, "KeyboardInterrupt"),
        ]:
            run = await end_of(scheduler, func, executor="processes")
            assert run.outcome is Outcome.FAILED
            assert text in (run.error or "")


async def test_the_exception_of_a_worker_that_died_has_its_exit_code() -> None:
    executors = {"processes": ProcessPoolExecutor(1)}
    async with AsyncScheduler(timezone="UTC", executors=executors) as scheduler:
        await scheduler.add_job(end_with_code, "cron", hour=0, id="bad", executor="processes")
        with pytest.raises(WorkerDiedError) as caught:
            await (await scheduler.run_job("bad")).result()

    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("func", "text"),
    [
        (raise_exit, "SystemExit: enough"),
        (interrupt, "KeyboardInterrupt"),
        (raise_group, "BaseExceptionGroup: several (3 sub-exceptions)"),
    ],
)
async def test_what_is_raised_is_the_end_of_its_run_alone(func: Any, text: str) -> None:
    async with AsyncScheduler(timezone="UTC") as scheduler:
        run = await end_of(scheduler, func)

    assert run.outcome is Outcome.FAILED
    assert text in (run.error or "")


async def test_an_exception_that_cannot_be_shown_is_named() -> None:
    async with AsyncScheduler(timezone="UTC") as scheduler:
        run = await end_of(scheduler, raise_unspeakable)

    assert run.outcome is Outcome.FAILED
    assert "Unspeakable" in (run.error or "")


async def test_of_a_long_traceback_the_middle_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    async with AsyncScheduler(timezone="UTC") as scheduler:
        run = await end_of(scheduler, raise_at_length)

    assert run.error is not None
    assert len(run.error) < LONGEST_ERROR + 100
    assert "characters left out" in run.error
    assert run.error.startswith("Traceback (most recent call last):")


async def test_tasks_and_threads_that_a_job_leaves_behind_are_its_own_affair() -> None:
    go = threading.Event()
    left: list[Any] = []

    async def leave_things_behind() -> None:
        thread = threading.Thread(target=go.wait, daemon=True)
        thread.start()
        left.append(thread)
        if sniffio.current_async_library() == "asyncio":
            left.append(asyncio.create_task(asyncio.Event().wait()))

    async with AsyncScheduler(timezone="UTC") as scheduler:
        run = await end_of(scheduler, leave_things_behind)

    assert run.outcome is Outcome.SUCCEEDED
    go.set()
    left[0].join()
    for task in left[1:]:
        task.cancel()
    await anyio.wait_all_tasks_blocked()
