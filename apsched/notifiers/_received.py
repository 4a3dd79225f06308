"""Hand on what is received in an event loop of asyncio (layer 7)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Self

from apsched._bridge import Bridge


class Received(AsyncIterator[str]):
    """
    What a notifier hears, in the event loop of the listener.

    Args:
        bridge: Leads to the event loop of asyncio.
        receive: Returns, there, the next alias that another notifier names.
    """

    def __init__(self, bridge: Bridge, receive: Callable[[], Awaitable[str]]) -> None:
        self._bridge = bridge
        self._receive = receive

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        return await self._bridge.call(self._receive)
