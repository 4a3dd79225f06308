"""What holds for every notifier holds for that on PostgreSQL, on both event loops."""

from collections.abc import AsyncIterator

import pytest

from apsched.notifiers.base import Notifier
from apsched.notifiers.postgresql import PostgreSQLNotifier
from apsched.testing.contract import NotifierContract


class TestPostgreSQLNotifier(NotifierContract):
    @pytest.fixture
    async def notifier(self, postgresql_database: str) -> AsyncIterator[Notifier]:
        async with PostgreSQLNotifier(postgresql_database) as notifier:
            yield notifier

    @pytest.fixture
    async def other_notifier(self, postgresql_database: str) -> AsyncIterator[Notifier]:
        async with PostgreSQLNotifier(postgresql_database) as notifier:
            yield notifier
