"""
Fixtures of the whole suite: the event loops, and real servers.

A server is started when the first test asks for it, and shared. A variable such as APSCHED_TEST_POSTGRESQL_URL names
one to use instead. A test whose server is missing is skipped and says what to install; where CI is set, it fails.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

import pytest
from hypothesis import settings

from tests.servers import (
    MissingServerError,
    MongoDB,
    MySQL,
    PostgreSQL,
    Redis,
    Server,
    start_mongodb,
    start_mongodb_standalone,
    start_mysql,
    start_postgresql,
    start_redis,
)

S = TypeVar("S", bound=Server)

settings.register_profile("apsched", deadline=None)  # how fast it is depends on what else the machine does
settings.load_profile("apsched")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background: the programs of the tests inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(
    scope="session",
    params=[pytest.param(("asyncio", {"debug": False}), id="asyncio"), pytest.param(("trio", {}), id="trio")],
)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Run every async test on both event loops."""
    return request.param


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None]:
    with missing_servers_skip():
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None]:
    with missing_servers_skip():
        yield


@contextmanager
def missing_servers_skip() -> Generator[None]:
    """Skip a test whose server is missing; let it fail where CI is set."""
    try:
        yield
    except MissingServerError as error:
        if os.environ.get("CI", "").lower() in {"", "0", "false"}:
            pytest.skip(str(error))
        raise


@contextmanager
def shared(kind: type[S], start: Callable[[], AbstractContextManager[S]], variable: str) -> Generator[S]:
    """Give the server that an environment variable names, or else an own one."""
    if url := os.environ.get(variable):
        yield kind(url)
    else:
        with start() as server:
            yield server


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSQL]:
    """PostgreSQL; libpq's form of URL."""
    with shared(PostgreSQL, start_postgresql, "APSCHED_TEST_POSTGRESQL_URL") as server:
        yield server


@pytest.fixture(scope="session")
def mysql_server() -> Iterator[MySQL]:
    """MariaDB, or whatever the variable names."""
    with shared(MySQL, start_mysql, "APSCHED_TEST_MYSQL_URL") as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    """Redis with an append-only file."""
    with shared(Redis, start_redis, "APSCHED_TEST_REDIS_URL") as server:
        yield server


@pytest.fixture(scope="session")
def mongodb_server() -> Iterator[MongoDB]:
    """MongoDB, a replica set of one node."""
    with shared(MongoDB, start_mongodb, "APSCHED_TEST_MONGODB_URL") as server:
        yield server


@pytest.fixture(scope="session")
def mongodb_standalone_server() -> Iterator[MongoDB]:
    """MongoDB without a replica set."""
    with shared(MongoDB, start_mongodb_standalone, "APSCHED_TEST_MONGODB_STANDALONE_URL") as server:
        yield server


@pytest.fixture
def postgresql_database(postgresql_server: PostgreSQL) -> Iterator[str]:
    """The URL of an empty database in PostgreSQL, for one test."""
    with postgresql_server.database() as url:
        yield url


@pytest.fixture
def mysql_database(mysql_server: MySQL) -> Iterator[str]:
    """The URL of an empty database in MariaDB, for one test."""
    with mysql_server.database() as url:
        yield url


@pytest.fixture
def redis_database(redis_server: Redis) -> Iterator[str]:
    """The URL of an empty numbered database in Redis, for one test; channels are those of the whole server."""
    with redis_server.database() as url:
        yield url


@pytest.fixture
def mongodb_database(mongodb_server: MongoDB) -> Iterator[str]:
    """The URL of an empty database in a replica set, for one test."""
    with mongodb_server.database() as url:
        yield url


@pytest.fixture
def mongodb_standalone_database(mongodb_standalone_server: MongoDB) -> Iterator[str]:
    """The URL of an empty database in a standalone server, for one test."""
    with mongodb_standalone_server.database() as url:
        yield url
