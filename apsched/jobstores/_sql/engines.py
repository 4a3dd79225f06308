"""Make engines out of URLs (layer 7)."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, TypeAlias

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from apsched.exceptions import MissingExtraError
from apsched.jobstores._sql.files import watch_file

AnyEngine: TypeAlias = Engine | AsyncEngine

EXTRAS = {"sqlite": "sqlite", "postgresql": "postgresql", "mysql": "mysql", "mariadb": "mysql"}
SECRETS = ("password", "passwd", "sslpassword")  # names of parameters that drivers take in a URL


def parse_url(text: str | URL) -> URL:
    """
    Return the URL with the driver that we choose where it names none.

    Raises:
        ValueError: It is not the URL of a database that we know, or that of one in memory.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # its port, for example, is no number
        raise ValueError(
            f"url must look like 'postgresql://user:password@host/database', got {_masked(text)!r}"
        ) from None
    backend = "postgresql" if url.get_backend_name() == "postgres" else url.get_backend_name()
    if backend not in EXTRAS:
        known = ", ".join(f"{name}://" for name in EXTRAS)
        raise ValueError(f"url must begin with one of {known}, got {hide_password(url)!r}")
    if "+" not in url.drivername:
        url = url.set(drivername=_DRIVERS.get(backend, backend) if backend != "postgresql" else _postgresql())
    return _absolute(check_database(url))


def _absolute(url: URL) -> URL:
    """Return *url* with the whole path of its file: the process may change its folder before the next connection."""
    if url.get_backend_name() != "sqlite" or (url.database or "").startswith("file:"):
        return url
    return url.set(database=os.path.abspath(url.database or ""))


def check_database(url: URL) -> URL:
    """Return *url* unless it is that of a SQLite database in memory, which other connections would not see."""
    database = url.database or ""
    if url.get_backend_name() == "sqlite" and (
        not database or ":memory:" in database or url.query.get("mode") == "memory"
    ):
        raise ValueError(
            f"url must name a file for SQLite, got {hide_password(url)!r}, which each connection has for itself; "
            "use MemoryJobStore for jobs in memory"
        )
    return url


def hide_password(url: URL) -> str:
    """Return *url* as a text that may be shown."""
    shown = url.set(query={name: "***" if name in SECRETS else value for name, value in url.query.items()})
    return shown.render_as_string(hide_password=True)


def make_engine(url: URL, options: Mapping[str, Any], timeout: float) -> AnyEngine:
    """
    Return an engine that has not connected yet.

    Args:
        url: With a driver.
        options: What the user wants of `create_engine`.
        timeout: Seconds to wait for a connection, and that the server holds the locks of a node that stands still.

    Raises:
        MissingExtraError: The driver is not installed.
    """
    backend = url.get_backend_name()
    settings: dict[str, Any] = {"pool_timeout": timeout, **options}
    if backend != "sqlite":
        settings.setdefault("pool_recycle", 1800)
        settings.setdefault("isolation_level", "READ COMMITTED")
    settings["connect_args"] = {**_connect_args(url, timeout), **settings.get("connect_args", {})}
    is_async = url.get_driver_name() in _ASYNC
    try:
        engine = create_async_engine(url, **settings) if is_async else create_engine(url, **settings)
    except (ImportError, NoSuchModuleError) as exc:
        raise MissingExtraError(f"a job store at {hide_password(url)!r}", EXTRAS[backend]) from exc
    if backend != "postgresql":  # whose connections get their settings as they are made
        event.listen(sync_engine_of(engine), "connect", _Setup(backend, timeout))
    if backend == "sqlite":
        watch_file(sync_engine_of(engine))
    return engine


def make_sibling(engine: AnyEngine) -> AnyEngine:
    """Return an engine of the same kind that shares no connection with *engine*."""
    if isinstance(engine, AsyncEngine):
        return create_async_engine(engine.url, pool=engine.sync_engine.pool.recreate())
    return create_engine(engine.url, pool=engine.pool.recreate())


def sync_engine_of(engine: AnyEngine) -> Engine:
    """Return the engine that *engine* wraps, or itself."""
    return engine.sync_engine if isinstance(engine, AsyncEngine) else engine


class _Setup:
    """Prepares a new connection of ours for its session."""

    def __init__(self, backend: str, timeout: float) -> None:
        milliseconds, seconds = math.ceil(timeout * 1000), math.ceil(timeout)
        self._is_sqlite = backend == "sqlite"
        if self._is_sqlite:
            self._statements = [
                f"PRAGMA busy_timeout = {milliseconds}",
                "PRAGMA journal_mode = WAL",
                "PRAGMA synchronous = NORMAL",
            ]
        else:
            self._statements = [
                f"SET SESSION innodb_lock_wait_timeout = {seconds}"
                f" /*M!100300 , idle_transaction_timeout = {seconds} */"  # only MariaDB has this, and reads it
            ]

    def __call__(self, connection: Any, record: object) -> None:
        if self._is_sqlite and hasattr(connection, "text_factory"):
            connection.text_factory = _decode
        cursor = connection.cursor()
        for statement in self._statements:
            cursor.execute(statement)
        cursor.close()
        connection.commit()


def _decode(text: bytes) -> str:
    return text.decode(errors="replace")  # one damaged row must not make a whole query fail


def _postgresql() -> str:
    return "postgresql+asyncpg" if find_spec("asyncpg") or not find_spec("psycopg") else "postgresql+psycopg"


def _connect_args(url: URL, timeout: float) -> dict[str, Any]:
    seconds = math.ceil(timeout)
    match url.get_driver_name():
        case "asyncpg":
            return {"timeout": timeout, "server_settings": _settings(timeout)}
        case "psycopg" | "psycopg_async" | "psycopg2":
            options = " ".join(f"-c {name}={value}" for name, value in _settings(timeout).items())
            return {"connect_timeout": seconds, "options": options}
        case "pymysql":
            return {"connect_timeout": seconds, "read_timeout": timeout, "write_timeout": timeout}
        case "asyncmy" | "aiomysql" | "mysqldb":
            return {"connect_timeout": seconds}
        case "pysqlite" | "aiosqlite":
            return {"timeout": timeout}
        case _:
            return {}


def _settings(timeout: float) -> dict[str, str]:
    """
    Return the settings of a session of PostgreSQL.

    The locks of a node that stands still are given back. And since all that we ask often is found by an index, the
    planner is kept from taking another way while it has no statistics of tables that are new or have grown quickly.
    """
    milliseconds = str(math.ceil(timeout * 1000))
    waits = {"idle_in_transaction_session_timeout": milliseconds, "lock_timeout": milliseconds}
    return {**waits, **dict.fromkeys(("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit"), "off")}


def _masked(text: object) -> str:
    return str(text).rpartition("@")[2]


_DRIVERS = {"mysql": "mysql+asyncmy", "mariadb": "mariadb+asyncmy"}
_ASYNC = ("asyncpg", "psycopg", "psycopg_async", "asyncmy", "aiomysql", "aiosqlite")
