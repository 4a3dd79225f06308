"""Tell other nodes of changes by a channel of Redis (layer 7)."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

import anyio

from apsched._bridge import Bridged
from apsched._redis_clients import FAILURES, Client, RedisClients
from apsched.exceptions import JobStoreUnavailableError
from apsched.notifiers._received import received
from apsched.notifiers.base import Notifier

QUIET = 10.0  # seconds without a message, after which it is asked whether the connection still lives


class RedisNotifier(Bridged, Notifier):
    """
    Tells by publish and subscribe. A hint that is sent while the connection is away is lost.

    Args:
        url: `redis://user:password@host:6379/0`, `rediss://...` or `unix://...`, instead of *connect_args*.
        client: A `redis.asyncio.Redis` whose settings are taken over, or a function that makes a client.
        channel: The name of the channel; one for all databases of a server.
        timeout: Seconds that one call to the server may take, more than 0.
        **connect_args: Further arguments of `redis.asyncio.Redis`.

    Raises:
        MissingExtraError: The package redis is not installed.
        ValueError: Arguments contradict each other, or one is out of range.
        TypeError: *client* is something else.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        client: Client | Callable[[], Client] | None = None,
        channel: str = "apsched.hints",
        timeout: float = 5.0,
        **connect_args: Any,
    ) -> None:
        super().__init__()
        self._clients = RedisClients(url, client, timeout, connect_args)
        self._channel = channel
        self._timeout = timeout
        self._origin = secrets.token_hex(8).encode()
        self._client: Client | None = None

    async def _open(self) -> None:
        self._client = self._clients.make()

    async def _close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with anyio.move_on_after(self._timeout), suppress(*FAILURES):
                await client.aclose()

    async def notify(self, store: str) -> None:
        await self._bridge.call(self._publish, self._origin + b" " + store.encode("utf-8", "surrogatepass"))

    async def _publish(self, message: bytes) -> None:
        if self._client is None:
            raise JobStoreUnavailableError(f"the notifier on Redis at {self._clients.place} is not open; enter it")
        try:
            with anyio.fail_after(self._timeout):
                await self._client.execute_command("PUBLISH", self._channel, message)
        except FAILURES as exc:
            raise self._clients.unavailable(exc) from exc

    def listen(self) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        return received(self._bridge, _Subscription(self._clients, self._channel, self._origin, self._timeout))


class _Subscription:
    """A connection that listens, in an event loop of asyncio."""

    def __init__(self, clients: RedisClients, channel: str, origin: bytes, timeout: float) -> None:
        self._clients = clients
        self._channel = channel
        self._origin = origin
        self._timeout = timeout
        self._client = clients.make()
        self._pubsub: Any = None

    async def open(self) -> None:
        """Subscribe; what is sent from then on is received."""
        try:
            with anyio.fail_after(self._timeout):
                await self._client.initialize()
                self._pubsub = self._client.pubsub()
                await self._pubsub.subscribe(self._channel)
                await self._expect("subscribe")
        except FAILURES as exc:
            raise self._clients.unavailable(exc) from exc

    async def receive(self) -> str:
        """Return the next alias that another notifier names."""
        while True:
            try:
                message = await self._pubsub.get_message(timeout=QUIET)
                if message is None:
                    with anyio.fail_after(self._timeout):
                        await self._pubsub.ping()
                        message = await self._expect("pong", "message")
            except FAILURES as exc:
                raise self._clients.unavailable(exc) from exc
            if message["type"] == "message":
                origin, _, alias = message["data"].partition(b" ")
                if origin != self._origin:
                    return str(alias.decode("utf-8", "replace"))

    async def _expect(self, *types: str) -> dict[str, Any]:
        while True:
            message: dict[str, Any] | None = await self._pubsub.get_message(timeout=self._timeout)
            if message is None:
                raise TimeoutError
            if message["type"] in types:
                return message

    async def close(self) -> None:
        """Close the connection; the server need not be there."""
        with anyio.move_on_after(self._timeout), suppress(*FAILURES):
            if self._pubsub is not None:
                await self._pubsub.aclose()
            await self._client.aclose()
