"""Open clients of MongoDB, call them with a deadline, say in words what they raise (layer 5).

Three kinds of client serve: motor's and pymongo's asynchronous one are awaited, pymongo's blocking one works in
threads. They share their method names, so that whoever has a `MongoLink` needs not know which it is.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import urlsplit

import anyio
from anyio import to_thread

from apsched import _refs
from apsched._one_thread import OneThread
from apsched.exceptions import JobStoreUnavailableError, MissingExtraError

try:
    import pymongo
    from pymongo.errors import ConfigurationError, OperationFailure, PyMongoError
    from pymongo.read_concern import ReadConcern
    from pymongo.write_concern import WriteConcern
except ImportError:
    raise MissingExtraError("MongoDB", "mongodb") from None

AUTHENTICATION_FAILED = frozenset({18, 8000})
UNAUTHORIZED = 13
DURABLE = WriteConcern("majority", j=True)
SOON_DURABLE = WriteConcern(1)
FAREWELL = 1.0  # seconds that the server has to hear of the end of a client
THREADS = 10  # that wait for a blocking client at a time
BUILDING = 60.0  # seconds that an index of many documents may take

Document = dict[str, Any]


class MongoSource:
    """
    Where clients come from: an address, or a client of the user's.

    Args:
        url: The address, `mongodb://...`; or None.
        client: A `motor` client, a `pymongo.AsyncMongoClient`, a `pymongo.MongoClient`, or a reference to one,
            `"package.module:name"`; or None. It is neither closed nor changed.
        timeout: Seconds that a call may take.
        options: What a client takes besides; with a client none.

    Attributes:
        timeout: Seconds that a call may take.
        database: The name of the database that the address names; None if it names none.

    Raises:
        TypeError: Both an address and a client are given, or it is no client.
        ValueError: *timeout* is out of range.
    """

    def __init__(self, url: str | None, client: Any, timeout: float, options: Mapping[str, Any]) -> None:
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0:
            raise ValueError(f"timeout must be a number of seconds, more than 0, got {timeout!r}")
        if client is not None and (url is not None or options):
            given = ", ".join(["url"] * (url is not None) + sorted(options))
            raise TypeError(f"client is a client already, and so nothing can be made of {given}; leave one of them out")
        if url is not None and "host" in options:
            raise TypeError("url and host both name the server; leave one of them out")
        self._client = _refs.resolve(client) if isinstance(client, str) else client
        self._address = options.get("host") if url is None else url
        self._options = {name: value for name, value in options.items() if name != "host"}
        self.timeout = timeout
        self.database = _database(self._address)
        if client is not None and _kind(self._client) is None:
            raise TypeError(
                f"client must be a motor client, a pymongo.AsyncMongoClient or a pymongo.MongoClient, got {client!r}"
            )

    def __str__(self) -> str:
        if self._client is not None:
            servers = _inside(self._client).topology_description.server_descriptions()
            return "mongodb://" + ",".join(f"{host}:{port}" for host, port in servers)
        if isinstance(self._address, str) and "://" in self._address:
            return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", self._address)
        host = "localhost" if self._address is None else self._address
        return f"mongodb://{host}:{self._options.get('port', 27017)}"

    def open(self) -> MongoLink:
        """
        Return a link for the running event loop, which is asyncio's.

        Raises:
            RuntimeError: The user's client belongs to another event loop.
        """
        if self._client is None:
            return MongoLink(self, self._make(_async_client()), is_ours=True)
        if _kind(self._client) == "motor" and self._client.get_io_loop() is not asyncio.get_running_loop():
            raise RuntimeError(
                f"the client of {self} belongs to another event loop than the store; give its url to the store instead"
            )
        return MongoLink(self, self._client, is_ours=False)

    def open_apart(self) -> MongoLink:
        """Return a link with a connection of its own, for the running event loop of any thread."""
        return self._open_another(pymongo.MongoClient)

    def open_listener(self) -> MongoLink:
        """Return a link with a connection of its own, for calls that wait long and can be cancelled meanwhile."""
        return self._open_another(pymongo.AsyncMongoClient)

    def _open_another(self, kind: Callable[..., Any]) -> MongoLink:
        if self._client is None:
            return MongoLink(self, self._make(kind), is_ours=True)
        return MongoLink(self, _inside(self._client)._duplicate(), is_ours=True)

    def _make(self, kind: Callable[..., Any]) -> Any:
        milliseconds = round(self.timeout * 1000)
        defaults = {"serverSelectionTimeoutMS": milliseconds, "connectTimeoutMS": milliseconds, "appname": "apsched"}
        try:
            return kind(self._address, **{**defaults, **self._options})
        except ConfigurationError as exc:
            raise ValueError(f"{self} is no address of a MongoDB server: {exc}") from exc


class MongoLink:
    """
    A client in use; entered and left by whoever opened it.

    Attributes:
        client: The client.
        source: Where it comes from.
    """

    def __init__(self, source: MongoSource, client: Any, *, is_ours: bool) -> None:
        self.client = client
        self.source = source
        self._is_ours = is_ours
        self._threads = anyio.CapacityLimiter(THREADS) if _kind(client) == "blocking" else None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the client if it is ours; the server need not be there."""
        if not self._is_ours:
            return
        with anyio.CancelScope(shield=True):
            if _kind(self.client) == "pymongo":
                with anyio.move_on_after(FAREWELL), pymongo.timeout(FAREWELL):
                    await self.client.close()
                return
            thread = OneThread("apsched-mongodb")  # since motor's client blocks here too
            await thread.call(_close, self.client)
            await thread.close()

    async def call(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """
        Call a method of the client or of what comes of it, and return its result.

        Not cut off by a cancellation, which comes after it: what is sent is sent, and the answer is worth having.

        Raises:
            PyMongoError: What it raises; a timeout after the source's number of seconds.
        """
        with anyio.CancelScope(shield=True):
            return await self.wait(func, *args, **kwargs)

    async def wait(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a method as `call` does, but one that is cut off by a cancellation."""
        return await self._within(self.source.timeout, func, *args, **kwargs)

    async def build(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a method that looks at all documents, with more time for it."""
        return await self._within(max(BUILDING, self.source.timeout), func, *args, **kwargs)

    async def _within(self, seconds: float, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with pymongo.timeout(seconds):
            if self._threads is not None:
                work = partial(func, *args, **kwargs)
                return await to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._threads)
            result = func(*args, **kwargs)
            return await result if inspect.isawaitable(result) else result

    async def find(self, collection: Any, where: Document, *, limit: int = 0, **options: Any) -> list[Document]:
        """Return the documents of *collection* that match; options are those of `find`."""
        return await self._all(collection.find, where, limit=limit, batch_size=limit or 100_000, **options)

    async def aggregate(self, collection: Any, pipeline: Sequence[Document]) -> list[Document]:
        """Return what *pipeline* makes of *collection*."""
        return await self._all(collection.aggregate, pipeline, batchSize=100_000)

    async def _all(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> list[Document]:
        if self._threads is not None:
            return cast("list[Document]", await self.call(lambda: func(*args, **kwargs).to_list()))
        cursor = func(*args, **kwargs)
        if inspect.iscoroutine(cursor):
            cursor = await self.call(lambda: cursor)
        return cast("list[Document]", await self.call(cursor.to_list, None))

    async def is_replicated(self) -> bool:
        """Return whether the server tells of changes: a replica set or a sharded cluster does."""
        hello = await self.call(self.client.admin.command, "hello")
        return "setName" in hello or hello.get("msg") == "isdbgrid"

    def collection(self, database: str, name: str, *, is_durable: bool = True) -> Any:
        """Return a collection, of which a majority has what is read and written; or, of which the primary has it."""
        return self.client.get_database(database).get_collection(
            name,
            read_preference=pymongo.ReadPreference.PRIMARY,
            read_concern=ReadConcern("majority" if is_durable else "local"),
            write_concern=DURABLE if is_durable else SOON_DURABLE,
        )


def _close(client: Any) -> None:
    with pymongo.timeout(FAREWELL):
        client.close()


@contextmanager
def told_in_words(source: MongoSource) -> Generator[None]:
    """Raise JobStoreUnavailableError where a call raises an error of the driver."""
    try:
        yield
    except PyMongoError as exc:
        raise JobStoreUnavailableError(f"the MongoDB server at {source} {_words(exc)}") from exc


def _words(error: PyMongoError) -> str:
    text = str(error)
    if isinstance(error, OperationFailure):
        text = (error.details or {}).get("errmsg", text)
        if error.code in AUTHENTICATION_FAILED:
            return f"refuses the credentials: {text}; check the user, the password and authSource"
        if error.code == UNAUTHORIZED:
            return f"does not allow it: {text}; give the user the role readWrite in the database of the store"
        return f"refuses: {text} (code {error.code})"
    cause = re.split(r" ?\(configured timeouts|, Timeout: |, full error", text)[0]
    return f"cannot be reached or does not answer in time: {type(error).__name__}: {cause}"


def _database(address: object) -> str | None:
    """Return the database that an address names."""
    if not isinstance(address, str) or "://" not in address:
        return None
    return urlsplit(address).path.removeprefix("/") or None


def _inside(client: Any) -> Any:
    """Return the client of pymongo that one of motor's wraps; others are it themselves."""
    return client.delegate if _kind(client) == "motor" else client


def _async_client() -> Callable[..., Any]:
    try:
        from motor.motor_asyncio import AsyncIOMotorClient
    except ImportError:
        return pymongo.AsyncMongoClient
    return AsyncIOMotorClient


def _kind(client: Any) -> str | None:
    if isinstance(client, pymongo.AsyncMongoClient):
        return "pymongo"
    if isinstance(client, pymongo.MongoClient):
        return "blocking"
    return "motor" if type(client).__module__.startswith("motor.") and hasattr(client, "get_io_loop") else None
