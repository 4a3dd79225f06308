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


def make_jobstore(database: str = "default", **options: Any) -> SQLAlchemyJobStore:
    """
    Return a job store in a database of the project.

    Of `DATABASES`, name, user, password, host and port are used, and what `OPTIONS` say about the connection, such as
    `sslmode`, `service` or `ssl`; for SQLite the `timeout`. In tests it is the database of the tests.

    Args:
        database: Its alias in `DATABASES`.
        **options: Further arguments of `SQLAlchemyJobStore`, such as `tablename`.

    Raises:
        ImproperlyConfigured: Its engine is of a kind that no job store knows, or it is in memory.
    """
    settings: Mapping[str, Any] = connections[database].settings_dict
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
    url = _url(settings, f"postgresql+{driver}")
    host = str(settings["HOST"])
    return (url.set(host=None, query={"host": host}) if host.startswith("/") else url), arguments


def _mysql(settings: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[URL, dict[str, Any]]:
    arguments = dict(given)
    host = str(settings["HOST"])
    if host.startswith("/"):
        arguments["unix_socket"] = host
    if find_spec("asyncmy") and _knows(arguments, ("unix_socket",)):
        driver = "asyncmy"
    else:
        driver = "mysqldb" if find_spec("MySQLdb._mysql") else "pymysql"
    url = _url(settings, f"mysql+{driver}")
    return (url.set(host=None) if host.startswith("/") else url), arguments


def _url(settings: Mapping[str, Any], drivername: str) -> URL:
    port = str(settings["PORT"])
    return URL.create(
        drivername,
        username=settings["USER"] or None,
        password=settings["PASSWORD"] or None,
        host=settings["HOST"] or None,
        port=int(port) if port else None,
        database=settings["NAME"] or None,
    )


def _knows(given: Mapping[str, Any], known: Collection[str]) -> bool:
    return all(name in known for name in given)
