"""Measure `add_job` of a started BackgroundScheduler, called from the main thread of a synchronous program.

Interval jobs that are far from due, one call each, into memory and into a SQLite file (synchronous as each product sets
it up by itself).

    python benchmarks/add_job_from_thread.py [--quick] [--rounds 3] [--ours] [--json FILE]
"""

from __future__ import annotations

import platform
import time
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC
from tempfile import TemporaryDirectory
from typing import Any

import _peers
from _peers import OURS, V3


def job() -> None:
    """Do nothing."""


def measure(scheduler: Any, jobs: int) -> dict[str, Any]:
    """Add so many jobs."""
    scheduler.start()
    scheduler.add_job(job, "interval", hours=1000)
    began, cpu = time.perf_counter(), time.process_time()
    for _ in range(jobs):
        scheduler.add_job(job, "interval", hours=1000)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    found = len(scheduler.get_jobs())
    scheduler.shutdown()
    if found != jobs + 1:
        raise RuntimeError(f"{found} jobs of {jobs + 1}")
    return {"python": platform.python_version(), "us": seconds / jobs * 1e6, "cpu_us": cpu / jobs * 1e6}


def folder_for(store: str) -> AbstractContextManager[str | None]:
    """Give a folder where one is needed."""
    return TemporaryDirectory() if store == "sqlite" else nullcontext()


def ours(store: str, jobs: int) -> dict[str, Any]:
    """Measure this project."""
    from apsched.schedulers.background import BackgroundScheduler

    with folder_for(store) as folder:
        scheduler = BackgroundScheduler(timezone=UTC)
        if folder is not None:
            scheduler.add_jobstore("sqlalchemy", url=f"sqlite:///{folder}/jobs.db")
        return measure(scheduler, jobs)


def v3(store: str, jobs: int) -> dict[str, Any]:
    """Measure 3.11.3."""
    from apscheduler.schedulers.background import BackgroundScheduler

    with folder_for(store) as folder:
        scheduler = BackgroundScheduler(timezone=UTC)
        if folder is not None:
            scheduler.add_jobstore("sqlalchemy", url=f"sqlite:///{folder}/jobs.db")
        return measure(scheduler, jobs)


def plan(options: Any) -> list[dict[str, Any]]:
    """Return what is to be measured."""
    numbers = {"memory": 1000, "sqlite": 300} if options.quick else {"memory": 10_000, "sqlite": 2000}
    products = {OURS: "ours"} if options.ours else {OURS: "ours", V3: "v3"}
    return [
        {"product": product, "case": case, "store": store, "jobs": jobs}
        for store, jobs in numbers.items()
        for product, case in products.items()
    ]


def judge(rows: list[dict[str, Any]]) -> list[str]:
    """Return the targets and what became of them."""
    lines = []
    for store, limit in (("memory", 1.5), ("sqlite", 1.0)):
        row, peer = (_peers.pick(rows, product=product, store=store) for product in (OURS, V3))
        if row is not None:
            name = f"{store}, {row['us']:.0f} us a call: times that of {V3}"
            lines.append(_peers.verdict(name, _peers.ratio(row, peer, "us"), limit))
    return lines


def main() -> None:
    """Measure and tell."""
    options = _peers.options("Measure add_job of a started BackgroundScheduler.", rounds=3)
    rows = _peers.interleave(__file__, plan(options), options.rounds, ("us", "cpu_us"))
    _peers.report(options.json, "add_job_from_thread", rows, judge(rows))


if __name__ == "__main__" and not _peers.work({"ours": ours, "v3": v3}):
    main()
