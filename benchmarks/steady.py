"""Measure how late runs are and what they cost when 1,000 jobs run once a second each.

Interval jobs of one second whose starts are spread evenly over the second, for ten seconds after two to settle.
Lateness is from the nominal time to the entry of the callable; CPU is that of the whole process.

    python benchmarks/steady.py [--quick] [--rounds 3] [--ours] [--json FILE]
"""

from __future__ import annotations

import asyncio
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import _peers
from _peers import BARE, OURS, V3

SETTLE = 2.0  # seconds


class Load:
    """The callables and what they note."""

    def __init__(self, jobs: int, seconds: float) -> None:
        self.jobs = jobs
        self.seconds = seconds
        self.start = float(int(time.time()) + 2)
        self.lateness: list[float] = []
        self.is_on = False
        self._begun: tuple[float, float] = (0.0, 0.0)

    def first(self, number: int) -> datetime:
        """Return the first nominal time of that job."""
        return datetime.fromtimestamp(self.start + number / self.jobs, UTC)

    def run(self, number: int) -> None:
        """Be a job in a thread."""
        if self.is_on:
            self.lateness.append((time.time() - self.start - number / self.jobs) % 1)

    async def arun(self, number: int) -> None:
        """Be a job in the event loop."""
        self.run(number)

    def begin(self) -> None:
        """Begin to count."""
        self.is_on = True
        self._begun = (time.perf_counter(), time.process_time())

    def end(self) -> dict[str, Any]:
        """Return what was counted."""
        cpu = time.process_time() - self._begun[1]
        seconds = time.perf_counter() - self._begun[0]
        self.is_on = False
        late = sorted(self.lateness)
        return {
            "python": platform.python_version(),
            "runs": len(late),
            "expected": round(self.jobs * seconds),
            "p50_ms": late[len(late) // 2] * 1e3,
            "p99_ms": late[len(late) * 99 // 100] * 1e3,
            "max_ms": late[-1] * 1e3,
            "cpu_percent": cpu / seconds * 100,
            "cpu_us_per_run": cpu / len(late) * 1e6,
        }

    async def watch(self) -> dict[str, Any]:
        """Count for the time given, from within an event loop."""
        await asyncio.sleep(self.start - time.time() + SETTLE)
        self.begin()
        await asyncio.sleep(self.seconds)
        return self.end()


def _func(load: Load, kind: str) -> Callable[[int], Any]:
    return load.arun if kind == "coroutines" else load.run


def ours(kind: str, jobs: int, seconds: float) -> dict[str, Any]:
    """Measure AsyncScheduler."""

    async def main() -> dict[str, Any]:
        from apsched.async_scheduler import AsyncScheduler

        load = Load(jobs, seconds)
        func = _func(load, kind)
        async with AsyncScheduler(timezone="UTC") as scheduler:
            await scheduler.add_jobs(
                {
                    "func": func,
                    "trigger": "interval",
                    "seconds": 1,
                    "start_date": load.first(number),
                    "args": (number,),
                }
                for number in range(jobs)
            )
            return await load.watch()

    return asyncio.run(main())


def v3(kind: str, jobs: int, seconds: float) -> dict[str, Any]:
    """Measure AsyncIOScheduler (coroutines) or BackgroundScheduler (threads)."""
    load = Load(jobs, seconds)

    def add(scheduler: Any, func: Callable[[int], Any]) -> None:
        scheduler.start(paused=True)
        for number in range(jobs):
            scheduler.add_job(func, "interval", seconds=1, start_date=load.first(number), args=(number,))
        scheduler.resume()

    async def main() -> dict[str, Any]:
        from apscheduler.schedulers.asyncio import AsyncIOScheduler

        scheduler = AsyncIOScheduler(timezone=UTC, job_defaults={"misfire_grace_time": None})
        add(scheduler, load.arun)
        result = await load.watch()
        scheduler.shutdown()
        return result

    if kind == "coroutines":
        return asyncio.run(main())
    from apscheduler.schedulers.background import BackgroundScheduler

    scheduler = BackgroundScheduler(timezone=UTC, job_defaults={"misfire_grace_time": None})
    add(scheduler, load.run)
    result = asyncio.run(load.watch())
    scheduler.shutdown()
    return result


def bare(kind: str, jobs: int, seconds: float) -> dict[str, Any]:
    """Measure the floor for coroutines: `call_at` and a task for each."""

    async def main() -> dict[str, Any]:
        load = Load(jobs, seconds)
        loop = asyncio.get_running_loop()
        start = loop.time() + load.start - time.time()
        tasks = set()

        def tick(number: int, when: float) -> None:
            loop.call_at(when + 1, tick, number, when + 1)
            task = loop.create_task(load.arun(number))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        for number in range(jobs):
            when = start + number / jobs
            loop.call_at(when, tick, number, when)
        return await load.watch()

    return asyncio.run(main())


WORK = {"ours": ours, "v3": v3, "bare": bare}


def plan(options: Any) -> list[dict[str, Any]]:
    """Return what is to be measured."""
    seconds = 3 if options.quick else 10
    measurements = []
    for kind in ("coroutines", "threads"):
        for product, case in ((OURS, "ours"), (V3, "v3"), (BARE, "bare")):
            if (product == V3 and options.ours) or (product == BARE and kind == "threads"):
                continue
            measurements.append({"product": product, "case": case, "kind": kind, "jobs": 1000, "seconds": seconds})
    return measurements


def judge(rows: list[dict[str, Any]]) -> list[str]:
    """Return the targets and what became of them."""
    lines = []
    for row in (row for row in rows if row["product"] == OURS):
        peer = _peers.pick(rows, product=V3, kind=row["kind"])
        name = f"{row['kind']}, CPU {row['cpu_percent']:.1f} %"
        lines += [
            _peers.verdict(f"{name}: ms of lateness, p99", row["p99_ms"], 10, form=".1f"),
            _peers.verdict(f"{name}: times the CPU of {V3}", _peers.ratio(row, peer, "cpu_percent"), 0.5),
        ]
    return lines


def main() -> None:
    """Measure and tell."""
    options = _peers.options("Measure how late runs are, and what they cost, in steady work.", rounds=3)
    keys = ("p50_ms", "p99_ms", "max_ms", "cpu_percent", "cpu_us_per_run", "runs", "expected")
    rows = _peers.interleave(__file__, plan(options), options.rounds, keys)
    _peers.report(options.json, "steady", rows, judge(rows))


if __name__ == "__main__" and not _peers.work(WORK):
    main()
