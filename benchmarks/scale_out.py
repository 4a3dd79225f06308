"""Measure how many calls a second each step of docs/scaling.md makes, from one process to an engine.

No-op jobs with a date trigger that has passed are in the store when the clock starts; it stops when every outcome is
stored. The nodes on PostgreSQL are processes of their own, which have started by then. An engine whose package is not
installed is left out: `pip install -e '.[dask,celery]'`.

    python benchmarks/scale_out.py [--jobs 5000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from apsched.async_scheduler import AsyncScheduler  # noqa: E402
from tests.engines.calls import nothing, nothing_async  # noqa: E402
from tests.servers import start_postgresql, start_redis  # noqa: E402

PASSED = datetime(2026, 1, 1, tzinfo=UTC)
SLOW = 10  # of an engine or a process pool, so many times fewer jobs


async def add(scheduler: AsyncScheduler, func: Callable[[], Any], jobs: int, executor: str | None) -> None:
    more = {} if executor is None else {"executor": executor}
    await scheduler.add_jobs({"func": func, "trigger": "date", "run_date": PASSED, **more} for _ in range(jobs))


async def in_one_process(jobs: int, func: Callable[[], Any], store: Any, executor: Any = None) -> float:
    """Return the calls a second of one scheduler."""
    executors = {} if executor is None else {"measured": executor}
    async with AsyncScheduler(
        jobstores={"default": store}, executors=executors, timezone="UTC", start_paused=True
    ) as scheduler:
        if executor is not None:  # its workers start
            await scheduler.add_job(func, "cron", year=2999, executor="measured", id="first")
            await scheduler.resume()
            await (await scheduler.run_job("first")).result()
            await scheduler.pause()
        await add(scheduler, func, jobs, None if executor is None else "measured")
        began = time.perf_counter()
        await scheduler.resume()
        while True:
            await asyncio.sleep(0.01)
            health = await scheduler.health()
            kept = health.jobstores["default"]
            if not health.runs_under_way and not kept.unrecorded and len(await scheduler.get_jobs()) <= 1:
                return jobs / (time.perf_counter() - began)


def on_nodes(jobs: int, nodes: int, url: str) -> float:
    """Return the calls a second of several nodes on one store."""
    import psycopg

    async def prepare() -> None:
        async with AsyncScheduler(jobstores={"default": sql(url)}, timezone="UTC", start_paused=True) as scheduler:
            await add(scheduler, nothing_async, jobs, None)

    asyncio.run(prepare())
    command = [sys.executable, __file__, "--node", url]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(nodes)
    ]
    try:
        for each in running:
            assert each.stdout is not None
            each.stdout.readline()
        began = time.perf_counter()
        for each in running:
            assert each.stdin is not None
            each.stdin.write("go\n")
            each.stdin.flush()
        with psycopg.connect(url, autocommit=True) as connection:
            while True:
                row = connection.execute("SELECT count(*) FROM apsched_runs WHERE outcome = 'succeeded'").fetchone()
                if row is not None and row[0] == jobs:
                    return jobs / (time.perf_counter() - began)
                time.sleep(0.02)
    finally:
        for each in running:
            each.kill()
            each.communicate()


async def be_node(url: str) -> None:
    async with AsyncScheduler(jobstores={"default": sql(url)}, timezone="UTC", start_paused=True) as scheduler:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await scheduler.resume()
        await asyncio.sleep(600)


def sql(url: str) -> Any:
    from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore

    return SQLAlchemyJobStore(url=url.replace("postgresql:", "postgresql+asyncpg:", 1))


def one(jobs: int, func: Callable[[], Any], make_store: Callable[[], Any], executor: Any = None) -> float:
    return asyncio.run(in_one_process(jobs, func, make_store(), executor))


def memory() -> Any:
    from apsched.jobstores.memory import MemoryJobStore

    return MemoryJobStore()


def cases(jobs: int, stack: ExitStack) -> dict[str, Callable[[], float]]:
    """Return what is measured; servers start here."""
    from apsched.executors.pool import ProcessPoolExecutor

    postgresql = stack.enter_context(start_postgresql(is_durable=True))
    folder = stack.enter_context(TemporaryDirectory())
    few = jobs // SLOW

    def sqlite() -> Any:
        return sql(f"sqlite:///{folder}/{time.monotonic_ns()}.db")

    def nodes(count: int) -> float:
        with postgresql.database() as url:
            return on_nodes(jobs, count, url)

    found: dict[str, Callable[[], float]] = {
        "one process, memory store, coroutine functions": lambda: one(jobs, nothing_async, memory),
        "one process, memory store, 10 threads": lambda: one(jobs, nothing, memory),
        "one process, SQLite, coroutine functions": lambda: one(jobs, nothing_async, sqlite),
        "one machine, memory store, 2 worker processes": lambda: one(jobs, nothing, memory, ProcessPoolExecutor(2)),
        "shared store, PostgreSQL, 1 node": lambda: nodes(1),
        "shared store, PostgreSQL, 2 nodes": lambda: nodes(2),
        "shared store, PostgreSQL, 4 nodes": lambda: nodes(4),
    }
    if has("distributed"):
        from apsched.executors.dask import DaskExecutor
        from tests.engines.dask_cluster import start_dask

        dask = stack.enter_context(start_dask())
        found["engine, Dask, 2 workers of 2 threads"] = lambda: one(few, nothing, memory, DaskExecutor(dask.address))
    if has("celery"):
        from apsched.executors.celery import CeleryExecutor
        from tests.engines.celery_worker import start_celery

        worker = stack.enter_context(start_celery(stack.enter_context(start_redis(is_durable=True)).url))
        found["engine, Celery, 2 processes"] = lambda: one(few, nothing, memory, CeleryExecutor(worker.app))
    return found


def has(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how many calls a second each step makes.")
    parser.add_argument("--jobs", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--node", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.node:
        asyncio.run(be_node(options.node))
        return
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores", end="")
    print(*(f", {name} {version(name)}" for name in ("distributed", "celery", "redis") if has(name)), sep="")
    with ExitStack() as stack:
        measured = cases(options.jobs, stack)
        rates: dict[str, list[float]] = {name: [] for name in measured}
        for _ in range(options.rounds):
            for name, measure in measured.items():
                rates[name].append(measure())
    for name, values in rates.items():
        print(f"{name:50} median {statistics.median(values):8.0f} a second, best {max(values):8.0f}")


if __name__ == "__main__":
    main()
