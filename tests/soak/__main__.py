"""
Let one scheduler make a million runs, and see that it needs no more memory for the last than for the first.

    python -m tests.soak [memory] [sqlite] [--runs 1000000] [--minutes 10]

All kinds of runs, in virtual time: coroutines and threads, failures and retries, skipped and following runs, runs by
hand, jobs that come and go. Printed at each tenth: resident memory, objects, threads, tasks, open files. Ends with 1 if
any of them grows after the second tenth, if something is left at the end, or if the minutes are over.
"""

from __future__ import annotations

import argparse
import gc
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import anyio
import attrs

from apsched import After, AsyncScheduler, Retry, current_run
from apsched.jobstores.base import JobStore
from apsched.jobstores.memory import MemoryJobStore
from apsched.testing.clock import VirtualClock
from tests.soak.measure import Measured, measure

COROUTINES = 80  # jobs, each of which runs once in a virtual second
THREADS = 5
GROWTH = 16 * 2**20  # bytes that the memory may grow by after the second tenth: what the allocator keeps, not runs
SHARE = 0.02  # by which the number of objects may
RUNS = {"memory": 1_000_000, "sqlite": 200_000}

clock = VirtualClock()


@attrs.define
class Count:
    """How many runs have ended."""

    runs: int = 0

    def note(self, event: Any) -> None:
        """Count the run that *event* is about; a listener."""
        if getattr(event, "run", None) is not None:
            self.runs += 1


async def work(number: int) -> int:
    """Be a job."""
    return number


def work_in_thread() -> str:
    """Be a job in a thread that tells of itself."""
    current_run().progress(0.5, "half")
    logging.getLogger("soak").warning("a line in the log of the run")
    return "x" * 1000


async def fail() -> None:
    """Be a job that fails."""
    raise ValueError("as ever")


async def be_slow() -> None:
    """Be in the way of the next two nominal times."""
    await clock.sleep(2.5)


async def add_jobs(scheduler: AsyncScheduler) -> None:
    """Add jobs of all kinds."""
    each_second: dict[str, Any] = {"trigger": "interval", "seconds": 1}
    await scheduler.add_jobs([{"func": work, "args": [number], **each_second} for number in range(COROUTINES)])
    await scheduler.add_jobs([{"func": work_in_thread, **each_second} for _ in range(THREADS)])
    await scheduler.add_job(fail, **each_second)
    await scheduler.add_job(fail, **each_second, retry=Retry(3, 0.2, factor=1))
    await scheduler.add_job(be_slow, **each_second)
    await scheduler.add_job(be_slow, **each_second, overlap="queue_one")
    await scheduler.add_job(be_slow, **each_second, overlap="cancel_running")
    await scheduler.add_job(work, args=[0], id="first", **each_second)
    await scheduler.add_job(work, After("first"), args=[0])


async def soak(store: JobStore, runs: int, deadline: float) -> list[Measured]:
    """Make so many runs and return what was measured at each tenth."""
    measured: list[Measured] = []
    count = Count()
    async with AsyncScheduler(clock=clock, timezone="UTC", jobstores={"default": store}) as scheduler:
        await scheduler.add_listener(count.note)
        await add_jobs(scheduler)
        for tenth in range(1, 11):
            while count.runs < runs * tenth / 10:
                await clock.advance(5)
                job = await scheduler.add_job(work, "interval", args=[1], seconds=1, jitter=1)
                handle = await scheduler.run_job(job.id)
                await clock.advance(5)
                await handle.result()
                await scheduler.remove_job(job.id)
                if time.monotonic() > deadline:
                    raise SystemExit(f"the minutes are over after {count.runs:,} runs")
            measured.append(measure())
            print(f"{count.runs:>10,} runs: {measured[-1]}", flush=True)
    return measured


def complaints(measured: list[Measured]) -> list[str]:
    """Return what has grown."""
    early, late = measured[1], measured[-1]
    found = []
    if late.resident - early.resident > GROWTH:
        found.append(f"resident memory has grown by {(late.resident - early.resident) / 2**20:.1f} MiB")
    if late.objects - early.objects > SHARE * early.objects:
        found.append(f"there are {late.objects - early.objects} more objects")
    found += [
        f"there are more {name}"
        for name in ("threads", "tasks", "files")
        if getattr(late, name) > getattr(early, name) + 2  # what is under way at one moment
    ]
    return found


async def run(name: str, runs: int, minutes: float) -> list[str]:
    """Soak one store, and return what is wrong."""
    deadline = time.monotonic() + 60 * minutes
    before = measure()
    with tempfile.TemporaryDirectory() as folder:
        measured = await soak(_make_store(name, Path(folder)), runs, deadline)
    gc.collect()
    left = measure()
    print(f"   shut down: {left}")
    found = complaints(measured)
    for each in ("threads", "tasks", "files"):
        if getattr(left, each) > getattr(before, each):
            found.append(f"{each} are left")
    return [f"{name}: {what}" for what in found]


def _make_store(name: str, folder: Path) -> JobStore:
    if name == "memory":
        return MemoryJobStore(keep_gone_jobs=100)
    from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore

    return SQLAlchemyJobStore(f"sqlite:///{folder / 'jobs.db'}")


async def warm_up() -> None:
    """Let the event loop start what it keeps, such as its idle threads, before anything is measured."""
    await anyio.to_thread.run_sync(int)


async def main(names: list[str], runs: int | None, minutes: float) -> list[str]:
    """Soak all stores that are named."""
    logging.disable(logging.ERROR)
    await warm_up()
    found = []
    for name in names:
        print(name)
        found += await run(name, runs or RUNS[name], minutes)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("stores", nargs="*", default=[], help="memory, sqlite; both unless named")
    parser.add_argument("--runs", type=int, help="how many; a million, and 200,000 in a file")
    parser.add_argument("--minutes", type=float, default=10, help="that one store may take")
    options = parser.parse_args()
    wrong = anyio.run(main, options.stores or list(RUNS), options.runs, options.minutes)
    print("\n".join(wrong) or "nothing has grown, and nothing is left")
    sys.exit(bool(wrong))
