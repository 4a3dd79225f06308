"""What holds for every executor, on both event loops."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import anyio
import pytest

from apsched.executors.asyncio import AsyncIOExecutor
from apsched.executors.base import Executor
from apsched.executors.debug import DebugExecutor
from apsched.executors.pool import ProcessPoolExecutor, ThreadPoolExecutor
from apsched.testing import _callables as these
from apsched.testing.contract import ExecutorContract
from apsched.testing.contract.executor import make_call


class TestAsyncIOExecutor(ExecutorContract):
    def make_executor(self) -> Executor:
        return AsyncIOExecutor()


class TestDebugExecutor(ExecutorContract):
    def make_executor(self) -> Executor:
        return DebugExecutor()


class TestThreadPoolExecutor(ExecutorContract):
    def make_executor(self) -> Executor:
        return ThreadPoolExecutor()


@pytest.fixture(scope="module")
async def processes(anyio_backend: object) -> AsyncIterator[Executor]:
    async with ProcessPoolExecutor(2) as executor:
        yield executor


class TestProcessPoolExecutor(ExecutorContract):
    is_in_this_process = False

    def make_executor(self) -> Executor:
        return ProcessPoolExecutor(2)

    @pytest.fixture
    async def executor(self, processes: Executor) -> Executor:
        return processes


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
        assert await executor.execute(make_call(these.add_one, 1)) == 2
