"""Read the table of `SQLAlchemyJobStore` of APScheduler 3 (layer 7)."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from pathlib import Path

import anyio

from apsched.exceptions import JobStoreUnavailableError, MissingExtraError

try:
    from sqlalchemy import URL, Connection, Float, LargeBinary, Unicode, column, create_engine, inspect, make_url
    from sqlalchemy import select as select_from
    from sqlalchemy import table as table_of
    from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
    from sqlalchemy.ext.asyncio import create_async_engine
except ImportError as exc:
    raise MissingExtraError("reading a SQL database", "sqlite") from exc

from apsched.jobstores._sql.engines import hide_password
from apsched.migration.jobs import StoredJob
from apsched.migration.values import read_state

TABLE = "apscheduler_jobs"
DRIVERS = {  # dialect -> (driver, module of it), whichever is installed first
    "postgresql": (("psycopg2", "psycopg2"), ("psycopg", "psycopg"), ("asyncpg", "asyncpg")),
    "mysql": (("mysqldb", "MySQLdb"), ("pymysql", "pymysql"), ("asyncmy", "asyncmy")),
    "mariadb": (("mysqldb", "MySQLdb"), ("pymysql", "pymysql"), ("asyncmy", "asyncmy")),
}
EXTRAS = {"postgresql": "postgresql", "mysql": "mysql", "mariadb": "mysql"}


def read(source: str, table: str | None, schema: str | None) -> list[StoredJob]:
    """
    Return the jobs in a table; see `read_jobs`.

    Raises:
        FileNotFoundError: There is no such SQLite file.
        JobStoreUnavailableError: The server cannot be reached, or refuses.
        MissingExtraError: No driver for the database is installed.
        ValueError: The URL names no database that is known, or there is no such table.
    """
    url = _url(source)
    place = hide_password(url)
    work = partial(_read, table=table or TABLE, schema=schema)
    try:
        if not url.get_dialect().is_async:
            engine = create_engine(url)
            try:
                with engine.connect() as connection:
                    return work(connection)
            finally:
                engine.dispose()
        return anyio.run(_read_async, url, work)
    except (ImportError, NoSuchModuleError) as exc:
        if url.get_backend_name() in EXTRAS:
            raise MissingExtraError(f"reading {place}", EXTRAS[url.get_backend_name()]) from exc
        raise ValueError(f"the URL must be that of a database whose driver is installed, got {place}: {exc}") from exc
    except (DBAPIError, OSError) as exc:
        cause = exc.orig if isinstance(exc, DBAPIError) else exc
        raise JobStoreUnavailableError(f"{place} cannot be read: {cause}; see whether it is there") from exc


async def _read_async(url: URL, work: partial[list[StoredJob]]) -> list[StoredJob]:
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(work)
    finally:
        await engine.dispose()


def _read(connection: Connection, table: str, schema: str | None) -> list[StoredJob]:
    inspector = inspect(connection)
    if not inspector.has_table(table, schema):
        there = ", ".join(map(repr, sorted(inspector.get_table_names(schema)))) or "none"
        raise ValueError(f"{hide_password(connection.engine.url)} has no table {table!r}; there are: {there}")
    columns = [known["name"] for known in inspector.get_columns(table, schema)]
    if not {"id", "next_run_time", "job_state"} <= set(columns):
        raise ValueError(
            f"the table {table!r} must have the columns id, next_run_time and job_state of APScheduler 3, got "
            f"{', '.join(columns)}; name another table"
        )
    job_id, moment, state = column("id", Unicode), column("next_run_time", Float), column("job_state", LargeBinary)
    rows = connection.execute(select_from(job_id, moment, state).select_from(table_of(table, schema=schema)))
    return [
        StoredJob(id=str(row.id), read=partial(read_state, row.job_state), is_scheduled=row.next_run_time is not None)
        for row in rows
    ]


def _url(source: str) -> URL:
    try:
        url = make_url(source)
        url.get_backend_name()
    except ArgumentError:
        raise ValueError(
            "the source must be the URL of a database, as in 'postgresql://user:password@host/database', or the path "
            f"of a file, got {source.rpartition('@')[2]!r}"
        ) from None
    backend, database = url.get_backend_name(), url.database or ""
    if backend == "sqlite" and not database.startswith("file:") and not Path(database).is_file():
        raise FileNotFoundError(f"there is no database {database!r}; a path after sqlite:/// begins in this folder")
    if backend not in DRIVERS:
        return url
    wanted = url.get_driver_name() if "+" in url.drivername else None
    known = DRIVERS[backend]
    installed = [driver for driver, module in known if find_spec(module)]
    if wanted in installed or wanted not in (None, *(driver for driver, _ in known)) or not installed:
        return url
    return url.set(drivername=f"{backend}+{installed[0]}")
