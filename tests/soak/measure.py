"""Measure what a process has."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import anyio
import attrs

from tests.threads import threads


@attrs.frozen
class Measured:
    """
    What a process has at one moment.

    Attributes:
        resident: Bytes of memory (Linux; 0 elsewhere).
        objects: What the garbage collector knows, after a collection.
        threads: Threads.
        tasks: Tasks of the running event loop.
        files: Open files, sockets included (Linux; 0 elsewhere).
    """

    resident: int
    objects: int
    threads: int
    tasks: int
    files: int

    def __str__(self) -> str:
        return (
            f"{self.resident / 2**20:7.1f} MiB, {self.objects:,} objects, {self.threads} threads, {self.tasks} tasks, "
            f"{self.files} files"
        )


def measure() -> Measured:
    """Measure this process; in a task."""
    gc.collect()
    return Measured(
        resident=_resident(),
        objects=len(gc.get_objects()),
        threads=len(threads()),
        tasks=len(anyio.get_running_tasks()),
        files=len(open_files()),
    )


def open_files() -> dict[str, str]:
    """Return number -> name of each open file (Linux); empty elsewhere."""
    folder = Path("/proc/self/fd")
    found: dict[str, str] = {}
    for entry in folder.iterdir() if folder.exists() else ():
        try:
            found[entry.name] = str(entry.readlink())
        except OSError:  # that by which the folder was read
            continue
    return found


def _resident() -> int:
    path = Path("/proc/self/statm")
    return int(path.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") if path.exists() else 0
