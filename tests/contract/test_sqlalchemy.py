"""What holds for the SQLAlchemy job store, on each kind of database and of driver."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import Connection, create_engine, delete, make_url

from apsched.jobstores.base import JobStore
from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore
from apsched.testing.contract import JobStoreContract
from tests.servers import MySQL, PostgreSQL


@pytest.fixture(scope="module")
def sqlite_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('sqlite')}/jobs.db"


@pytest.fixture(scope="module")
def postgresql_url(postgresql_server: PostgreSQL) -> Iterator[str]:
    with postgresql_server.database() as url:
        yield url


@pytest.fixture(scope="module")
def mysql_url(mysql_server: MySQL) -> Iterator[str]:
    with mysql_server.database() as url:
        yield url


class SQLContract(JobStoreContract):
    """
    The contract on one database for all tests, since emptying tables is quicker than making them.

    A busy machine may keep a server waiting: what a store does when none answers is tested elsewhere.
    """

    keep_runs = 5

    @pytest.fixture
    def database(self) -> str:
        raise NotImplementedError

    @pytest.fixture
    async def store(self, database: str) -> AsyncIterator[JobStore]:
        async with self.open(database) as store:
            await store._transactions.run(lambda connection: empty(connection, store))
            yield store

    @pytest.fixture
    async def other_store(self, store: JobStore, database: str) -> AsyncIterator[JobStore]:
        async with self.open(database) as other:
            yield other

    @asynccontextmanager
    async def open(self, url: str) -> AsyncGenerator[SQLAlchemyJobStore]:
        async with SQLAlchemyJobStore(url, keep_runs=self.keep_runs, timeout=60) as store:
            yield store


def empty(connection: Connection, store: SQLAlchemyJobStore) -> None:
    for table in store._tables.all:
        connection.execute(delete(table))


class TestSQLite(SQLContract):
    @pytest.fixture
    def database(self, sqlite_url: str) -> str:
        return sqlite_url


class TestPostgreSQL(SQLContract):
    @pytest.fixture
    def database(self, postgresql_url: str) -> str:
        return postgresql_url


class TestMySQL(SQLContract):
    @pytest.fixture
    def database(self, mysql_url: str) -> str:
        return mysql_url


class TestEngineInThreads(SQLContract):
    """An engine of the user, of a driver that blocks."""

    @pytest.fixture
    def database(self, postgresql_url: str) -> str:
        return postgresql_url

    @asynccontextmanager
    async def open(self, url: str) -> AsyncGenerator[SQLAlchemyJobStore]:
        engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
        try:
            async with SQLAlchemyJobStore(engine=engine, keep_runs=self.keep_runs, timeout=60) as store:
                yield store
        finally:
            engine.dispose()
