"""What is special to the MongoDB notifier: its change stream."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pymongo
import pytest

from apsched.exceptions import JobStoreUnavailableError
from apsched.notifiers.mongodb import MongoDBNotifier


async def test_listening_ends_when_the_collection_is_dropped(mongodb_database: str) -> None:
    async with MongoDBNotifier(url=mongodb_database) as one, MongoDBNotifier(url=mongodb_database) as other:
        await other.notify("default")  # makes the collection
        async with one.listen() as hints:
            with pymongo.MongoClient[dict[str, object]](mongodb_database) as client:
                client.drop_database(client.get_default_database())

            with anyio.fail_after(20), pytest.raises(JobStoreUnavailableError, match="its collection was dropped"):
                await drain(hints)


async def drain(hints: AsyncIterator[str]) -> None:
    async for _ in hints:
        pass
