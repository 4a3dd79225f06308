"""Open the job store that the settings name, to work on it from outside of any scheduler (layer 10)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import anyio

from apsched.cli.options import no_store
from apsched.cli.settings import Settings
from apsched.cli.stores import store_of
from apsched.engine.desk import Desk, opened
from apsched.jobstores.base import JobStore

T = TypeVar("T")

__all__ = ["Desk", "at_desk", "named_store", "open_desk"]


@asynccontextmanager
async def open_desk(settings: Settings, *, create: bool = False) -> AsyncGenerator[Desk]:
    """
    Open the store that the settings name.

    Args:
        settings: Where it is.
        create: Whether a SQLite file that is not there is made.

    Raises:
        UsageError: No store is named.
        FileNotFoundError: There is no such SQLite file.
        Exception: What the store raises where it cannot be opened.
    """
    async with opened(named_store(settings, create=create), settings.zone) as desk:
        yield desk


def at_desk(settings: Settings, work: Callable[[Desk], Awaitable[T]], *, create: bool = False) -> T:
    """Open the store that the settings name, do *work* on it, and return what it returns."""

    async def main() -> T:
        async with open_desk(settings, create=create) as desk:
            return await work(desk)

    return anyio.run(main)


def named_store(settings: Settings, *, create: bool = False) -> JobStore:
    """
    Return the store that the settings name, not open.

    Args:
        settings: Where it is.
        create: Whether a SQLite file that is not there is made when it is opened.

    Raises:
        UsageError: No store is named.
        FileNotFoundError: There is no such SQLite file.
    """
    if not create and settings.store is not None:
        _check_file(settings.store)
    store = store_of(settings)
    if store is None:
        raise no_store()
    return store


def _check_file(url: str) -> None:
    """Raise FileNotFoundError if *url* is that of a SQLite file that is not there: reading must not make one."""
    scheme, _, place = url.partition("://")
    path = place.partition("?")[0].removeprefix("/")
    if scheme.partition("+")[0] != "sqlite" or not path or path == ":memory:" or path.startswith("file:"):
        return
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no job store {path!r}; a path after sqlite:/// begins in this folder")
