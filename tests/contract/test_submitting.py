"""What holds for executors that take calls without a task, beyond their contract."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio
import pytest

from apsched.executors.base import Call, Executor
from apsched.executors.debug import DebugExecutor
from apsched.executors.pool import ProcessPoolExecutor, ThreadPoolExecutor

MAKERS: dict[str, Callable[[], Executor]] = {
    "threads": partial(ThreadPoolExecutor, 1),
    "processes": partial(ProcessPoolExecutor, 1),
}

number: ContextVar[int] = ContextVar("number")


class End:
    """What a call came to."""

    def __init__(self) -> None:
        self.is_there = anyio.Event()
        self.thread: threading.Thread | None = None
        self.value: Any = None
        self.error: BaseException | None = None

    def __call__(self, value: Any, error: BaseException | None) -> None:
        self.value, self.error, self.thread = value, error, threading.current_thread()
        self.is_there.set()


def add_one(value: int) -> int:
    return value + 1


def make_call(func: Callable[..., Any], *args: Any) -> Call:
    call = Call(func, args, {}, lambda: datetime(2026, 7, 1, tzinfo=UTC))
    call.capture()
    return call


@pytest.fixture(params=MAKERS)
async def executor(request: pytest.FixtureRequest, anyio_backend: object) -> AsyncIterator[Executor]:
    async with MAKERS[request.param]() as executor:
        yield executor


async def test_a_call_that_is_given_up_in_the_queue_is_never_entered(executor: Executor) -> None:
    first, second, third = End(), End(), End()
    executor.submit(make_call(add_one, 1), first)
    call = make_call(add_one, 2)
    give_up = executor.submit(call, second)
    executor.submit(make_call(add_one, 3), third)

    was_entered = give_up()
    await third.is_there.wait()

    assert not was_entered
    assert call.started_at is None
    assert not second.is_there.is_set()


async def test_the_callable_sees_the_context_that_the_call_has_taken() -> None:
    async with ThreadPoolExecutor(1) as executor:
        end = End()
        number.set(1)
        call = make_call(number.get)
        number.set(2)

        executor.submit(call, end)
        await end.is_there.wait()

        assert end.value == 1


async def test_an_executor_that_needs_tasks_says_so() -> None:
    async with DebugExecutor() as executor:
        assert not executor.can_submit
        with pytest.raises(NotImplementedError, match="DebugExecutor executes calls in tasks"):
            executor.submit(make_call(add_one, 1), End())
