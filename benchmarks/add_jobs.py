"""Measure what adding a job costs, one by one and in one batch, to a scheduler that has started.

Coroutine functions with an interval trigger that is far from due; the loop of the scheduler gets its turn only as the
calls give it. Each number is added to an empty scheduler.

    python benchmarks/add_jobs.py [--quick] [--rounds 5] [--ours] [--json FILE]
"""

from __future__ import annotations

import asyncio
import platform
import time
from datetime import UTC
from typing import Any

import _peers
from _peers import OURS, V3, V4


async def job() -> None:
    """Do nothing."""


def _result(jobs: int, start: float, cpu: float) -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "us": (time.perf_counter() - start) / jobs * 1e6,
        "cpu_us": (time.process_time() - cpu) / jobs * 1e6,
    }


def one_by_one(jobs: int) -> dict[str, Any]:
    """Measure `await add_job` for each."""

    async def main() -> dict[str, Any]:
        from apsched.async_scheduler import AsyncScheduler

        async with AsyncScheduler(timezone="UTC") as scheduler:
            await scheduler.add_job(job, "interval", hours=1000)
            start, cpu = time.perf_counter(), time.process_time()
            for _ in range(jobs):
                await scheduler.add_job(job, "interval", hours=1000)
            result = _result(jobs, start, cpu)
            _check(len(await scheduler.get_jobs()), jobs)
        return result

    return asyncio.run(main())


def batch(jobs: int) -> dict[str, Any]:
    """Measure `await add_jobs` for all."""

    async def main() -> dict[str, Any]:
        from apsched.async_scheduler import AsyncScheduler

        async with AsyncScheduler(timezone="UTC") as scheduler:
            await scheduler.add_job(job, "interval", hours=1000)
            start, cpu = time.perf_counter(), time.process_time()
            await scheduler.add_jobs({"func": job, "trigger": "interval", "hours": 1000} for _ in range(jobs))
            result = _result(jobs, start, cpu)
            _check(len(await scheduler.get_jobs()), jobs)
        return result

    return asyncio.run(main())


def v3(jobs: int) -> dict[str, Any]:
    """Measure AsyncIOScheduler."""

    async def main() -> dict[str, Any]:
        from apscheduler.schedulers.asyncio import AsyncIOScheduler

        scheduler = AsyncIOScheduler(timezone=UTC)
        scheduler.start()
        scheduler.add_job(job, "interval", hours=1000)
        start, cpu = time.perf_counter(), time.process_time()
        for _ in range(jobs):
            scheduler.add_job(job, "interval", hours=1000)
        result = _result(jobs, start, cpu)
        _check(len(scheduler.get_jobs()), jobs)
        scheduler.shutdown()
        return result

    return asyncio.run(main())


def v4(jobs: int) -> dict[str, Any]:
    """Measure the asynchronous scheduler of 4.0."""

    async def main() -> dict[str, Any]:
        from apscheduler import AsyncScheduler
        from apscheduler.triggers.interval import IntervalTrigger

        async with AsyncScheduler() as scheduler:
            await scheduler.start_in_background()
            await scheduler.add_schedule(job, IntervalTrigger(hours=1000))
            start, cpu = time.perf_counter(), time.process_time()
            for _ in range(jobs):
                await scheduler.add_schedule(job, IntervalTrigger(hours=1000))
            result = _result(jobs, start, cpu)
            _check(len(await scheduler.get_schedules()), jobs)
        return result

    return asyncio.run(main())


def _check(found: int, jobs: int) -> None:
    if found != jobs + 1:
        raise RuntimeError(f"{found} jobs instead of {jobs + 1}")


WORK = {"one by one": one_by_one, "batch": batch, "v3": v3, "v4": v4}


def plan(options: Any) -> list[dict[str, Any]]:
    """Return what is to be measured."""
    numbers = (1000, 10_000) if options.quick else (1000, 10_000, 100_000)
    measurements = []
    for jobs in numbers:
        measurements += [{"product": OURS, "case": case, "jobs": jobs} for case in ("one by one", "batch")]
        if not options.ours:
            measurements.append({"product": V3, "case": "v3", "jobs": jobs})
            if jobs == 1000:
                measurements.append({"product": V4, "case": "v4", "jobs": jobs})
    return measurements


def judge(rows: list[dict[str, Any]]) -> list[str]:
    """Return the targets and what became of them."""
    lines = []
    for row in (row for row in rows if row["product"] == OURS):
        peer = _peers.pick(rows, product=V3, jobs=row["jobs"])
        name = f"{row['jobs']} jobs, {row['case']}, {row['us']:.1f} us a job"
        bound = 3 if row["case"] == "batch" else 1
        lines.append(
            _peers.verdict(f"{name}: times faster than {V3}", _peers.ratio(peer, row, "us"), bound, at_least=True)
        )
        if row["jobs"] > 1000:
            least = _peers.pick(rows, product=OURS, case=row["case"], jobs=1000)
            lines.append(_peers.verdict(f"{name}: times that at 1000", _peers.ratio(row, least, "us"), 1.2))
    return lines


def main() -> None:
    """Measure and tell."""
    options = _peers.options("Measure what adding a job costs.", rounds=5)
    rows = _peers.interleave(__file__, plan(options), options.rounds, ("us", "cpu_us"))
    _peers.report(options.json, "add_jobs", rows, judge(rows))


if __name__ == "__main__" and not _peers.work(WORK):
    main()
