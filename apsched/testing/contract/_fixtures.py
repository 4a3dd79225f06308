"""Give the tests of a job store what they need (layer 10)."""

from __future__ import annotations

import pytest

from apsched.jobstores.base import JobStore
from apsched.testing.contract._values import LEASE, OWNERS, T0


class StoreFixtures:
    """What the tests of a job store have in common; the attributes are those of `JobStoreContract`."""

    pytestmark: pytest.MarkDecorator = pytest.mark.anyio
    keep_runs: int = 100
    is_persistent: bool = True

    @pytest.fixture
    def store(self) -> JobStore:
        """Return the store to test, entered and empty."""
        raise NotImplementedError("a subclass of JobStoreContract must override the fixture 'store'; give it a store")

    @pytest.fixture
    def other_store(self, store: JobStore) -> JobStore:
        """Return a second store object on the same data, entered; by default the first one."""
        return store

    @pytest.fixture(autouse=True)
    async def joined(self, store: JobStore) -> None:
        """Let the nodes that claim be known to the store."""
        for owner in OWNERS:
            await store.join(owner, LEASE, T0)
