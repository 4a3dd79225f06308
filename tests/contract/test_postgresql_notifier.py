"""What holds for every notifier holds for that on PostgreSQL, on both event loops."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest

from apsched.notifiers.base import Notifier
from apsched.notifiers.postgresql import PostgreSQLNotifier
from apsched.testing.contract import NotifierContract
from tests.servers import Proxy


class TestPostgreSQLNotifier(NotifierContract):
    @pytest.fixture
    async def notifier(self, postgresql_database: str) -> AsyncIterator[Notifier]:
        async with PostgreSQLNotifier(postgresql_database) as notifier:
            yield notifier

    @pytest.fixture
    async def other_notifier(self, postgresql_database: str) -> AsyncIterator[Notifier]:
        async with PostgreSQLNotifier(postgresql_database) as notifier:
            yield notifier


async def test_a_server_that_hangs_does_not_hold_up_the_end(postgresql_server: Any, postgresql_database: str) -> None:
    with Proxy(postgresql_server.port) as proxy, anyio.fail_after(30):
        url = urlsplit(postgresql_database)
        through = url._replace(netloc=f"{url.username}@{proxy.host}:{proxy.port}").geturl()
        async with PostgreSQLNotifier(through, timeout=60) as notifier, notifier.listen():
            await notifier.notify("default")
            proxy.freeze()
