"""State what holds for every executor (layer 10)."""
# ruff: noqa: S101  # assert is how pytest works

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from apsched.exceptions import ExecutorRefusedError
from apsched.executors.base import Call, Executor
from apsched.testing import _callables as these

STARTED_AT = datetime(2026, 7, 1, 12, tzinfo=UTC)
PATIENCE = 30  # seconds; only for what hangs

WAYS: dict[str, Callable[..., Any]] = {
    "function": these.add_one,
    "coroutine function": these.add_one_later,
    "function giving a coroutine": these.give_coroutine,
    "partial": partial(these.add_one, value=1),
    "partial of a coroutine function": partial(partial(these.add_one_later), value=1),
    "instance": these.AddOne(),
    "method": these.AddOne().method,
    "coroutine method": these.AddOne().coroutine_method,
    "instance with a coroutine __call__": these.AsyncAddOne(),
}


class ExecutorContract:
    """
    The contract of executors; subclass it, name the subclass `Test...`, and override `make_executor`.

    Attributes:
        is_in_this_process: Whether callables run in this process, where they see the context of the call.
    """

    pytestmark: pytest.MarkDecorator = pytest.mark.anyio
    is_in_this_process: bool = True

    def make_executor(self) -> Executor:
        """Return a new executor, not entered."""
        raise NotImplementedError("a subclass of ExecutorContract must override make_executor(); return an executor")

    @pytest.fixture
    async def executor(self) -> AsyncIterator[Executor]:
        """Give an executor that takes calls; override it to use one for several tests."""
        async with self.make_executor() as executor:
            yield executor

    # calling

    @pytest.mark.parametrize("func", WAYS.values(), ids=WAYS)
    async def test_what_the_callable_returns_is_returned(self, executor: Executor, func: Callable[..., Any]) -> None:
        assert await executor.execute(make_call(func, value=1)) == 2

    @pytest.mark.parametrize("func", [these.fail, these.fail_later])
    async def test_what_the_callable_raises_is_raised(self, executor: Executor, func: Callable[..., Any]) -> None:
        with pytest.raises(LookupError, match="no such thing"):
            await executor.execute(make_call(func, "no such thing"))

    async def test_wrong_arguments_are_the_callables_error(self, executor: Executor) -> None:
        with pytest.raises(TypeError, match="add_one"):
            await executor.execute(make_call(these.add_one, 1, 2))

    async def test_leaving_the_interpreter_ends_the_call_only(self, executor: Executor) -> None:
        with pytest.raises(SystemExit) as caught:
            await executor.execute(make_call(these.leave, 3))

        assert caught.value.code == 3
        assert await executor.execute(make_call(these.add_one, 1)) == 2

    async def test_an_interrupt_inside_the_callable_ends_the_call_only(self, executor: Executor) -> None:
        with pytest.raises(KeyboardInterrupt):
            await executor.execute(make_call(these.interrupt))

        assert await executor.execute(make_call(these.add_one, 1)) == 2

    async def test_the_start_is_noted(self, executor: Executor) -> None:
        call = make_call(these.add_one, 1)
        assert call.started_at is None

        await executor.execute(call)

        assert call.started_at == STARTED_AT

    @pytest.mark.parametrize("func", [these.get_number, these.get_number_later])
    async def test_the_callable_sees_the_context(self, executor: Executor, func: Callable[..., Any]) -> None:
        if not self.is_in_this_process:
            return
        these.number.set(5)

        assert await executor.execute(make_call(func)) == 5

    async def test_the_capacity_is_a_whole_number_from_one_on(self, executor: Executor) -> None:
        assert isinstance(executor.capacity, int)
        assert executor.capacity >= 1

    async def test_more_calls_than_the_capacity_all_get_their_result(self, executor: Executor) -> None:
        count = min(executor.capacity, 1000) + 5
        results: list[int] = []

        async def execute(value: int) -> None:
            results.append(await executor.execute(make_call(these.add_one, value)))

        async with anyio.create_task_group() as group:
            for value in range(count):
                group.start_soon(execute, value)

        assert sorted(results) == list(range(1, count + 1))

    async def test_cancelling_lets_go_at_once(self, executor: Executor) -> None:
        with anyio.move_on_after(0.05) as scope:
            await executor.execute(make_call(these.take_long))

        assert scope.cancelled_caught
        assert await executor.execute(make_call(these.add_one, 1)) == 2

    # calling without a task; only if it can

    async def test_how_a_call_without_a_task_ends_is_told_in_the_thread_of_the_loop(self, executor: Executor) -> None:
        if not executor.can_submit:
            return
        good, bad = End(), End()

        submit(executor, good, these.add_one, 1)
        submit(executor, bad, these.fail, "nothing there")
        for end in (good, bad):
            await end.wait()

        assert (good.value, good.error, good.thread) == (2, None, threading.current_thread())
        assert isinstance(bad.error, LookupError)
        assert bad.thread is threading.current_thread()

    async def test_a_call_without_a_task_that_has_ended_was_entered(self, executor: Executor) -> None:
        if not executor.can_submit:
            return
        end = End()
        give_up = submit(executor, end, these.add_one, 1)
        await end.wait()

        assert give_up()

    async def test_an_executor_that_has_been_left_takes_no_call_without_a_task(self) -> None:
        async with self.make_executor() as executor:
            pass

        with pytest.raises((ExecutorRefusedError, NotImplementedError)):
            submit(executor, End(), these.add_one, 1)

    # entering and leaving

    @pytest.mark.parametrize("func", [these.add_one, these.add_one_later])
    async def test_a_call_before_entering_is_refused(self, func: Callable[..., Any]) -> None:
        call = make_call(func, 1)

        with pytest.raises(ExecutorRefusedError):
            await self.make_executor().execute(call)
        assert call.started_at is None

    @pytest.mark.parametrize("func", [these.add_one, these.add_one_later])
    async def test_a_call_after_leaving_is_refused(self, func: Callable[..., Any]) -> None:
        async with self.make_executor() as executor:
            await executor.execute(make_call(func, 1))
        call = make_call(func, 1)

        with pytest.raises(ExecutorRefusedError):
            await executor.execute(call)
        assert call.started_at is None

    async def test_an_executor_can_be_entered_again(self) -> None:
        executor = self.make_executor()
        for _ in range(2):
            async with executor:
                assert await executor.execute(make_call(these.add_one, 1)) == 2

    async def test_nothing_is_left_behind(self) -> None:
        before = ours()

        async with self.make_executor() as executor, anyio.create_task_group() as group:
            for value in range(3):
                group.start_soon(executor.execute, make_call(these.add_one, value))

        assert ours() <= before

    async def test_nothing_is_left_behind_after_an_error_in_a_cancelled_scope(self) -> None:
        before = ours()

        with anyio.CancelScope() as scope:
            async with self.make_executor() as executor:
                await executor.execute(make_call(these.add_one, 1))
                scope.cancel()
                await anyio.lowlevel.checkpoint()

        assert ours() <= before


class End:
    """What a call without a task came to."""

    def __init__(self) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        self.thread: threading.Thread | None = None
        self._is_there = anyio.Event()

    def __call__(self, value: Any, error: BaseException | None) -> None:
        self.value, self.error, self.thread = value, error, threading.current_thread()
        self._is_there.set()

    async def wait(self) -> None:
        with anyio.fail_after(PATIENCE):
            await self._is_there.wait()


def make_call(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Call:
    """Return a call that has not begun."""
    return Call(func, args, kwargs, lambda: STARTED_AT)


def submit(executor: Executor, end: End, func: Callable[..., Any], *args: Any) -> Callable[[], bool]:
    """Call without a task, and return what gives the call up."""
    call = make_call(func, *args)
    call.capture()
    return executor.submit(call, end)


def ours() -> set[object]:
    """Return the threads and the numbers of the child processes that this process has."""
    return {*threading.enumerate(), *(child.pid for child in multiprocessing.active_children())}
