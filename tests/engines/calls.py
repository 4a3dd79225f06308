"""What the engines are given to call, and how the tests see that it is called there."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import anyio

PATIENCE = 30  # seconds; only for what hangs


def note_and_wait(path: str) -> None:
    """Add a line with the number of this process to a file, and wait until the file is gone."""
    note(path)
    while Path(path).exists():
        time.sleep(0.01)


async def note_and_wait_for_cancel(path: str) -> None:
    """Add a line to a file, and another one when cancelled."""
    note(path)
    try:
        await anyio.sleep(PATIENCE)
    finally:
        note(path)


def note(path: str) -> None:
    """Add a line with the number of this process to a file."""
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")


def notes(path: Path) -> list[int]:
    """Return the numbers of the processes that have added a line."""
    return [int(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


async def until(is_so: Callable[[], object]) -> None:
    """Return when something in another process is so."""
    with anyio.fail_after(PATIENCE):
        while not is_so():  # noqa: ASYNC110  # files do not wake anybody
            await anyio.sleep(0.01)


def give_back(value: object) -> object:
    """Return what was given."""
    return value


def give_object() -> object:
    """Return what cannot be written."""
    return object()


def process_id() -> int:
    """Return the number of this process."""
    return os.getpid()


def nothing() -> None:
    """Be a job that costs nothing."""


async def nothing_async() -> None:
    """Be a coroutine function that costs nothing."""
