"""What holds for every job store and notifier holds for those on MongoDB, on both event loops."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pymongo
import pytest

from apsched._bridge import Bridge
from apsched.jobstores.base import JobStore
from apsched.jobstores.mongodb import MongoDBJobStore
from apsched.notifiers.base import Notifier
from apsched.notifiers.mongodb import MongoDBNotifier
from apsched.testing.contract import JobStoreContract, NotifierContract
from tests.servers import MongoDB

KEEP_RUNS = 3


@pytest.fixture(scope="module")
def replica_set(mongodb_server: MongoDB) -> Iterator[str]:
    """A database for all tests of this module: to make its indexes takes longer than a test."""
    with mongodb_server.database() as url:
        yield url


@pytest.fixture(scope="module")
def standalone(mongodb_standalone_server: MongoDB) -> Iterator[str]:
    with mongodb_standalone_server.database() as url:
        yield url


def empty(url: str) -> None:
    with pymongo.MongoClient[dict[str, Any]](url) as client:
        database = client.get_default_database()
        for name in database.list_collection_names():
            if name != "schema":
                database[name].delete_many({})


class TestMotorOnAReplicaSet(JobStoreContract):
    keep_runs = KEEP_RUNS

    @pytest.fixture
    async def store(self, replica_set: str) -> AsyncIterator[JobStore]:
        empty(replica_set)
        async with MongoDBJobStore(url=replica_set, keep_runs=self.keep_runs, timeout=60) as store:
            yield store

    @pytest.fixture
    async def other_store(self, store: JobStore, replica_set: str) -> AsyncIterator[JobStore]:
        async with MongoDBJobStore(url=replica_set, keep_runs=self.keep_runs, timeout=60) as other:
            yield other


class TestPymongoOnAStandaloneServer(JobStoreContract):
    keep_runs = KEEP_RUNS

    @pytest.fixture
    async def store(self, standalone: str) -> AsyncIterator[JobStore]:
        empty(standalone)
        client = pymongo.AsyncMongoClient[dict[str, Any]](standalone)
        name = client.get_default_database().name
        async with Bridge() as bridge:  # keeps the event loop that the client belongs to while the store is closed
            async with MongoDBJobStore(name, client=client, keep_runs=self.keep_runs, timeout=60) as store:
                yield store
            await bridge.call(client.close)

    @pytest.fixture
    async def other_store(self, store: JobStore, standalone: str) -> AsyncIterator[JobStore]:
        async with MongoDBJobStore(url=standalone, keep_runs=self.keep_runs, timeout=60) as other:
            yield other


class TestBlockingPymongoOnAReplicaSet(JobStoreContract):
    keep_runs = KEEP_RUNS

    @pytest.fixture
    async def store(self, replica_set: str) -> AsyncIterator[JobStore]:
        empty(replica_set)
        with pymongo.MongoClient[dict[str, Any]](replica_set) as client:
            name = client.get_default_database().name
            async with MongoDBJobStore(name, client=client, keep_runs=self.keep_runs, timeout=60) as store:
                yield store

    @pytest.fixture
    async def other_store(self, store: JobStore, replica_set: str) -> AsyncIterator[JobStore]:
        async with MongoDBJobStore(url=replica_set, keep_runs=self.keep_runs, timeout=60) as other:
            yield other


class TestMongoDBNotifier(NotifierContract):
    @pytest.fixture
    async def notifier(self, replica_set: str) -> AsyncIterator[Notifier]:
        async with MongoDBNotifier(url=replica_set) as notifier:
            yield notifier

    @pytest.fixture
    async def other_notifier(self, replica_set: str) -> AsyncIterator[Notifier]:
        async with MongoDBNotifier(url=replica_set) as notifier:
            yield notifier
