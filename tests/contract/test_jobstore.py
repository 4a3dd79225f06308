"""What holds for every job store, on both event loops."""

from collections.abc import AsyncIterator

import pytest

from apsched.jobstores.base import JobStore
from apsched.jobstores.memory import MemoryJobStore
from apsched.testing.contract import JobStoreContract


class TestMemoryJobStore(JobStoreContract):
    is_persistent = False

    @pytest.fixture
    async def store(self) -> AsyncIterator[JobStore]:
        async with MemoryJobStore() as store:
            yield store
