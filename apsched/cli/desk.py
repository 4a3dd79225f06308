"""Work on a job store from outside of any scheduler (layer 10).

Rule 1: nothing here joins as a node, so nothing is ever claimed or run, and no node sees that somebody has looked.
Rule 2: whoever changes something tells the nodes, so that they look at the store at once.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, tzinfo
from pathlib import Path
from typing import TypeVar

import anyio
import attrs

from apsched.cli.options import no_store
from apsched.cli.settings import Settings
from apsched.cli.stores import make_store
from apsched.clock import Clock, SystemClock
from apsched.engine.entered import entered
from apsched.engine.make_job import JobMaker
from apsched.exceptions import JobLookupError
from apsched.job import Job, JobDefaults
from apsched.jobstores.base import JobStore

T = TypeVar("T")

HINT_PATIENCE = 5.0  # seconds that telling the nodes may take; they look by themselves, too
STORE_ALIAS = "default"

logger: logging.Logger = logging.getLogger("apsched.cli")


@attrs.frozen
class Desk:
    """
    A job store that is open, and what one needs to work on it.

    Attributes:
        store: The store.
        maker: Makes and changes jobs.
        clock: Time.
        zone: In which times are shown and read.
    """

    store: JobStore
    maker: JobMaker
    clock: Clock
    zone: tzinfo

    @property
    def now(self) -> datetime:
        """The present time, aware UTC."""
        return self.clock.now()

    async def job(self, job_id: str) -> Job:
        """
        Return the job of that id.

        Raises:
            JobLookupError: There is none.
        """
        job = await self.store.get(job_id)
        if job is None:
            raise JobLookupError(job_id)
        return job

    async def tell_nodes(self) -> None:
        """Let the nodes of the store look at it now; without that they do within seconds."""
        notifier = self.store.notifier()
        if notifier is None:
            return
        try:
            with anyio.move_on_after(HINT_PATIENCE):
                async with entered(notifier, "the notifier of the job store"):
                    await notifier.notify(STORE_ALIAS)
        except Exception:
            logger.debug("the nodes cannot be told of the change", exc_info=True)


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
    if settings.store is None:
        raise no_store()
    if not create:
        _check_file(settings.store)
    zone = settings.zone
    store = make_store(settings.store, settings.table, settings.schema, settings.serializer)
    async with entered(store, "the job store"):
        yield Desk(store, JobMaker(JobDefaults(), zone), SystemClock(), zone)


def at_desk(settings: Settings, work: Callable[[Desk], Awaitable[T]], *, create: bool = False) -> T:
    """Open the store that the settings name, do *work* on it, and return what it returns."""

    async def main() -> T:
        async with open_desk(settings, create=create) as desk:
            return await work(desk)

    return anyio.run(main)


def _check_file(url: str) -> None:
    """Raise FileNotFoundError if *url* is that of a SQLite file that is not there: reading must not make one."""
    scheme, _, place = url.partition("://")
    path = place.partition("?")[0].removeprefix("/")
    if scheme.partition("+")[0] != "sqlite" or not path or path == ":memory:" or path.startswith("file:"):
        return
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no job store {path!r}; a path after sqlite:/// begins in this folder")
