"""Measure what a store with a million jobs costs.

Interval jobs of which 500 are due and the others far off. `take_due` and `next_run_time` are timed on the store itself,
with 500 due jobs and with none; then a scheduler idles on that store, and its CPU and its growth of memory are taken.

    python benchmarks/million.py [--quick] [--rounds 1] [--json FILE]
"""

from __future__ import annotations

import asyncio
import os
import platform
import statistics
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import _peers
from _peers import OURS
from _servers import SERVERS, Databases, make_store

PART = 5000
DUE = 500
LOOKS = 50


async def noop() -> None:
    """Be a job."""


def resident() -> int:
    """Return the resident bytes of this process (Linux)."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def fill(store: Any, jobs: int, now: datetime) -> None:
    """Add the jobs."""
    from apsched.job import Job
    from apsched.triggers.interval import IntervalTrigger

    trigger = IntervalTrigger(hours=10_000, start_date=now - timedelta(hours=1), timezone=UTC)
    for first in range(0, jobs, PART):
        part = []
        for number in range(first, min(first + PART, jobs)):
            at = now - timedelta(seconds=1) if number < DUE else now + timedelta(days=300, seconds=number)
            more = {"func": noop, "trigger": trigger, "executor": "asyncio"}
            part.append(Job(id=f"job-{number}", name="noop", next_run_time=at, next_nominal_time=at, **more))
        await store.add(part)


async def look(store: Any, now: datetime) -> tuple[float, int]:
    """Return how many milliseconds one `take_due` took, and how many jobs it gave."""
    from apsched.engine.plan import plan as decide

    began = time.perf_counter()
    plans = await store.take_due(now, {"default": 10, "asyncio": DUE}, decide, "node")
    return (time.perf_counter() - began) * 1e3, len(plans)


def ours(server: str, jobs: int, seconds: float, url: str) -> dict[str, Any]:
    """Measure one server."""
    from apsched.async_scheduler import AsyncScheduler

    async def main() -> dict[str, Any]:
        now = datetime.now(UTC)
        async with make_store(server, url) as store:
            began = time.perf_counter()
            await fill(store, jobs, now)
            filled = time.perf_counter() - began
            await store.join("node", 60.0, now)
            await look(store, now - timedelta(hours=1))  # connects, and plans its statements
            full, taken = await look(store, now)
            if taken != DUE:
                raise RuntimeError(f"{taken} jobs were taken, not {DUE}")
            empty = statistics.median([(await look(store, now))[0] for _ in range(LOOKS)])
            times = []
            for _ in range(LOOKS):
                began = time.perf_counter()
                await store.next_run_time({"asyncio": 1}, "node")
                times.append((time.perf_counter() - began) * 1e3)
            await store.leave("node")
        async with AsyncScheduler(jobstores={"default": make_store(server, url)}, timezone="UTC"):
            await asyncio.sleep(2)
            before, cpu = resident(), time.process_time()
            await asyncio.sleep(seconds)
            idle = (time.process_time() - cpu) / seconds * 1e3
            growth = (resident() - before) / 2**20
        return {
            "python": platform.python_version(),
            "add_us": filled / jobs * 1e6,
            "take_500_ms": full,
            "take_none_ms": empty,
            "next_ms": statistics.median(times),
            "idle_cpu_ms_per_s": idle,
            "growth_mib": growth,
        }

    return asyncio.run(main())


KEYS = ("add_us", "take_500_ms", "take_none_ms", "next_ms", "idle_cpu_ms_per_s", "growth_mib")


def plan(options: Any) -> list[dict[str, Any]]:
    """Return what is to be measured."""
    jobs, seconds = (20_000, 3) if options.quick else (1_000_000, 20)
    return [{"product": OURS, "case": "ours", "server": server, "jobs": jobs, "seconds": seconds} for server in SERVERS]


def judge(rows: list[dict[str, Any]]) -> list[str]:
    """Return the targets and what became of them."""
    lines = []
    for row in rows:
        name = f"{row['server']}, {row['jobs']} jobs"
        for key, limit in (("take_none_ms", 10.0), ("next_ms", 10.0), ("idle_cpu_ms_per_s", 20.0), ("growth_mib", 5.0)):
            lines.append(_peers.verdict(f"{name}: {key}", row[key], limit))
        lines.append(f"{name}: {row['take_500_ms']:.0f} ms to take {DUE}, {row['add_us']:.0f} us to add one")
    return lines


def main() -> None:
    """Measure and tell."""
    options = _peers.options("Measure what a store with a million jobs costs.", rounds=1)
    with ExitStack() as stack:
        rows = _peers.interleave(__file__, plan(options), options.rounds, KEYS, around=Databases(stack).database)
    _peers.report(options.json, "million", rows, judge(rows))


if __name__ == "__main__" and not _peers.work({"ours": ours}):
    main()
