"""What holds for every executor, on both event loops."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio
import pytest

from apsched.exceptions import ExecutorRefusedError
from apsched.executors.asyncio import AsyncIOExecutor
from apsched.executors.base import Call, Executor
from apsched.executors.debug import DebugExecutor
from apsched.executors.pool import ProcessPoolExecutor, ThreadPoolExecutor

STARTED_AT = datetime(2026, 7, 1, 12, tzinfo=UTC)

IN_THIS_PROCESS: dict[str, Callable[[], Executor]] = {
    "asyncio": AsyncIOExecutor,
    "debug": DebugExecutor,
    "threads": ThreadPoolExecutor,
}
ALL: dict[str, Callable[[], Executor]] = {**IN_THIS_PROCESS, "processes": partial(ProcessPoolExecutor, 2)}

number: ContextVar[int] = ContextVar("number")


class AddOne:
    def __call__(self, value: int) -> int:
        return value + 1

    def method(self, value: int) -> int:
        return value + 1

    async def coroutine_method(self, value: int) -> int:
        return value + 1


class AsyncAddOne:
    async def __call__(self, value: int) -> int:
        await asyncio_or_anyio_checkpoint()
        return value + 1


class UnusualError(Exception):
    def __init__(self, code: int, *, reason: str) -> None:
        super().__init__(f"{code}: {reason}")


async def asyncio_or_anyio_checkpoint() -> None:
    await anyio.lowlevel.checkpoint()


def add_one(value: int) -> int:
    return value + 1


async def add_one_later(value: int) -> int:
    await asyncio_or_anyio_checkpoint()
    return value + 1


def give_coroutine(value: int) -> Any:
    return add_one_later(value)


def fail(message: str) -> None:
    raise LookupError(message)


async def fail_later(message: str) -> None:
    await asyncio_or_anyio_checkpoint()
    raise LookupError(message)


def leave(code: int) -> None:
    raise SystemExit(code)


def interrupt() -> None:
    raise KeyboardInterrupt


def fail_unusually() -> None:
    raise UnusualError(7, reason="no luck")


def get_number() -> int:
    return number.get()


async def get_number_later() -> int:
    await asyncio_or_anyio_checkpoint()
    return number.get()


def make_call(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Call:
    return Call(func, args, kwargs, lambda: STARTED_AT)


def ours() -> set[object]:
    """Return the threads and the numbers of the child processes that this process has."""
    return {*threading.enumerate(), *(child.pid for child in multiprocessing.active_children())}


@pytest.fixture(params=ALL)
def make(request: pytest.FixtureRequest) -> Callable[[], Executor]:
    return ALL[request.param]


@pytest.fixture(scope="module", params=ALL)
async def executor(request: pytest.FixtureRequest, anyio_backend: object) -> AsyncIterator[Executor]:
    async with ALL[request.param]() as executor:
        yield executor


@pytest.mark.parametrize(
    "func",
    [
        add_one,
        add_one_later,
        give_coroutine,
        partial(add_one, value=1),
        partial(partial(add_one_later), value=1),
        AddOne(),
        AddOne().method,
        AddOne().coroutine_method,
        AsyncAddOne(),
    ],
    ids=[
        "function",
        "coroutine function",
        "function giving a coroutine",
        "partial",
        "partial of a coroutine function",
        "instance",
        "method",
        "coroutine method",
        "instance with a coroutine __call__",
    ],
)
async def test_what_the_callable_returns_is_returned(executor: Executor, func: Callable[..., Any]) -> None:
    assert await executor.execute(make_call(func, value=1)) == 2


@pytest.mark.parametrize("func", [fail, fail_later])
async def test_what_the_callable_raises_is_raised(executor: Executor, func: Callable[..., Any]) -> None:
    with pytest.raises(LookupError, match="no such thing"):
        await executor.execute(make_call(func, "no such thing"))


async def test_wrong_arguments_are_the_callables_error(executor: Executor) -> None:
    with pytest.raises(TypeError, match="add_one"):
        await executor.execute(make_call(add_one, 1, 2))


async def test_leaving_the_interpreter_ends_the_call_only(executor: Executor) -> None:
    with pytest.raises(SystemExit) as caught:
        await executor.execute(make_call(leave, 3))

    assert caught.value.code == 3
    assert await executor.execute(make_call(add_one, 1)) == 2


async def test_an_interrupt_inside_the_callable_ends_the_call_only(executor: Executor) -> None:
    with pytest.raises(KeyboardInterrupt):
        await executor.execute(make_call(interrupt))

    assert await executor.execute(make_call(add_one, 1)) == 2


async def test_the_start_is_noted(executor: Executor) -> None:
    call = make_call(add_one, 1)
    assert call.started_at is None

    await executor.execute(call)

    assert call.started_at == STARTED_AT


@pytest.mark.parametrize("func", [get_number, get_number_later])
@pytest.mark.parametrize("make", IN_THIS_PROCESS.values(), ids=IN_THIS_PROCESS)
async def test_the_callable_sees_the_context(make: Callable[[], Executor], func: Callable[..., Any]) -> None:
    number.set(5)

    async with make() as executor:
        assert await executor.execute(make_call(func)) == 5


async def test_the_capacity_is_a_whole_number_from_one_on(executor: Executor) -> None:
    assert isinstance(executor.capacity, int)
    assert executor.capacity >= 1


async def test_more_calls_than_the_capacity_all_get_their_result(executor: Executor) -> None:
    results: list[int] = []

    async def execute(value: int) -> None:
        results.append(await executor.execute(make_call(add_one, value)))

    async with anyio.create_task_group() as group:
        for value in range(executor.capacity + 5):
            group.start_soon(execute, value)

    assert sorted(results) == list(range(1, executor.capacity + 6))


@pytest.mark.parametrize("func", [add_one, add_one_later])
async def test_a_call_before_entering_is_refused(make: Callable[[], Executor], func: Callable[..., Any]) -> None:
    call = make_call(func, 1)

    with pytest.raises(ExecutorRefusedError, match="takes no calls"):
        await make().execute(call)
    assert call.started_at is None


@pytest.mark.parametrize("func", [add_one, add_one_later])
async def test_a_call_after_leaving_is_refused(make: Callable[[], Executor], func: Callable[..., Any]) -> None:
    async with make() as executor:
        await executor.execute(make_call(func, 1))
    call = make_call(func, 1)

    with pytest.raises(ExecutorRefusedError, match="takes no calls"):
        await executor.execute(call)
    assert call.started_at is None


async def test_an_executor_can_be_entered_again(make: Callable[[], Executor]) -> None:
    executor = make()
    for _ in range(2):
        async with executor:
            assert await executor.execute(make_call(add_one, 1)) == 2


async def test_nothing_is_left_behind(make: Callable[[], Executor]) -> None:
    before = ours()

    async with make() as executor, anyio.create_task_group() as group:
        for value in range(3):
            group.start_soon(executor.execute, make_call(add_one, value))

    assert ours() <= before


async def test_nothing_is_left_behind_after_an_error_in_a_cancelled_scope(make: Callable[[], Executor]) -> None:
    before = ours()

    with anyio.CancelScope() as scope:
        async with make() as executor:
            await executor.execute(make_call(add_one, 1))
            scope.cancel()
            await anyio.lowlevel.checkpoint()

    assert ours() <= before


@pytest.mark.parametrize(
    ("make", "func"),
    [
        (AsyncIOExecutor, anyio.sleep_forever),
        (AsyncIOExecutor, partial(time.sleep, 0.4)),
        (DebugExecutor, anyio.sleep_forever),
        (ThreadPoolExecutor, partial(time.sleep, 0.4)),
        (partial(ProcessPoolExecutor, 1), partial(time.sleep, 60)),
    ],
    ids=["asyncio, coroutine function", "asyncio, function", "debug, coroutine function", "threads", "processes"],
)
async def test_cancelling_lets_go_at_once(make: Callable[[], Executor], func: Callable[..., Any]) -> None:
    async with make() as executor:
        call = make_call(func)
        with anyio.move_on_after(0.05) as scope:
            await executor.execute(call)

        assert scope.cancelled_caught
        assert await executor.execute(make_call(add_one, 1)) == 2
