"""Say what earlier starts of the demo have left, and forget it (layer 10)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from datetime import datetime, tzinfo
from pathlib import Path

import attrs

from apsched.demo.jobs import FILES, FOLDERS
from apsched.demo.schedule import FILE_NAME
from apsched.demo.screen import time_until
from apsched.jobstores.base import JobStore, Node, RunFilter
from apsched.run import Outcome, Run

STORE_NAME = "jobs.sqlite"
STORE_FILES = (STORE_NAME, f"{STORE_NAME}-wal", f"{STORE_NAME}-shm")
ALL = 1_000_000  # runs


@attrs.frozen
class Past:
    """
    What a store held before the scheduler started.

    Attributes:
        runs: All records, the latest nominal time first.
        nodes: The nodes that have not shut down: they were killed, or run beside this one.
    """

    runs: Sequence[Run] = ()
    nodes: Sequence[Node] = ()

    @property
    def under_way(self) -> list[Run]:
        """The runs that had not ended."""
        return [run for run in self.runs if run.outcome is Outcome.RUNNING]

    @property
    def last_sign(self) -> datetime | None:
        """When a run last started or ended, or a node gave a sign of life; aware; None if there was nothing."""
        signs = [node.seen_at for node in self.nodes]
        signs += [moment for run in self.runs for moment in (run.started_at, run.finished_at) if moment is not None]
        return max(signs, default=None)


async def read_past(store: JobStore) -> Past:
    """Return what *store* holds; it is opened for that, and closed again."""
    async with store:
        return Past(await store.runs(RunFilter(), ALL), [node for node in await store.nodes() if not node.is_dead])


def tell_past(past: Past, now: datetime, zone: tzinfo) -> Iterator[str]:
    """Iterate over lines that say from where the demo goes on; *now* is aware, *zone* that in which times are shown."""
    if past.last_sign is None:
        yield "Nothing has run here yet."
        return
    yield (
        f"Goes on from {len(past.runs)} records of earlier starts; the last sign of life was at "
        f"{past.last_sign.astimezone(zone):%Y-%m-%d %H:%M:%S}, {time_until(now, past.last_sign)} ago."
    )
    if past.nodes:
        names = ", ".join(node.id for node in past.nodes)
        longest = max(node.lease for node in past.nodes)
        yield f"Did not shut down: {names}. After {longest:g} s without a sign of life it is taken for dead."
    if past.under_way:
        names = ", ".join(sorted(run.job_id for run in past.under_way))
        yield f"Under way then, and run again when that is certain: {names}."


def forget(folder: Path) -> None:
    """Remove the store, the schedule and the files of earlier starts; nothing where there is no store."""
    if not (folder / STORE_NAME).exists():
        return
    for name in FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in (*FILES, FILE_NAME, *STORE_FILES):
        (folder / name).unlink(missing_ok=True)
