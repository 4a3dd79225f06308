"""Tell other nodes of changes by a change stream of MongoDB (layer 7).

A small collection has one document for each store, which every hint changes. Whoever listens is told of these changes
by the server, once a majority has them. A server that is in no replica set has no change streams.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

from apsched._bridge import Bridged
from apsched._mongodb_clients import MongoLink, MongoSource, told_in_words
from apsched.exceptions import JobStoreUnavailableError
from apsched.notifiers._received import received
from apsched.notifiers.base import Notifier


class MongoDBNotifier(Bridged, Notifier):
    """
    Tells by a change stream; needs a replica set or a sharded cluster.

    Args:
        database: The name of the database; None: the one that *url* names, else `apsched`.
        collection: The name of the collection; it is made if it is missing.
        client: A `motor` client, a `pymongo.AsyncMongoClient` or a `pymongo.MongoClient`. It is not closed.
        url: The address, `mongodb://user:password@host:port/?options`.
        timeout: Seconds that a call to the server may take, more than 0.
        **connect_args: What a client takes.

    Raises:
        MissingExtraError: pymongo is not installed.
        TypeError: An argument is of the wrong type, or two of them name the server.
        ValueError: *timeout* is out of range.
    """

    def __init__(
        self,
        database: str | None = None,
        collection: str = "signals",
        client: Any = None,
        *,
        url: str | None = None,
        timeout: float = 5.0,
        **connect_args: Any,
    ) -> None:
        super().__init__()
        self._source = MongoSource(url, client, timeout, connect_args)
        self._database = database or self._source.database or "apsched"
        self._collection = collection
        self._origin = secrets.token_hex(8)
        self._link: MongoLink | None = None

    async def _open(self) -> None:
        self._link = self._source.open()

    async def _close(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    async def notify(self, store: str) -> None:
        await self._bridge.call(self._notify, store)

    async def _notify(self, store: str) -> None:
        if self._link is None:
            raise JobStoreUnavailableError(f"the notifier on MongoDB at {self._source} is not open; enter it first")
        with told_in_words(self._source):
            signals = self._link.collection(self._database, self._collection)  # durable, or the server takes 0.1 s
            hint = {"$set": {"last": f"{self._origin} {secrets.token_hex(8)}"}}
            await self._link.call(signals.update_one, {"_id": store}, hint, upsert=True)

    def listen(self) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        return received(self._bridge, _Subscription(self._source, self._database, self._collection, self._origin))


class _Subscription:
    """A change stream, in an event loop of asyncio."""

    def __init__(self, source: MongoSource, database: str, collection: str, origin: str) -> None:
        self._source = source
        self._database = database
        self._collection = collection
        self._origin = origin
        self._link: MongoLink | None = None
        self._changes: Any = None

    async def open(self) -> None:
        """Subscribe; what is told from then on is received."""
        with told_in_words(self._source):
            self._link = link = self._source.open_listener()
            signals = link.collection(self._database, self._collection)
            kinds = {"$match": {"operationType": {"$in": ["insert", "update", "replace"]}}}
            awaited = round(self._source.timeout / 2 * 1000)
            self._changes = await link.call(signals.watch, [kinds], max_await_time_ms=awaited)

    async def receive(self) -> str:
        """Return the next alias that another notifier names."""
        assert self._link is not None  # noqa: S101  it is open
        while True:
            with told_in_words(self._source):
                change = await self._link.wait(self._changes.try_next)
            if change is None and not self._changes.alive:  # from now on it says nothing, and at once
                raise JobStoreUnavailableError(
                    f"MongoDB at {self._source} has ended the change stream, since its collection was dropped"
                )
            if change is not None:
                fields = change.get("fullDocument") or change["updateDescription"]["updatedFields"]
                if not str(fields.get("last", "")).startswith(f"{self._origin} "):
                    return str(change["documentKey"]["_id"])

    async def close(self) -> None:
        """Close the connection, if it is open; the server need not be there."""
        if self._link is not None:
            await self._link.close()
