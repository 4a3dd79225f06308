"""Measure what a run costs when very many jobs are due at one instant.

No-op jobs with a date trigger, all for the same instant, which is far enough away for all to be added before. Counted
is from that instant to the end of the last callable, divided by the jobs; for this project also until the last run is
in the history. `first` is from that instant until the first callable is entered. The floors do nothing but run the
callables.

    python benchmarks/storm.py [--quick] [--rounds 5] [--ours] [--json FILE]
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import platform
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import _peers
from _peers import BARE, OURS, V3, V4

WORKERS = 10  # threads
SECONDS_PER_JOB = 3e-4  # that the slowest scheduler needs to add one, and more


class Storm:
    """The callables and what they note."""

    def __init__(self, jobs: int, add_seconds: float = SECONDS_PER_JOB) -> None:
        self.jobs = jobs
        self.due = time.time() + 1 + jobs * add_seconds
        self.when = datetime.fromtimestamp(self.due, UTC)
        self._numbers = itertools.count(1)
        self.ended = threading.Event()
        self.first = self.last = 0.0

    def run(self) -> None:
        """Be a job in a thread."""
        number = next(self._numbers)
        if number == 1:
            self.first = time.time()
        if number == self.jobs:
            self.last = time.time()
            self.ended.set()

    async def arun(self) -> None:
        """Be a job in the event loop."""
        self.run()

    def check_added(self) -> None:
        """Be sure that the instant has not come."""
        if time.time() > self.due - 0.1:
            raise RuntimeError("adding took too long")

    async def wait(self) -> None:
        """Return when the last one has ended, without waking the loop often before."""
        await asyncio.sleep(max(self.due - time.time(), 0))
        while not self.ended.is_set():  # noqa: ASYNC110  # set by a thread, and not to be woken by it
            await asyncio.sleep(0.02)

    def result(self, **more: Any) -> dict[str, Any]:
        """Return what was measured."""
        return {
            "python": platform.python_version(),
            "us": (self.last - self.due) / self.jobs * 1e6,
            "first_ms": (self.first - self.due) * 1e3,
            **more,
        }


def _func(storm: Storm, kind: str) -> Callable[[], Any]:
    return storm.arun if kind == "coroutines" else storm.run


def ours(kind: str, jobs: int) -> dict[str, Any]:
    """Measure AsyncScheduler."""

    async def main() -> dict[str, Any]:
        from apsched.async_scheduler import AsyncScheduler

        storm = Storm(jobs)
        func = _func(storm, kind)
        async with AsyncScheduler(timezone="UTC") as scheduler:
            await scheduler.add_jobs({"func": func, "trigger": "date", "run_date": storm.when} for _ in range(jobs))
            storm.check_added()
            await storm.wait()
            while (await scheduler.health()).jobstores["default"].unrecorded:  # noqa: ASYNC110
                await asyncio.sleep(0)
            recorded = time.time()
            kept = await scheduler.get_runs(limit=jobs + 1)
            if len(kept) != jobs or {run.outcome.value for run in kept} != {"succeeded"}:
                raise RuntimeError(
                    f"{len(kept)} runs of {jobs}: outcomes {sorted({run.outcome.value for run in kept})}"
                )
            return storm.result(recorded_us=(recorded - storm.due) / jobs * 1e6)

    return asyncio.run(main())


def v3(kind: str, jobs: int) -> dict[str, Any]:
    """Measure AsyncIOScheduler (coroutines) or BackgroundScheduler (threads)."""

    async def main() -> dict[str, Any]:
        from apscheduler.schedulers.asyncio import AsyncIOScheduler

        storm = Storm(jobs)
        scheduler = AsyncIOScheduler(timezone=UTC, job_defaults={"misfire_grace_time": None})
        scheduler.start(paused=True)
        for _ in range(jobs):
            scheduler.add_job(storm.arun, "date", run_date=storm.when)
        storm.check_added()
        scheduler.resume()
        await storm.wait()
        scheduler.shutdown()
        return storm.result()

    if kind == "coroutines":
        return asyncio.run(main())
    from apscheduler.schedulers.background import BackgroundScheduler

    storm = Storm(jobs)
    scheduler = BackgroundScheduler(timezone=UTC, job_defaults={"misfire_grace_time": None})
    scheduler.start(paused=True)
    for _ in range(jobs):
        scheduler.add_job(storm.run, "date", run_date=storm.when)
    storm.check_added()
    scheduler.resume()
    storm.ended.wait()
    scheduler.shutdown()
    return storm.result()


def v4(kind: str, jobs: int) -> dict[str, Any]:
    """Measure the asynchronous scheduler of 4.0."""

    async def main() -> dict[str, Any]:
        from apscheduler import AsyncScheduler
        from apscheduler.triggers.date import DateTrigger

        storm = Storm(jobs, add_seconds=3e-3)
        func = _func(storm, kind)
        async with AsyncScheduler() as scheduler:
            await scheduler.configure_task("storm", func=func, max_running_jobs=None, misfire_grace_time=None)
            for number in range(jobs):
                await scheduler.add_schedule("storm", DateTrigger(storm.when), id=str(number))
            storm.check_added()
            await scheduler.start_in_background()
            await storm.wait()
        return storm.result()

    return asyncio.run(main())


def bare(kind: str, jobs: int) -> dict[str, Any]:
    """Measure the floor: `call_at` and a task for each, or `submit` for each."""

    async def main() -> dict[str, Any]:
        storm = Storm(jobs, add_seconds=5e-5)
        loop = asyncio.get_running_loop()
        when = loop.time() + storm.due - time.time()
        if kind == "coroutines":
            tasks = set()

            def start() -> None:
                task = loop.create_task(storm.arun())
                tasks.add(task)
                task.add_done_callback(tasks.discard)

            for _ in range(jobs):
                loop.call_at(when, start)
            await storm.wait()
            return storm.result()
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:

            def submit() -> None:
                for _ in range(jobs):
                    pool.submit(storm.run)

            loop.call_at(when, submit)
            await storm.wait()
        return storm.result()

    return asyncio.run(main())


WORK = {"ours": ours, "v3": v3, "v4": v4, "bare": bare}
PRODUCTS = {OURS: "ours", V3: "v3", V4: "v4", BARE: "bare"}


def plan(options: Any) -> list[dict[str, Any]]:
    """Return what is to be measured."""
    numbers = (1000, 10_000) if options.quick else (1000, 10_000, 50_000)
    measurements: list[dict[str, Any]] = []
    for kind in ("coroutines", "threads"):
        for jobs in numbers:
            for product, case in PRODUCTS.items():
                if (product == V4 and jobs > 1000) or (options.ours and product in (V3, V4)):
                    continue
                measurements.append({"product": product, "case": case, "kind": kind, "jobs": jobs})
        for version in ("3.12", "3.13"):
            for product in (OURS, BARE) if options.ours else (OURS, V3, BARE):
                found = {"product": product, "case": PRODUCTS[product], "kind": kind, "jobs": 10_000}
                if _peers.interpreter(version) and not options.quick:
                    measurements.append({**found, "version": version})
    return measurements


def judge(rows: list[dict[str, Any]]) -> list[str]:
    """Return the targets and what became of them."""
    lines = []
    for row in (row for row in rows if row["product"] == OURS):
        where = {key: row.get(key) for key in ("kind", "jobs", "version")}
        of = {product: _peers.pick(rows, product=product, **where) for product in PRODUCTS}
        name = f"{row['jobs']} {row['kind']} on {row['python']}, {row['us']:.1f} us a job"
        faster = {"coroutines": 1.5, "threads": 2.0}[row["kind"]]
        floor = {"coroutines": 3.0, "threads": 1.5}[row["kind"]]
        lines += [
            _peers.verdict(f"{name}: times faster than {V3}", _peers.ratio(of[V3], row, "us"), faster, at_least=True),
            _peers.verdict(f"{name}: times the bare floor", _peers.ratio(row, of[BARE], "us"), floor),
            _peers.verdict(f"{name}: ms until the first", row["first_ms"], 25, form=".1f"),
        ]
        if of[V4] is not None:
            lines.append(
                _peers.verdict(f"{name}: times faster than {V4}", _peers.ratio(of[V4], row, "us"), 10, at_least=True)
            )
        if row["jobs"] == 50_000:
            least = _peers.pick(rows, **{**where, "product": OURS, "jobs": 1000})
            lines.append(_peers.verdict(f"{name}: times that at 1000", _peers.ratio(row, least, "us"), 1.2))
    return lines


def main() -> None:
    """Measure and tell."""
    options = _peers.options("Measure what a run costs when very many jobs are due at one instant.", rounds=5)
    rows = _peers.interleave(__file__, plan(options), options.rounds, ("us", "recorded_us", "first_ms"))
    _peers.report(options.json, "storm", rows, judge(rows))


if __name__ == "__main__" and not _peers.work(WORK):
    main()
