from __future__ import annotations

import asyncio
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from apsched.exceptions import WorkerDiedError
from apsched.executors.base import Call
from apsched.executors.pool import ProcessPoolExecutor

STARTED_AT = datetime(2026, 7, 1, 12, tzinfo=UTC)

ROOT = Path(__file__).resolve().parents[3]

initialized_with: list[object] = []


class FussyError(Exception):
    """Cannot be unpickled: its arguments are not those of its constructor."""

    def __init__(self, code: int, *, reason: str) -> None:
        super().__init__(f"{code}: {reason}")


class Unpicklable:
    def __reduce__(self) -> Any:
        raise TypeError("it holds a socket")


class UnpicklableError(Exception):
    def __reduce__(self) -> Any:
        raise TypeError("it holds a socket")


def die(code: int) -> None:
    os._exit(code)


def be_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def be_killed_with_a_forked_child(folder: str) -> None:
    if os.fork() == 0:
        (Path(folder) / "child").write_text(str(os.getpid()))
        time.sleep(20)
        os._exit(0)
    be_killed()


def hold(folder: str) -> None:
    """Say that it was entered, and go on for longer than any test."""
    (Path(folder) / "entered").touch()
    time.sleep(60)


def hold_against_terminate(folder: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    hold(folder)


def return_unpicklable() -> object:
    return Unpicklable()


def raise_unpicklable() -> None:
    raise UnpicklableError("no luck")


def raise_fussy() -> None:
    raise FussyError(7, reason="no luck")


def divide(value: int) -> float:
    return value / 0


def initialize(value: object) -> None:
    initialized_with.append(value)


def fail_to_initialize() -> None:
    raise LookupError("no connection")


def get_initialized() -> list[object]:
    return initialized_with


def start_a_process() -> int | None:
    process = multiprocessing.get_context("spawn").Process(target=die, args=(4,))
    process.start()
    process.join()
    return process.exitcode


def is_waiting_for_interrupt() -> bool:
    return signal.getsignal(signal.SIGINT) is not signal.SIG_IGN or bool(signal.pthread_sigmask(signal.SIG_BLOCK, []))


def start_method() -> str:
    return type(multiprocessing.current_process()).__name__


async def get_loop_name() -> str:
    await asyncio.sleep(0)  # noqa: TID251  # the loop is one of asyncio
    return type(asyncio.get_running_loop()).__name__


def make_call(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Call:
    return Call(func, args, kwargs, lambda: STARTED_AT)


async def until(predicate: Callable[[], object]) -> None:
    with anyio.fail_after(15):
        while not predicate():  # noqa: ASYNC110  # no event tells what processes do
            await anyio.sleep(0.005)


async def run(executor: ProcessPoolExecutor, func: Callable[..., Any], *args: Any) -> Any:
    return await executor.execute(make_call(func, *args))


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """Run on asyncio only: the contract shows that both loops do, and none of this depends on the loop."""
    return "asyncio"


@pytest.fixture(scope="module")
async def executor(anyio_backend: object) -> AsyncIterator[ProcessPoolExecutor]:
    """One worker, used by many tests."""
    async with ProcessPoolExecutor(1) as executor:
        yield executor


async def test_processes_start_when_needed_and_are_used_again() -> None:
    async with ProcessPoolExecutor(2) as executor:
        before = len(multiprocessing.active_children())
        first = await run(executor, os.getpid)
        second = await run(executor, os.getpid)

        assert first == second != os.getpid()
        assert len(multiprocessing.active_children()) == before + 1


@pytest.mark.parametrize(
    ("func", "exit_code", "text"),
    [
        (die, 3, r"ran tests.unit.executors.test_processes.die ended with exit code 3$"),
        (be_killed, -9, r"be_killed was ended by SIGKILL \(9\); perhaps out of memory$"),
    ],
)
async def test_the_death_of_a_worker_fails_its_run_only(
    executor: ProcessPoolExecutor, func: Callable[..., None], exit_code: int, text: str
) -> None:
    before = await run(executor, os.getpid)
    args = (3,) if func is die else ()

    with pytest.raises(WorkerDiedError, match=text) as caught:
        await run(executor, func, *args)

    assert caught.value.exit_code == exit_code
    assert await run(executor, os.getpid) != before


async def test_other_workers_go_on_when_one_dies(tmp_path: Path) -> None:
    async with ProcessPoolExecutor(2) as executor, anyio.create_task_group() as group:
        group.start_soon(run, executor, hold, str(tmp_path))
        await until((tmp_path / "entered").exists)
        with pytest.raises(WorkerDiedError):
            await run(executor, be_killed)

        assert await run(executor, divmod, 7, 2) == (3, 1)
        group.cancel_scope.cancel()


async def test_a_worker_that_died_while_idle_is_replaced_unnoticed(executor: ProcessPoolExecutor) -> None:
    pid = await run(executor, os.getpid)
    os.kill(pid, signal.SIGKILL)
    await until(lambda: pid not in {child.pid for child in multiprocessing.active_children()})

    assert await run(executor, os.getpid) != pid


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only process descriptors tell")
async def test_the_death_of_a_worker_is_seen_although_its_child_lives(
    executor: ProcessPoolExecutor, tmp_path: Path
) -> None:
    with anyio.fail_after(5), pytest.raises(WorkerDiedError, match="SIGKILL"):
        await run(executor, be_killed_with_a_forked_child, str(tmp_path))

    await until((tmp_path / "child").exists)
    await until((tmp_path / "child").read_text)
    os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (make_call(lambda: None), r"<lambda> cannot be run in a worker process, because it cannot be pickled"),
        (make_call(divmod, 1, Unpicklable()), r"builtins.divmod .* because args\[1\] cannot be pickled \(it holds"),
        (make_call(dict, x={"a": [1, Unpicklable()]}), r"dict .* because kwargs\['x'\]\['a'\]\[1\] cannot be pickled"),
    ],
)
async def test_what_cannot_be_pickled_is_named_before_a_worker_is_touched(call: Call, text: str) -> None:
    before = multiprocessing.active_children()
    async with ProcessPoolExecutor(1) as executor:
        with pytest.raises(pickle.PicklingError, match=text):
            await executor.execute(call)

        assert call.started_at is None
        assert multiprocessing.active_children() == before


