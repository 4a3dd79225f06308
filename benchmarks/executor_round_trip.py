"""Measure what one call through an executor costs, beside the pools of the standard library.

Rounds are interleaved, so that a noisy machine is noisy for all; the median and the best round are given in
microseconds for one call, and the ratio of the medians to `submit` with `asyncio.wrap_future`.

    python benchmarks/executor_round_trip.py [--rounds 5] [--calls 10000] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import concurrent.futures
import json
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import trio

from apsched import _eventloop
from apsched.executors.asyncio import AsyncIOExecutor
from apsched.executors.base import Call, Executor
from apsched.executors.pool import ProcessPoolExecutor, ThreadPoolExecutor

WORKERS = 10  # threads
PROCESSES = 2
WARM_UP = 100  # calls that start all threads or processes
PROCESS_CALLS = 20  # one process call for so many thread calls
INSTANT = datetime(2026, 1, 1, tzinfo=UTC)


def nothing() -> None:
    pass


async def nothing_async() -> None:
    pass


def get_instant() -> datetime:
    return INSTANT


def make_call(func: Callable[[], Any]) -> Call:
    return Call(func, (), {}, get_instant)


async def run_at_once(func: Callable[[], Coroutine[Any, Any, None]], times: int) -> None:
    async with _eventloop.current().task_pool() as pool:
        for _ in range(times):
            pool.start(func)


async def execute_many(executor: Executor, func: Callable[[], Any], calls: int) -> float:
    """Execute all at once, each in a task of its own."""

    async def execute() -> None:
        await executor.execute(make_call(func))

    async with executor:
        await run_at_once(execute, WARM_UP)
        start = time.perf_counter()
        await run_at_once(execute, calls)
        return time.perf_counter() - start


async def execute_in_turn(executor: Executor, func: Callable[[], Any], calls: int) -> float:
    """Execute one after the other."""
    async with executor:
        await executor.execute(make_call(func))
        start = time.perf_counter()
        for _ in range(calls):
            await executor.execute(make_call(func))
        return time.perf_counter() - start


async def tasks_only(calls: int) -> float:
    """Do what `execute_many` does, without an executor."""

    async def execute() -> None:
        make_call(nothing)
        await asyncio.sleep(0)

    start = time.perf_counter()
    await run_at_once(execute, calls)
    return time.perf_counter() - start


def futures_result(pool: concurrent.futures.Executor, calls: int, *, in_turn: bool = False) -> float:
    with pool:
        concurrent.futures.wait([pool.submit(nothing) for _ in range(WARM_UP)])
        start = time.perf_counter()
        if in_turn:
            for _ in range(calls):
                pool.submit(nothing).result()
        else:
            for future in [pool.submit(nothing) for _ in range(calls)]:
                future.result()
        return time.perf_counter() - start


async def futures_wrapped(pool: concurrent.futures.Executor, calls: int, *, in_turn: bool = False) -> float:
    async def execute() -> None:
        await asyncio.wrap_future(pool.submit(nothing))

    with pool:
        await run_at_once(execute, WARM_UP)
        start = time.perf_counter()
        if in_turn:
            for _ in range(calls):
                await execute()
        else:
            await run_at_once(execute, calls)
        return time.perf_counter() - start


def std_threads() -> concurrent.futures.Executor:
    return concurrent.futures.ThreadPoolExecutor(WORKERS)


def std_processes() -> concurrent.futures.Executor:
    return concurrent.futures.ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn"))


CASES: dict[str, Callable[[int], float]] = {
    "asyncio tasks only": lambda n: asyncio.run(tasks_only(n)),
    "AsyncIOExecutor, asyncio": lambda n: asyncio.run(execute_many(AsyncIOExecutor(), nothing_async, n)),
    "AsyncIOExecutor, trio": lambda n: trio.run(execute_many, AsyncIOExecutor(), nothing_async, n),
    "ThreadPoolExecutor, asyncio": lambda n: asyncio.run(execute_many(ThreadPoolExecutor(WORKERS), nothing, n)),
    "ThreadPoolExecutor, trio": lambda n: trio.run(execute_many, ThreadPoolExecutor(WORKERS), nothing, n),
    "futures threads, result()": lambda n: futures_result(std_threads(), n),
    "futures threads, wrap_future": lambda n: asyncio.run(futures_wrapped(std_threads(), n)),
    "ThreadPoolExecutor, in turn": lambda n: asyncio.run(execute_in_turn(ThreadPoolExecutor(WORKERS), nothing, n)),
    "futures threads, result(), in turn": lambda n: futures_result(std_threads(), n, in_turn=True),
    "futures threads, wrap_future, in turn": lambda n: asyncio.run(futures_wrapped(std_threads(), n, in_turn=True)),
}
PROCESS_CASES: dict[str, Callable[[int], float]] = {
    "ProcessPoolExecutor": lambda n: asyncio.run(execute_many(ProcessPoolExecutor(PROCESSES), nothing, n)),
    "ProcessPoolExecutor, in turn": lambda n: asyncio.run(execute_in_turn(ProcessPoolExecutor(PROCESSES), nothing, n)),
    "futures processes, wrap_future": lambda n: asyncio.run(futures_wrapped(std_processes(), n)),
    "futures processes, wrap_future, in turn": lambda n: asyncio.run(futures_wrapped(std_processes(), n, in_turn=True)),
}


def measure(rounds: int, calls: int) -> dict[str, list[float]]:
    """Return the microseconds that one call took, for each round of each case."""
    times: dict[str, list[float]] = {name: [] for name in (*CASES, *PROCESS_CASES)}
    for _ in range(rounds):
        for name, case in CASES.items():
            times[name].append(case(calls) / calls * 1e6)
        for name, case in PROCESS_CASES.items():
            times[name].append(case(calls // PROCESS_CALLS) / (calls // PROCESS_CALLS) * 1e6)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what one call through an executor costs.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    times = measure(options.rounds, options.calls)
    results: dict[str, dict[str, float]] = {}
    for name, values in times.items():
        base = "futures processes, wrap_future" if name in PROCESS_CASES else "futures threads, wrap_future"
        if name.endswith("in turn"):
            base += ", in turn"
        median = statistics.median(values)
        results[name] = {
            "median_us": round(median, 1),
            "best_us": round(min(values), 1),
            "ratio_to_wrap_future": round(median / statistics.median(times[base]), 3),
        }
        print(
            f"{name:42} median {median:8.1f} us  best {min(values):8.1f} us  x{results[name]['ratio_to_wrap_future']}"
        )
    if options.json is not None:
        report = {
            "python": platform.python_version(),
            "cpus": os.cpu_count(),
            "rounds": options.rounds,
            "calls": options.calls,
            "results": results,
        }
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
