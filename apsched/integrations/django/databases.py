"""Keep jobs in a database of the project (layer 10).

Rule 1: the store has connections of its own, since those of Django belong to the thread that made them.
Rule 2: nothing that `OPTIONS` say about the connection is left out silently: a driver that does not understand all of
it is not chosen.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib.util import find_spec
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from sqlalchemy import URL

from apsched.jobstores.base import JobStore
from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore

BACKENDS: Mapping[str, str] = {  # the last part of ENGINE -> SQL dialect
    "sqlite3": "sqlite",
    "spatialite": "sqlite",
    "postgresql": "postgresql",
    "postgis": "postgresql",
    "mysql": "mysql",
}
OF_DJANGO = {  # options that concern Django's own use of a connection
    "sqlite": ("init_command", "transaction_mode", "timeout"),
    "postgresql": ("assume_role", "isolation_level", "pool", "server_side_binding", "client_encoding"),
    "mysql": ("charset", "init_command", "isolation_level", "sql_mode"),
}

NOTHING: Mapping[str, str] = {}


def make_jobstore(database: str = "default", **options: Any) -> JobStore:
    """
    Return a job store in a database of the project.

    Of `DATABASES`, name, user, password, host and port are used, and what `OPTIONS` say about the connection, such as
    `sslmode`, `service` or `ssl`; for SQLite the `timeout`. In tests it is the database of the tests.

    Args:
        database: Its alias in `DATABASES`.
        **options: Further arguments of `SQLAlchemyJobStore`, such as `tablename`.

    Raises:
        ImproperlyConfigured: There is none, its engine is of a kind that no job store knows, or it is in memory.
    """
    known: Any = connections.settings
    if database not in known:
        raise ImproperlyConfigured(f"DATABASES has no {database!r}; there are: {', '.join(known)}")
    settings: Mapping[str, Any] = known[database]
    dialect = BACKENDS.get(settings["ENGINE"].rpartition(".")[2])
    given = {name: value for name, value in settings["OPTIONS"].items() if name not in OF_DJANGO.get(dialect or "", ())}
    match dialect:
        case "sqlite":
            url, arguments = _sqlite(settings), given
            options.setdefault("timeout", float(settings["OPTIONS"].get("timeout", 5.0)))
        case "postgresql":
            url, arguments = _postgresql(settings, given)
        case "mysql":
            url, arguments = _mysql(settings, given)
        case _:
            raise ImproperlyConfigured(
                f"no job store knows the engine {settings['ENGINE']!r} of the database {database!r}; name another "
                "store in APSCHED['jobstores']"
            )
    try:
        return SQLAlchemyJobStore(url, engine_options={"connect_args": arguments}, **options)
    except ValueError as exc:
        raise ImproperlyConfigured(f"the database {database!r} can keep no jobs: {exc}") from exc


def _sqlite(settings: Mapping[str, Any]) -> URL:
    return URL.create("sqlite", database=str(settings["NAME"]))


def _postgresql(settings: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[URL, dict[str, Any]]:
    """Return the URL for asyncpg if that understands all options, and else for the driver that Django uses."""
    if find_spec("asyncpg") and _knows(given, ("sslmode",)) and settings["NAME"]:
        driver, arguments = "asyncpg", {"ssl": given["sslmode"]} if given else {}
    else:
        driver, arguments = "psycopg" if find_spec("psycopg") else "psycopg2", dict(given)
    socket = _socket(settings)
    return _url(settings, f"postgresql+{driver}", {"host": socket} if socket else {}), arguments


def _mysql(settings: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[URL, dict[str, Any]]:
    """Return the URL for asyncmy if that understands all options, and else for the driver that Django uses."""
    socket = _socket(settings)
    arguments = {**given, "unix_socket": socket} if socket else dict(given)
    if find_spec("asyncmy") and _knows(arguments, ("unix_socket",)):
        driver = "asyncmy"
    else:
        spec = find_spec("MySQLdb")  # pymysql may stand for it
        driver = "mysqldb" if spec is not None and spec.name == "MySQLdb" else "pymysql"
    return _url(settings, f"mysql+{driver}"), arguments


def _url(settings: Mapping[str, Any], drivername: str, query: Mapping[str, str] = NOTHING) -> URL:
    port = str(settings["PORT"])
    return URL.create(
        drivername,
        username=settings["USER"] or None,
        password=settings["PASSWORD"] or None,
        host=None if _socket(settings) else settings["HOST"] or None,
        port=int(port) if port else None,
        database=settings["NAME"] or None,
        query=query,
    )


def _socket(settings: Mapping[str, Any]) -> str | None:
    host = str(settings["HOST"])
    return host if host.startswith("/") else None


def _knows(given: Mapping[str, Any], known: Collection[str]) -> bool:
    return all(name in known for name in given)
