"""What holds for every job store and notifier holds for those on Redis, on both event loops."""

from collections.abc import AsyncIterator

import pytest

from apsched.jobstores.base import JobStore
from apsched.jobstores.redis import RedisJobStore
from apsched.notifiers.base import Notifier
from apsched.notifiers.redis import RedisNotifier
from apsched.testing.contract import JobStoreContract, NotifierContract


class TestRedisJobStore(JobStoreContract):
    @pytest.fixture
    async def store(self, redis_database: str) -> AsyncIterator[JobStore]:
        async with RedisJobStore(url=redis_database, timeout=60) as store:
            yield store

    @pytest.fixture
    async def other_store(self, store: JobStore, redis_database: str) -> AsyncIterator[JobStore]:
        async with RedisJobStore(url=redis_database, timeout=60) as other:
            yield other


class TestRedisNotifier(NotifierContract):
    @pytest.fixture
    async def notifier(self, redis_database: str) -> AsyncIterator[Notifier]:
        async with RedisNotifier(redis_database) as notifier:
            yield notifier

    @pytest.fixture
    async def other_notifier(self, redis_database: str) -> AsyncIterator[Notifier]:
        async with RedisNotifier(redis_database) as notifier:
            yield notifier
