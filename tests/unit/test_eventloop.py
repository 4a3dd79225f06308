"""Waiters, task pools and calls from threads, on both event loops."""

from __future__ import annotations

import threading
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from apsched import _eventloop


async def test_a_waiter_gives_what_was_set_before() -> None:
    waiter = _eventloop.current().waiter()
    waiter.set(1)

    assert await waiter.wait() == 1


async def test_a_waiter_gives_what_is_set_later() -> None:
    waiter = _eventloop.current().waiter()
    async with anyio.create_task_group() as tasks:

        async def set_later() -> None:
            await anyio.lowlevel.checkpoint()
            waiter.set(1)

        tasks.start_soon(set_later)

        assert await waiter.wait() == 1


async def test_the_first_value_counts() -> None:
    waiter = _eventloop.current().waiter()
    waiter.set(1)
    waiter.set(2)

    assert await waiter.wait() == 1


async def test_a_wait_that_takes_too_long_gives_the_default() -> None:
    assert await _eventloop.current().waiter().wait_for(0.001, "default") == "default"


async def test_a_wait_without_a_limit_gives_the_value() -> None:
    waiter = _eventloop.current().waiter()
    waiter.set("value")

    assert await waiter.wait_for(None, "default") == "value"
    assert await waiter.wait_for(1000, "default") == "value"


async def test_a_value_that_comes_after_the_wait_was_given_up_does_no_harm() -> None:
    waiter = _eventloop.current().waiter()
    with anyio.move_on_after(0.001):
        await waiter.wait()

    waiter.set(1)


async def test_a_pool_waits_for_its_tasks() -> None:
    ended: list[int] = []

    async def work(number: int) -> None:
        await anyio.sleep(0.001)
        ended.append(number)

    async with _eventloop.current().task_pool() as pool:
        for number in range(3):
            pool.start(work, number)

    assert sorted(ended) == [0, 1, 2]


async def test_a_pool_waits_for_tasks_that_its_tasks_start() -> None:
    ended: list[int] = []
    async with _eventloop.current().task_pool() as pool:

        async def work(left: int) -> None:
            await anyio.lowlevel.checkpoint()
            if left:
                pool.start(work, left - 1)
            ended.append(left)

        pool.start(work, 3)

    assert ended == [3, 2, 1, 0]


async def test_one_task_may_be_cancelled() -> None:
    ended: list[Any] = []

    async def work(name: str, seconds: float) -> None:
        await anyio.sleep(seconds)
        ended.append(name)

    async with _eventloop.current().task_pool() as pool:
        task = pool.start(work, "cancelled", 1000)
        pool.start(work, "kept", 0.001)
        await anyio.lowlevel.checkpoint()
        task.cancel()
        task.cancel()

    assert ended == ["kept"]


async def test_all_tasks_may_be_cancelled() -> None:
    async with _eventloop.current().task_pool() as pool:
        for _ in range(3):
            pool.start(anyio.sleep_forever)
        await anyio.lowlevel.checkpoint()
        pool.cancel()


async def test_an_error_in_the_body_cancels_the_tasks() -> None:
    with anyio.fail_after(5), pytest.raises(BaseException) as caught:  # noqa: PT011, PT012  # trio gives a group
        async with _eventloop.current().task_pool() as pool:
            pool.start(anyio.sleep_forever)
            await anyio.lowlevel.checkpoint()
            raise ZeroDivisionError

    assert "ZeroDivisionError" in repr(caught.value)


async def test_a_cancellation_of_the_body_cancels_the_tasks() -> None:
    with anyio.fail_after(5), anyio.move_on_after(0.01) as scope:
        async with _eventloop.current().task_pool() as pool:
            pool.start(anyio.sleep_forever)

    assert scope.cancelled_caught


async def test_a_callback_from_a_thread_runs_in_the_loop() -> None:
    loop = _eventloop.current()
    waiter = loop.waiter()

    threading.Thread(target=lambda: loop.call_soon_threadsafe(lambda: waiter.set(threading.current_thread()))).start()

    assert await waiter.wait() is threading.current_thread()


async def test_every_callback_runs() -> None:
    loop = _eventloop.current()
    order: list[int] = []

    def call() -> None:
        for number in range(10):
            loop.call_soon_threadsafe(lambda number=number: order.append(number))  # type: ignore[misc]

    await anyio.to_thread.run_sync(call)
    await anyio.wait_all_tasks_blocked()

    assert sorted(order) == list(range(10))


def test_a_loop_that_has_ended_takes_no_callbacks() -> None:
    async def current() -> _eventloop.EventLoop:
        return _eventloop.current()

    for backend in ("asyncio", "trio"):
        loop = anyio.run(current, backend=backend)
        with pytest.raises(RuntimeError):
            loop.call_soon_threadsafe(lambda: None)


def test_without_a_loop_there_is_none() -> None:
    with pytest.raises(RuntimeError):
        _eventloop.current()
