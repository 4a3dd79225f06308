from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest

from apsched.exceptions import ExecutorRefusedError
from apsched.executors.asyncio import AsyncIOExecutor
from apsched.executors.base import Call
from apsched.executors.pool import ThreadPoolExecutor

STARTED_AT = datetime(2026, 7, 1, 12, tzinfo=UTC)
ENDED_AT = datetime(2026, 7, 1, 13, tzinfo=UTC)


class Something:
    pass


class Gate:
    """A callable that waits until it is opened, and tells when it was entered."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> str:
        self.entered.set()
        assert self.opened.wait(20)
        return threading.current_thread().name


def make_call(func: Callable[..., Any], *args: Any) -> Call:
    return Call(func, args, {}, lambda: STARTED_AT)


def thread_name() -> str:
    return threading.current_thread().name


def our_threads() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("apsched-"))


async def until(predicate: Callable[[], object]) -> None:
    with anyio.fail_after(10):
        while not predicate():  # noqa: ASYNC110  # no event tells what threads do
            await anyio.sleep(0.001)


async def execute_until_cancelled(executor: ThreadPoolExecutor | AsyncIOExecutor, gate: Gate) -> None:
    """Execute *gate* and give it up while it runs."""
    async with anyio.create_task_group() as group:
        group.start_soon(executor.execute, make_call(gate))
        await until(gate.entered.is_set)
        group.cancel_scope.cancel()


@pytest.fixture
async def gates() -> AsyncIterator[list[Gate]]:
    gates = [Gate() for _ in range(3)]
    yield gates
    for gate in gates:
        gate.opened.set()
    await until(lambda: not our_threads())


@pytest.mark.parametrize("error", [None, ValueError("no")])
async def test_when_a_call_ended_is_noted_in_its_thread(error: ValueError | None) -> None:
    noted: list[str] = []

    def work() -> None:
        noted.append(thread_name())
        if error is not None:
            raise error

    def end_now() -> datetime:
        noted.append(thread_name())
        return ENDED_AT

    call = Call(work, (), {}, lambda: STARTED_AT, end_now=end_now)
    async with ThreadPoolExecutor(1) as executor:
        with contextlib.suppress(ValueError):
            await executor.execute(call)

    assert (call.started_at, call.ended_at) == (STARTED_AT, ENDED_AT)
    assert noted[0] == noted[1] != thread_name()


async def test_threads_start_when_needed_and_are_used_again(gates: list[Gate]) -> None:
    async with ThreadPoolExecutor(3) as executor, anyio.create_task_group() as group:
        assert our_threads() == []
        for _ in range(5):
            await executor.execute(make_call(thread_name))
        assert our_threads() == ["apsched-1"]

        for count, gate in enumerate(gates, 1):
            group.start_soon(executor.execute, make_call(gate))
            await until(gate.entered.is_set)
            assert len(our_threads()) == count
        for gate in gates:
            gate.opened.set()
    assert our_threads() == []


async def test_no_more_threads_than_max_workers_are_started() -> None:
    names: set[str] = set()

    async def execute() -> None:
        names.add(await executor.execute(make_call(thread_name)))

    async with ThreadPoolExecutor(3) as executor, anyio.create_task_group() as group:
        for _ in range(100):
            group.start_soon(execute)

    assert names <= {"apsched-1", "apsched-2", "apsched-3"}


async def test_the_prefix_of_the_names_of_threads_can_be_chosen() -> None:
    async with ThreadPoolExecutor(1, {"thread_name_prefix": "reports"}) as executor:
        assert await executor.execute(make_call(thread_name)) == "reports-1"


async def test_threads_do_not_keep_the_interpreter_from_ending() -> None:
    async with ThreadPoolExecutor(1) as executor:
        assert await executor.execute(make_call(lambda: threading.current_thread().daemon))


async def test_the_initializer_is_called_once_a_thread() -> None:
    seen: list[int] = []

    async with ThreadPoolExecutor(1, {"initializer": seen.append, "initargs": (5,)}) as executor:
        for _ in range(3):
            await executor.execute(make_call(thread_name))

    assert seen == [5]


async def test_an_initializer_that_raises_fails_the_call_and_is_tried_again() -> None:
    tries = iter([LookupError("no connection"), None])

    def initialize() -> None:
        if (error := next(tries)) is not None:
            raise error

    async with ThreadPoolExecutor(1, {"initializer": initialize}) as executor:
        call = make_call(thread_name)
        with pytest.raises(LookupError, match="no connection"):
            await executor.execute(call)
        assert call.started_at is None
        assert await executor.execute(make_call(thread_name)) == "apsched-1"


async def test_a_coroutine_function_runs_in_a_loop_of_its_own() -> None:
    async def get_loop() -> asyncio.AbstractEventLoop:
        await asyncio.sleep(0)  # noqa: TID251  # the loop is one of asyncio
        return asyncio.get_running_loop()

    async with ThreadPoolExecutor(1) as executor:
        loop = await executor.execute(make_call(get_loop))

    assert loop.is_closed()


async def test_a_plain_function_may_run_an_event_loop() -> None:
    def run() -> str:
        return anyio.run(anyio.to_thread.run_sync, thread_name)

    async with ThreadPoolExecutor(1) as executor:
        assert "apsched" not in await executor.execute(make_call(run))


@pytest.mark.parametrize("make", [ThreadPoolExecutor, AsyncIOExecutor])
async def test_a_call_that_is_given_up_in_the_queue_is_never_entered(
    make: Callable[[int], ThreadPoolExecutor | AsyncIOExecutor], gates: list[Gate]
) -> None:
    async with make(1) as executor, anyio.create_task_group() as group:
        group.start_soon(executor.execute, make_call(gates[0]))
        await until(gates[0].entered.is_set)
        queued = make_call(gates[1])
        with anyio.move_on_after(0) as scope:
            await executor.execute(queued)
        gates[0].opened.set()

        await executor.execute(make_call(thread_name))

        assert scope.cancelled_caught
        assert queued.started_at is None
        assert executor.stuck == 0


@pytest.mark.parametrize("make", [ThreadPoolExecutor, AsyncIOExecutor])
async def test_a_call_that_is_given_up_while_it_runs_is_stuck_until_it_ends(
    make: Callable[[int], ThreadPoolExecutor | AsyncIOExecutor], gates: list[Gate]
) -> None:
    async with make(1) as executor:
        assert executor.stuck == 0
        await execute_until_cancelled(executor, gates[0])
        assert executor.stuck == 1

        gates[0].opened.set()
        await until(lambda: executor.stuck == 0)


async def test_another_thread_stands_in_for_a_stuck_one_and_ends_after_it(gates: list[Gate]) -> None:
    async with ThreadPoolExecutor(1) as executor:
        await execute_until_cancelled(executor, gates[0])
        assert await executor.execute(make_call(thread_name)) == "apsched-2"
        assert our_threads() == ["apsched-1", "apsched-2"]

        gates[0].opened.set()
        await until(lambda: len(our_threads()) == 1)
        assert await executor.execute(make_call(thread_name)) == our_threads()[0]


async def test_when_twice_the_workers_are_stuck_calls_wait_for_one(
    gates: list[Gate], caplog: pytest.LogCaptureFixture
) -> None:
    async with ThreadPoolExecutor(1) as executor:
        with caplog.at_level(logging.WARNING, "apsched"):
            for gate in gates[:2]:
                await execute_until_cancelled(executor, gate)
        with anyio.move_on_after(0.05) as scope:
            await executor.execute(make_call(thread_name))
        assert scope.cancelled_caught
        assert executor.stuck == 2
        assert caplog.messages == ["all 2 threads are held by calls that were given up; others wait"]

        gates[1].opened.set()
        assert await executor.execute(make_call(thread_name)) == "apsched-2"


async def test_leaving_does_not_wait_for_a_stuck_call_and_names_it(
    gates: list[Gate], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "apsched"), anyio.fail_after(2):
        async with ThreadPoolExecutor(2) as executor:
            await executor.execute(make_call(thread_name))
            await execute_until_cancelled(executor, gates[0])

    assert len(our_threads()) == 1
    assert "left 1 threads that still run" in caplog.text
    assert repr(gates[0]) in caplog.text


async def test_leaving_refuses_what_waits_and_lets_go_on_what_runs(gates: list[Gate]) -> None:
    running, queued = make_call(gates[0]), make_call(gates[1])
    results: list[str] = []

    async def execute(call: Call) -> None:
        try:
            results.append(await executor.execute(call))
        except ExecutorRefusedError as exc:
            results.append(str(exc))

    async with anyio.create_task_group() as group:
        async with ThreadPoolExecutor(1) as executor:
            group.start_soon(execute, running)
            await until(gates[0].entered.is_set)
            group.start_soon(execute, queued)
            await anyio.wait_all_tasks_blocked()
        gates[0].opened.set()

    assert results == ["the executor takes no calls: it was left", "apsched-1"]
    assert queued.started_at is None


async def test_a_call_is_refused_when_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async with ThreadPoolExecutor(2) as executor:
        call = make_call(thread_name)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            with pytest.raises(ExecutorRefusedError, match="no thread can be started"):
                await executor.execute(call)
        assert call.started_at is None
        assert (await executor.execute(make_call(thread_name))).startswith("apsched-")


async def test_a_thread_that_cannot_be_started_is_done_without_where_there_is_another(
    monkeypatch: pytest.MonkeyPatch, gates: list[Gate]
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async with ThreadPoolExecutor(2) as executor, anyio.create_task_group() as group:
        group.start_soon(executor.execute, make_call(gates[0]))
        await until(gates[0].entered.is_set)
        monkeypatch.setattr(threading.Thread, "start", refuse)
        group.start_soon(executor.execute, make_call(thread_name))
        await anyio.wait_all_tasks_blocked()
        gates[0].opened.set()


async def test_an_idle_thread_keeps_nothing_alive() -> None:
    def raise_with(thing: object) -> None:
        raise LookupError(thing)

    gc.disable()  # what is gone by counting alone has been in no circle
    try:
        async with ThreadPoolExecutor(1) as executor:
            argument, result = Something(), Something()
            references = [weakref.ref(argument), weakref.ref(result)]
            await executor.execute(make_call(lambda thing: thing, result))
            with pytest.raises(LookupError) as caught:
                await executor.execute(make_call(raise_with, argument))
            del argument, result, caught
            await anyio.lowlevel.checkpoint()

            await until(lambda: [reference() for reference in references] == [None, None])
    finally:
        gc.enable()


async def test_what_becomes_of_a_call_that_was_given_up_is_dropped(gates: list[Gate]) -> None:
    references: list[weakref.ref[Something]] = []

    def give_something() -> Something:
        gates[0]()
        something = Something()
        references.append(weakref.ref(something))
        return something

    async with ThreadPoolExecutor(1) as executor:
        async with anyio.create_task_group() as group:
            group.start_soon(executor.execute, make_call(give_something))
            await until(gates[0].entered.is_set)
            group.cancel_scope.cancel()
        gates[0].opened.set()

        await until(lambda: references and references[0]() is None)


def run_program(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        cwd=os.getcwd(),
    )


PROGRAM = """
import asyncio, os, sys, threading, time
from datetime import datetime, UTC
from apsched.executors.base import Call
from apsched.executors.pool import ThreadPoolExecutor

def make_call(func, *args):
    return Call(func, args, {}, lambda: datetime(2026, 1, 1, tzinfo=UTC))
"""


def test_a_stuck_thread_does_not_keep_the_interpreter_from_ending() -> None:
    result = run_program(
        PROGRAM
        + """
async def main():
    async with ThreadPoolExecutor(1) as executor:
        try:
            await asyncio.wait_for(executor.execute(make_call(time.sleep, 60)), 0.05)
        except TimeoutError:
            print("given up", flush=True)

asyncio.run(main())
"""
    )

    assert (result.returncode, result.stdout) == (0, "given up\n"), result.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_is_not_disturbed_by_the_threads_of_its_parent() -> None:
    result = run_program(
        PROGRAM
        + """
async def main():
    async with ThreadPoolExecutor(2) as executor:
        return await executor.execute(make_call(threading.get_ident))

def fork():
    if os.fork() == 0:
        asyncio.run(main())
        os._exit(7)
    return os.waitstatus_to_exitcode(os.wait()[1])

async def parent():
    async with ThreadPoolExecutor(2) as executor:
        print(await executor.execute(make_call(fork)))

asyncio.run(parent())
"""
    )

    assert (result.returncode, result.stdout) == (0, "7\n"), result.stderr
