"""What holds for job stores also holds for those that were written for APScheduler 3."""

from __future__ import annotations

from collections.abc import AsyncIterator

import attrs
import pytest

from apsched.exceptions import TransientJobError
from apsched.jobstores._bridged import BridgedJobStore
from apsched.jobstores.base import BaseJobStore, JobStore
from apsched.testing.contract import JobStoreContract
from apsched.testing.contract._values import make_job
from tests.users_stores import DictStore, ObjectStore


class TestDictStore(JobStoreContract):
    is_persistent = False  # its runs are not

    @pytest.fixture
    def users(self) -> BaseJobStore:
        return DictStore()

    @pytest.fixture
    async def store(self, users: BaseJobStore) -> AsyncIterator[JobStore]:
        async with BridgedJobStore(users) as store:
            yield store

    async def test_a_change_that_cannot_be_kept_changes_nothing(self, store: JobStore) -> None:
        await store.add([make_job(args=(1,))])

        with pytest.raises(TransientJobError):  # a pickle takes other arguments than the closed types
            await store.update("job", lambda job: attrs.evolve(job, func=lambda: None, name="changed"))

        job = await store.get("job")
        assert job is not None
        assert (job.name, job.args) == ("noop", (1,))


class TestObjectStore(TestDictStore):
    @pytest.fixture
    def users(self) -> BaseJobStore:
        return ObjectStore()

    async def test_a_change_that_cannot_be_kept_changes_nothing(self, store: JobStore) -> None:
        """It keeps any change."""
