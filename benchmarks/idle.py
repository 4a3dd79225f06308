"""Measure what jobs cost that are far from due: CPU and memory.

Coroutine functions with an interval trigger of 1,000 hours and an id of their own. Memory is what the process, or
tracemalloc in a process of its own, says after all were added less what it said before, divided by the jobs.

    python benchmarks/idle.py [--quick] [--rounds 3] [--ours] [--json FILE]
"""

from __future__ import annotations

import asyncio
import gc
import os
import platform
import time
import tracemalloc
from datetime import UTC
from pathlib import Path
from typing import Any

import _peers
from _peers import OURS, V3


async def job() -> None:
    """Do nothing."""


def resident() -> int:
    """Return the resident bytes of this process (Linux)."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Meter:
    """Measures memory while jobs are added, and CPU while nothing happens."""

    def __init__(self, jobs: int, seconds: float, trace: bool) -> None:
        self.jobs = jobs
        self.seconds = seconds
        if trace:
            tracemalloc.start()
        self.trace = trace
        self.before = self._memory()

    def _memory(self) -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0] if self.trace else resident()

    async def watch(self) -> dict[str, Any]:
        """Return what was measured."""
        await asyncio.sleep(0.5)  # what adding has left to do is done
        memory = (self._memory() - self.before) / self.jobs
        name = "traced_bytes" if self.trace else "resident_bytes"
        cpu = time.process_time()
        await asyncio.sleep(self.seconds)
        return {
            "python": platform.python_version(),
            name: memory,
            "cpu_ms_per_s": (time.process_time() - cpu) / self.seconds * 1e3,
        }


def ours(jobs: int, seconds: float, trace: bool) -> dict[str, Any]:
    """Measure AsyncScheduler."""

    async def main() -> dict[str, Any]:
        from apsched.async_scheduler import AsyncScheduler

        async with AsyncScheduler(timezone="UTC") as scheduler:
            await scheduler.add_job(job, "interval", hours=1000)
            meter = Meter(jobs, seconds, trace)
            for number in range(jobs):
                await scheduler.add_job(job, "interval", hours=1000, id=f"job-{number}")
            return await meter.watch()

    return asyncio.run(main())


def v3(jobs: int, seconds: float, trace: bool) -> dict[str, Any]:
    """Measure AsyncIOScheduler."""

    async def main() -> dict[str, Any]:
        from apscheduler.schedulers.asyncio import AsyncIOScheduler

        scheduler = AsyncIOScheduler(timezone=UTC)
        scheduler.start()
        scheduler.add_job(job, "interval", hours=1000)
        meter = Meter(jobs, seconds, trace)
        for number in range(jobs):
            scheduler.add_job(job, "interval", hours=1000, id=f"job-{number}")
        result = await meter.watch()
        scheduler.shutdown()
        return result

    return asyncio.run(main())


WORK = {"ours": ours, "v3": v3}


def plan(options: Any) -> list[dict[str, Any]]:
    """Return what is to be measured."""
    jobs, seconds = (10_000, 3) if options.quick else (100_000, 10)
    products = {OURS: "ours"} if options.ours else {OURS: "ours", V3: "v3"}
    return [
        {"product": product, "case": case, "jobs": jobs, "seconds": 1 if trace else seconds, "trace": trace}
        for trace in (False, True)
        for product, case in products.items()
    ]


def judge(rows: list[dict[str, Any]]) -> list[str]:
    """Return the targets and what became of them."""
    lines = []
    for trace, key in ((False, "resident_bytes"), (True, "traced_bytes")):
        row, peer = (_peers.pick(rows, product=product, trace=trace) for product in (OURS, V3))
        if row is not None:
            name = f"{row['jobs']} jobs, {row[key]:.0f} bytes a job ({key})"
            lines.append(_peers.verdict(f"{name}: times that of {V3}", _peers.ratio(row, peer, key), 1))
        if row is not None and not trace:
            lines.append(_peers.verdict(f"{row['jobs']} jobs: ms of CPU a second", row["cpu_ms_per_s"], 1))
    return lines


def main() -> None:
    """Measure and tell."""
    options = _peers.options("Measure what jobs cost that are far from due.", rounds=3)
    keys = ("resident_bytes", "traced_bytes", "cpu_ms_per_s")
    rows = _peers.interleave(__file__, plan(options), options.rounds, keys)
    _peers.report(options.json, "idle", rows, judge(rows))


if __name__ == "__main__" and not _peers.work(WORK):
    main()