async def test_a_result_that_cannot_be_pickled_fails_its_run_only(executor: ProcessPoolExecutor) -> None:
    pid = await run(executor, os.getpid)

    with pytest.raises(pickle.PicklingError, match=r"what .*return_unpicklable returned cannot be sent .*a socket"):
        await run(executor, return_unpicklable)

    assert await run(executor, os.getpid) == pid


@pytest.mark.parametrize(
    ("func", "text"), [(raise_unpicklable, "UnpicklableError: no luck$"), (raise_fussy, "FussyError: 7: no luck$")]
)
async def test_an_exception_that_cannot_be_pickled_is_stood_for_by_its_text(
    executor: ProcessPoolExecutor, func: Callable[[], None], text: str
) -> None:
    with pytest.raises(RuntimeError, match=text) as caught:
        await run(executor, func)

    assert f"in {func.__name__}" in caught.value.__notes__[0]


async def test_an_exception_comes_with_its_traceback_in_the_worker(executor: ProcessPoolExecutor) -> None:
    pid = await run(executor, os.getpid)

    with pytest.raises(ZeroDivisionError) as caught:
        await run(executor, divide, 5)

    assert caught.value.__notes__[0].startswith(f"In worker process {pid}:\nTraceback (most recent call last)")
    assert "return value / 0" in caught.value.__notes__[0]


async def test_a_large_argument_and_result_pass(executor: ProcessPoolExecutor) -> None:
    text = b"0123456789" * 1_000_000

    assert await run(executor, bytes.swapcase, text) == text


