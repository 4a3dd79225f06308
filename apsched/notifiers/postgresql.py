"""Tell other nodes of changes by LISTEN and NOTIFY of PostgreSQL (layer 7)."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, suppress
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import anyio
import asyncpg

from apsched._bridge import Bridge
from apsched.exceptions import JobStoreUnavailableError
from apsched.notifiers._received import received
from apsched.notifiers.base import Notifier

QUIET = 10.0  # seconds without a message, after which it is asked whether the connection still lives
FAREWELL = 1.0  # seconds that the server has to close a connection, before that is done without it
LONGEST_CHANNEL = 63  # bytes; the server's limit

FAILURES = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


class PostgreSQLNotifier(Notifier):
    """
    Tells by LISTEN and NOTIFY. A hint that is sent while the connection is away is lost.

    Takes up to two connections: one that listens, and one that tells, from the first hint on. Behind pgbouncer it must
    pool sessions, not transactions.

    Args:
        url: `postgresql://user:password@host:5432/database`.
        channel: The name of the channel; one for each database.
        timeout: Seconds that one call to the server may take, more than 0.
    """

    def __init__(self, url: str, *, channel: str = "apsched.hints", timeout: float = 5.0) -> None:
        self._url = url
        self._channel = _shortened(channel)
        self._timeout = timeout
        self._origin = secrets.token_hex(8)
        self._bridge = Bridge()
        self._sender: asyncpg.Connection[Any] | None = None
        self._sending: asyncio.Lock | None = None

    async def __aenter__(self) -> Self:
        await self._bridge.__aenter__()
        self._sending = asyncio.Lock()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            self._sending = None
            if self._sender is not None:
                sender, self._sender = self._sender, None
                await self._bridge.call(_close, sender)
            await self._bridge.__aexit__(exc_type, exc, traceback)

    async def notify(self, store: str) -> None:
        await self._bridge.call(self._send, json.dumps([self._origin, store]))

    async def _send(self, message: str) -> None:
        if self._sending is None:
            raise JobStoreUnavailableError(f"the notifier on PostgreSQL at {_place(self._url)} is not open; enter it")
        async with self._sending:
            if self._sender is None or self._sender.is_closed():
                self._sender = await _connect(self._url, self._timeout)
            try:
                with anyio.fail_after(self._timeout):
                    await self._sender.execute("SELECT pg_notify($1, $2)", self._channel, message)
            except FAILURES as exc:
                self._sender.terminate()
                raise _unavailable(self._url, exc) from exc

    def listen(self) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        return received(self._bridge, _Subscription(self._url, self._channel, self._origin, self._timeout))


class _Subscription:
    """A connection that listens, in an event loop of asyncio."""

    def __init__(self, url: str, channel: str, origin: str, timeout: float) -> None:
        self._url = url
        self._channel = channel
        self._origin = origin
        self._timeout = timeout
        self._messages: asyncio.Queue[str | None] = asyncio.Queue()  # None: the connection has ended
        self._connection: asyncpg.Connection[Any] | None = None

    async def open(self) -> None:
        """Subscribe; what is sent from then on is received."""
        self._connection = connection = await _connect(self._url, self._timeout)
        connection.add_termination_listener(lambda _: self._messages.put_nowait(None))
        try:
            with anyio.fail_after(self._timeout):
                await connection.add_listener(self._channel, self._take)
        except FAILURES as exc:
            raise _unavailable(self._url, exc) from exc

    async def receive(self) -> str:
        """Return the next alias that another notifier names."""
        while True:
            message = await self._next()
            try:
                origin, alias = json.loads(message)
            except ValueError:
                continue  # somebody else's
            if origin != self._origin:
                return str(alias)

    async def close(self) -> None:
        """Close the connection; the server need not be there."""
        if self._connection is not None:
            await _close(self._connection)

    def _take(self, connection: object, pid: int, channel: str, payload: object) -> None:
        self._messages.put_nowait(str(payload))

    async def _next(self) -> str:
        while True:
            with anyio.move_on_after(QUIET):
                message = await self._messages.get()
                if message is None:
                    raise _unavailable(self._url, ConnectionResetError("the connection has ended"))
                return message
            assert self._connection is not None  # noqa: S101  # `open` came first
            try:
                with anyio.fail_after(self._timeout):
                    await self._connection.execute("SELECT 1")
            except FAILURES as exc:
                raise _unavailable(self._url, exc) from exc


async def _connect(url: str, timeout: float) -> asyncpg.Connection[Any]:
    connection: asyncpg.Connection[Any] | None = None
    try:
        with anyio.CancelScope(shield=True):  # asyncpg leaves errors in the event loop when it is cancelled meanwhile
            connection = await asyncpg.connect(url, timeout=timeout)
    except FAILURES as exc:
        raise _unavailable(url, exc) from exc
    assert connection is not None  # noqa: S101  # nothing can cancel the scope above
    return connection


async def _close(connection: asyncpg.Connection[Any]) -> None:
    with suppress(*FAILURES):
        await connection.close(timeout=FAREWELL)


def _unavailable(url: str, exc: BaseException) -> JobStoreUnavailableError:
    return JobStoreUnavailableError(
        f"the notifier on PostgreSQL at {_place(url)} cannot reach its server ({type(exc).__name__}: {exc}); "
        "it is tried again, and stores are looked at in turn meanwhile"
    )


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname or 'localhost'}:{parts.port or 5432}{parts.path}"


def _shortened(channel: str) -> str:
    name = channel.encode("utf-8", "surrogatepass")
    if len(name) <= LONGEST_CHANNEL:
        return channel
    return f"apsched.{hashlib.blake2b(name, digest_size=16).hexdigest()}"
