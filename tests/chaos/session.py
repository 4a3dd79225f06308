"""One session of chaos: a store, some nodes, some minutes, and what was found."""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import datetime, timedelta
from pathlib import Path

import anyio
import attrs

from apsched.clock import SystemClock
from apsched.doctor import examine
from apsched.job import Job
from apsched.jobstores.base import JobFilter, RunFilter
from apsched.run import Run
from tests.chaos.arena import Arena, open_arena
from tests.chaos.checker import Report, check
from tests.chaos.driver import Driver
from tests.chaos.editor import OPEN, Editor
from tests.chaos.evidence import Evidence
from tests.chaos.ledger import read_attempts
from tests.cluster.stores import make_store

PAGE = 2000
LONGEST = 600.0  # seconds that all runs may take to end, as long as some do
REST = 2.0  # seconds for which nothing may be left; what follows a run may come after its end


@attrs.frozen
class Settings:
    """
    What a session consists of.

    Attributes:
        store: `"sqlite"`, `"postgresql"`, `"mysql"`, `"redis"` or `"mongodb"`.
        seed: What everything depends on that is done.
        seconds: How long something is done.
        nodes: How many there are, most of the time.
        lease: Theirs, in seconds.
    """

    store: str
    seed: int
    seconds: float
    nodes: int = 3
    lease: float = 5.0


def hold(settings: Settings, folder: Path) -> tuple[Report, dict[str, int]]:
    """
    Hold a session, and return what was found and how often each fault was.

    Args:
        settings: What it consists of.
        folder: Empty; keeps logs, the ledger and the history.
    """
    clock = SystemClock()
    offset = clock.now().timestamp() - time.monotonic()
    with open_arena(settings.store, folder) as arena:
        editor = Editor(arena.url, f"jobs {settings.seed}", settings.lease)
        driver = Driver(arena, folder, settings.nodes, settings.lease, f"faults {settings.seed}")
        with driver:
            editor.start()
            try:
                driver.run(settings.seconds)
            finally:
                driver.mend()
                editor.finish()
            left = _wait_until_settled(arena, driver, 60 + 12 * settings.lease)
            driver.stop()
        runs, findings = _last_look(arena, clock.now())
    (folder / "history.txt").write_text("".join(f"{run}\n" for run in runs))
    attempts = read_attempts(folder / "ledger")
    evidence = Evidence(editor.courses, runs, attempts, driver.faults, settings.lease, offset, editor.cancellations)
    report = check(evidence)
    report = attrs.evolve(report, failures=report.failures + driver.failures + left + findings)
    return report, dict(driver.faults.counts()) | {"changes of jobs": editor.changes}


def _wait_until_settled(arena: Arena, driver: Driver, patience: float) -> list[str]:
    """Wait until no run is open and no job goes on; return what is left when nothing has changed for so long."""
    changed = time.monotonic()
    limit = changed + LONGEST
    before: Collection[object] = []
    while True:
        driver.mend()
        runs, jobs = _left(arena)
        left = [*((run.id, run.epoch) for run in runs), *((job.id, job.next_run_time) for job in jobs)]
        now = time.monotonic()
        if left != before:
            before, changed = left, now
        if not left and now > changed + REST:
            return []
        if now > min(changed + patience, limit):
            stuck = [f"stuck: {run.id} is {run.outcome}" for run in runs]
            return stuck + [f"stuck: {job!r}, due {job.next_run_time}" for job in jobs]
        time.sleep(0.5)


def _left(arena: Arena) -> tuple[list[Run], list[Job]]:
    async def read() -> tuple[list[Run], list[Job]]:
        async with make_store(arena.url) as store:
            jobs = [job for job in await store.select(JobFilter()) if _goes_on(job)]
            return await store.runs(RunFilter(outcomes=OPEN), PAGE), jobs

    return anyio.run(read)


def _goes_on(job: Job) -> bool:
    return job.quarantine is not None or (job.next_run_time is not None and job.follows is None)


def _last_look(arena: Arena, now: datetime) -> tuple[list[Run], list[str]]:
    """Return the history, and what the doctor finds; nodes that were killed at the very end may not be settled."""

    async def read() -> tuple[list[Run], list[str]]:
        async with make_store(arena.url) as store:
            page = await store.runs(RunFilter(), PAGE)
            runs = page
            while len(page) == PAGE:
                page = await store.runs(RunFilter(), PAGE, runs[-1])
                runs = runs + page
            findings = await examine(store, now, grace=timedelta())
            return runs, [f"{f.what}: {f.id}: {f.detail}" for f in findings if f.what != "silent"]

    return anyio.run(read)
