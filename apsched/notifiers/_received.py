"""Hand on what is received in an event loop of asyncio (layer 7)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol, Self

import anyio

from apsched._bridge import Bridge


class Subscription(Protocol):
    """A connection that listens; used in an event loop of asyncio."""

    async def open(self) -> None:
        """Subscribe; what is sent from then on is received."""

    async def receive(self) -> str:
        """Return the next alias that another notifier names."""
        ...

    async def close(self) -> None:
        """Close the connection, if it is open; the server need not be there."""


@asynccontextmanager
async def received(bridge: Bridge, subscription: Subscription) -> AsyncGenerator[AsyncIterator[str]]:
    """
    Give what *subscription* receives, in the event loop of the listener.

    Args:
        bridge: Leads to the event loop of asyncio.
        subscription: Opened on entering, and closed in any case.
    """
    try:
        await bridge.call(subscription.open)
        yield _Received(bridge, subscription)
    finally:
        with anyio.CancelScope(shield=True):
            await bridge.call(subscription.close)


class _Received(AsyncIterator[str]):
    def __init__(self, bridge: Bridge, subscription: Subscription) -> None:
        self._bridge = bridge
        self._subscription = subscription

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        return await self._bridge.call(self._subscription.receive)
