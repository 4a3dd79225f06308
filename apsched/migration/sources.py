"""Read the jobs that APScheduler 3 has stored (layer 7).

Nothing is written, whatever is read.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from apsched.migration import exported
from apsched.migration.jobs import FoundJob, StoredJob, convert

SERVERS = {
    "redis": "redis",
    "rediss": "redis",
    "unix": "redis",
    "mongodb": "mongodb",
    "mongodb+srv": "mongodb",
}  # scheme -> the module here that reads from there; any other is one of SQLAlchemy's


def read_jobs(
    source: str, *, table: str | None = None, schema: str | None = None, imports: bool = True
) -> list[FoundJob]:
    """
    Return the jobs that APScheduler 3 has stored, in the order of their ids.

    Blocks: in an event loop, call it in a thread. The whole is held in memory.

    Args:
        source: The URL of a SQL database, as `SQLAlchemyJobStore` of APScheduler 3 takes it; of Redis, `redis://`; of
            MongoDB, `mongodb://`, where the database is `apscheduler` unless the URL names one; or the path of a file
            that `export_jobs` has written.
        table: The name of the table, of the key of jobs in Redis, or of the collection; None: `apscheduler_jobs`,
            `apscheduler.jobs` or `jobs`, as in APScheduler 3.
        schema: The schema of the table; None: the default one.
        imports: Whether the modules of the callables are imported, as a scheduler does: to remark on those that are not
            found, and to send coroutine functions to the executor `asyncio`.

    Raises:
        FileNotFoundError: There is no such file.
        JobStoreUnavailableError: The server cannot be reached, or refuses.
        MissingExtraError: The client of that server is not installed.
        ValueError: There is no such table, or the file or the URL is of no kind that is known.
    """
    return [convert(stored, imports=imports) for stored in sorted(_read(source, table, schema), key=lambda job: job.id)]


def _read(source: str, table: str | None, schema: str | None) -> list[StoredJob]:
    scheme, parted, _ = source.partition("://")
    if not parted:
        return exported.read(Path(source))
    if scheme in SERVERS:
        read: Callable[[str, str | None], list[StoredJob]] = import_module(f"apsched.migration.{SERVERS[scheme]}").read
        return read(source, table)
    read_table: Callable[[str, str | None, str | None], list[StoredJob]] = import_module("apsched.migration.sql").read
    return read_table(source, table, schema)