@pytest.mark.parametrize("func", [hold, hold_against_terminate])
async def test_cancelling_ends_the_worker_and_another_takes_its_place(
    executor: ProcessPoolExecutor, func: Callable[[str], None], tmp_path: Path
) -> None:
    pid = await run(executor, os.getpid)
    async with anyio.create_task_group() as group:
        group.start_soon(run, executor, func, str(tmp_path))
        await until((tmp_path / "entered").exists)
        group.cancel_scope.cancel()

    with anyio.fail_after(5):
        assert await run(executor, os.getpid) != pid
    assert executor.stuck == 0


async def test_cancelling_before_the_worker_has_started_leaves_nothing() -> None:
    call = make_call(os.getpid)
    async with ProcessPoolExecutor(1) as executor:
        with anyio.move_on_after(0.02) as scope:
            await executor.execute(call)
        assert scope.cancelled_caught

        await until(lambda: executor.stuck == 0)
        assert await run(executor, divmod, 7, 2) == (3, 1)


async def test_leaving_ends_what_still_runs(tmp_path: Path) -> None:
    errors: list[str] = []
    threads = set(threading.enumerate())

    async def execute(executor: ProcessPoolExecutor) -> None:
        try:
            await run(executor, hold_against_terminate, str(tmp_path))
        except WorkerDiedError as exc:
            errors.append(str(exc))

    async with anyio.create_task_group() as group:
        with anyio.fail_after(5):
            async with ProcessPoolExecutor(1) as executor:
                group.start_soon(execute, executor)
                await until((tmp_path / "entered").exists)

    assert [error.partition("hold_against_terminate ")[2] for error in errors] == [
        "was ended, because the executor was left"
    ]
    assert set(threading.enumerate()) <= threads


async def test_a_worker_is_replaced_after_its_number_of_runs() -> None:
    async with ProcessPoolExecutor(1, max_runs_per_worker=2) as executor:
        pids = [await run(executor, os.getpid) for _ in range(4)]

    assert pids[0] == pids[1] != pids[2] == pids[3]


hoard: list[bytes] = []


def take_memory(size: int) -> int:
    hoard.append(b"x" * size)
    return os.getpid()


async def test_a_worker_that_uses_too_much_memory_after_a_run_is_replaced() -> None:
    async with ProcessPoolExecutor(1, max_rss=200_000_000) as executor:
        pids = [await executor.execute(make_call(take_memory, size)) for size in (1, 1, 250_000_000, 1, 1)]

    assert pids[0] == pids[1] == pids[2] != pids[3] == pids[4]


async def test_the_initializer_is_called_in_each_worker() -> None:
    options = {"initializer": initialize, "initargs": (5,), "max_tasks_per_child": 1}
    async with ProcessPoolExecutor(1, options) as executor:
        for _ in range(2):
            assert await run(executor, get_initialized) == [5]
    assert initialized_with == []


async def test_an_initializer_that_raises_fails_the_run() -> None:
    async with ProcessPoolExecutor(1, {"initializer": fail_to_initialize}) as executor:
        call = make_call(os.getpid)
        with pytest.raises(LookupError, match="no connection"):
            await executor.execute(call)
        assert call.started_at is None


async def test_a_fork_server_may_start_the_workers() -> None:
    context = multiprocessing.get_context("forkserver")
    async with ProcessPoolExecutor(1, {"mp_context": context}) as executor:
        assert await run(executor, start_method) == "ForkServerProcess"
        with pytest.raises(WorkerDiedError, match="ended with exit code 3"):
            await run(executor, die, 3)


