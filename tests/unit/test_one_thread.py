"""One thread that carries out calls."""

from __future__ import annotations

import threading

import anyio
import pytest

from apsched import _one_thread
from apsched._one_thread import OneThread


def fail() -> None:
    raise LookupError("no such thing")


async def test_calls_are_made_one_after_the_other_in_one_thread() -> None:
    thread = OneThread("apsched-test")
    threads: list[str] = []
    order: list[int] = []

    def call(number: int) -> int:
        threads.append(threading.current_thread().name)
        order.append(number)
        return number

    assert [await thread.call(call, number) for number in range(3)] == [0, 1, 2]
    await thread.close()

    assert order == [0, 1, 2]
    assert set(threads) == {"apsched-test"}
    assert "apsched-test" not in {thread.name for thread in threading.enumerate()}


async def test_what_the_function_raises_is_raised_and_the_thread_goes_on() -> None:
    thread = OneThread("apsched-test")

    with pytest.raises(LookupError, match="no such thing"):
        await thread.call(fail)

    assert await thread.call(int) == 0
    await thread.close()


async def test_cancelling_lets_go_at_once_and_the_call_goes_on() -> None:
    thread = OneThread("apsched-test")
    entered, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def call() -> None:
        entered.set()
        go_on.wait(20)
        ended.set()

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(thread.call, call)
            await anyio.to_thread.run_sync(entered.wait, 20)
            scope.cancel()

    assert scope.cancelled_caught
    assert not ended.is_set()
    go_on.set()
    await thread.close()
    assert ended.is_set()


async def test_a_call_that_does_not_end_is_left(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_one_thread, "CLOSE_PATIENCE", 0.05)
    thread = OneThread("apsched-test")
    entered, go_on = threading.Event(), threading.Event()

    def call() -> None:
        entered.set()
        go_on.wait(20)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(thread.call, call)
        await anyio.to_thread.run_sync(entered.wait, 20)

        await thread.close()

        assert "left thread apsched-test" in caplog.text
        go_on.set()


async def test_a_thread_can_be_told_to_end_while_a_call_goes_on_and_be_closed_later() -> None:
    thread = OneThread("apsched-test")
    entered, go_on = threading.Event(), threading.Event()

    def call() -> None:
        entered.set()
        go_on.wait(20)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(thread.call, call)
        await anyio.to_thread.run_sync(entered.wait, 20)

        thread.end()
        assert thread.is_alive
        go_on.set()

    await thread.close()
    assert not thread.is_alive
