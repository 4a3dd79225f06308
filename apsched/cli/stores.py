"""Make the job store that a URL names (layer 10)."""

from __future__ import annotations

from typing import Any

from apsched import _plugins
from apsched.cli.settings import Settings
from apsched.jobstores.base import JobStore

SCHEMES = ("sqlite", "postgresql", "mysql", "mariadb", "redis", "rediss", "unix", "mongodb")


def store_of(settings: Settings) -> JobStore | None:
    """
    Return the job store that is meant, not open; None if none is.

    Raises:
        MissingExtraError: The client of that server is not installed.
        ValueError: The URL is of no store that is known.
    """
    if settings.store is not None:
        return make_store(settings.store, settings.table, settings.schema, settings.serializer)
    return None if settings.program is None else settings.program.make_store()


def make_store(
    url: str, table: str | None = None, schema: str | None = None, serializer: str | None = None
) -> JobStore:
    """
    Return the job store at *url*, not open.

    Args:
        url: `sqlite:///...`, `postgresql://...`, `mysql://...`, `mariadb://...`, `redis://...` or `mongodb://...`.
        table: The name of the table or the collection of jobs, or what keys in Redis begin with; None: that which
            stores have by default.
        schema: The schema of the tables.
        serializer: The alias of what writes the jobs; None: what stores have by default.

    Raises:
        MissingExtraError: The client of that server is not installed.
        ValueError: The URL is of no store that is known.
    """
    scheme, parted, _ = url.partition("://")
    if not parted:
        raise ValueError(f"a job store must be given by a URL such as 'sqlite:///jobs.db', got {url!r}")
    if scheme.partition("+")[0] not in SCHEMES:
        known = ", ".join(f"{each}://" for each in SCHEMES)
        raise ValueError(f"url must begin with one of {known}, got '{scheme}://...'")
    if scheme in ("redis", "rediss", "unix"):
        alias, options = "redis", {"jobs_key": table}
    elif scheme in ("mongodb", "mongodb+srv"):
        alias, options = "mongodb", {"collection": table}
    else:
        alias, options = "sqlalchemy", {"tablename": table, "tableschema": schema}
    options["serializer"] = serializer
    make: Any = _plugins.find("jobstore", alias)
    store: JobStore = make(url=url, **{name: value for name, value in options.items() if value is not None})
    return store