async def test_workers_are_spawned_and_never_forked(
    executor: ProcessPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> int:
        raise AssertionError("forked")

    monkeypatch.setattr(os, "fork", refuse)
    with pytest.raises(WorkerDiedError):
        await run(executor, die, 3)

    assert await run(executor, start_method) == "SpawnProcess"


async def test_a_job_may_start_processes_of_its_own(executor: ProcessPoolExecutor) -> None:
    assert await run(executor, start_a_process) == 4


async def test_a_worker_ignores_interrupts_and_blocks_no_signal(executor: ProcessPoolExecutor) -> None:
    assert await run(executor, is_waiting_for_interrupt) is False


async def test_a_coroutine_function_runs_in_a_loop_of_its_own(executor: ProcessPoolExecutor) -> None:
    assert (await run(executor, get_loop_name)).endswith("EventLoop")


PROGRAM = """
import asyncio, os, signal, sys, time
from datetime import datetime, UTC
from apsched.executors.base import Call
from apsched.executors.pool import ProcessPoolExecutor

def make_call(func, *args):
    return Call(func, args, {}, lambda: datetime(2026, 1, 1, tzinfo=UTC))

def double(value):
    return 2 * value

def hold():
    print("holding", flush=True)
    time.sleep(60)
"""


def start_program(folder: Path, text: str) -> subprocess.Popen[str]:
    path = folder / "program.py"
    path.write_text(PROGRAM + textwrap.dedent(text))
    return subprocess.Popen(
        [sys.executable, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )


def test_functions_of_the_main_module_can_be_run(tmp_path: Path) -> None:
    program = start_program(
        tmp_path,
        """
        async def main():
            async with ProcessPoolExecutor(1) as executor:
                print(await executor.execute(make_call(double, 21)))

        if __name__ == "__main__":
            asyncio.run(main())
        """,
    )

    assert program.communicate(timeout=20) == ("42\n", "")
    assert program.returncode == 0


def test_a_main_module_without_a_guard_fails_clearly_instead_of_starting_again(tmp_path: Path) -> None:
    program = start_program(
        tmp_path,
        """
        async def main():
            async with ProcessPoolExecutor(1) as executor:
                try:
                    await executor.execute(make_call(double, 21))
                except Exception as exc:
                    print(type(exc).__name__, exc, exc.__notes__, flush=True)

        asyncio.run(main())
        """,
    )

    output, errors = program.communicate(timeout=20)

    assert output.startswith("WorkerDiedError the worker process started for __main__.double ended with exit code 1 [")
    assert "A main module must start its scheduler under if __name__ ==" in output
    assert errors.count("a worker process cannot start a scheduler while it imports the main module") == 1


def test_an_interrupt_from_the_terminal_is_left_to_the_program(tmp_path: Path) -> None:
    program = start_program(
        tmp_path,
        """
        async def main():
            interrupted = asyncio.Event()
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupted.set)
            async with ProcessPoolExecutor(2) as executor:
                running = asyncio.create_task(executor.execute(make_call(hold)))
                await executor.execute(make_call(double, 1))
                print("starting", flush=True)
                starting = asyncio.create_task(executor.execute(make_call(double, 5)))
                await interrupted.wait()
                print(await starting, await executor.execute(make_call(double, 21)), running.done(), flush=True)
                running.cancel()

        if __name__ == "__main__":
            asyncio.run(main())
        """,
    )
    assert program.stdout is not None
    assert {program.stdout.readline(), program.stdout.readline()} == {"holding\n", "starting\n"}

    os.killpg(program.pid, signal.SIGINT)

    assert program.communicate(timeout=20) == ("10 42 False\n", "")
    assert program.returncode == 0


def test_workers_end_when_the_program_is_killed(tmp_path: Path) -> None:
    program = start_program(
        tmp_path,
        """
        async def main():
            async with ProcessPoolExecutor(2) as executor:
                idle = executor.execute(make_call(double, 1))
                await asyncio.gather(executor.execute(make_call(hold)), idle)

        if __name__ == "__main__":
            asyncio.run(main())
        """,
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "holding\n"

    program.kill()

    # the workers have inherited the output, which ends when the last of them has
    assert program.communicate(timeout=10)[0] == ""


def test_workers_do_not_keep_a_program_from_ending_that_never_leaves_the_executor(tmp_path: Path) -> None:
    program = start_program(
        tmp_path,
        """
        async def main():
            executor = await ProcessPoolExecutor(1).__aenter__()
            print(await executor.execute(make_call(double, 21)), flush=True)
            task = asyncio.create_task(executor.execute(make_call(hold)))
            await asyncio.sleep(0.2)
            sys.exit(5)

        if __name__ == "__main__":
            asyncio.run(main())
        """,
    )

    output, _ = program.communicate(timeout=10)

    assert output.startswith("42\n")
    assert program.returncode == 5
