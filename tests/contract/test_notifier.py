"""The contract of notifiers can be kept."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
import pytest
from anyio.streams.memory import MemoryObjectSendStream

from apsched.notifiers.base import Notifier
from apsched.testing.contract import NotifierContract


class Wire:
    """A server that forgets what nobody listens to, or is too slow for."""

    def __init__(self) -> None:
        self.ends: list[MemoryObjectSendStream[str]] = []

    def send(self, hint: str) -> None:
        for end in self.ends:
            try:
                end.send_nowait(hint)
            except anyio.WouldBlock:
                continue


class WireNotifier(Notifier):
    """Tells all who listen on a wire, itself included."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def notify(self, store: str) -> None:
        await anyio.lowlevel.checkpoint()
        self._wire.send(store)

    def listen(self) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        return self._listen()

    @asynccontextmanager
    async def _listen(self) -> AsyncGenerator[AsyncIterator[str]]:
        end, hints = anyio.create_memory_object_stream[str](10)
        self._wire.ends.append(end)
        try:
            with end, hints:
                yield hints
        finally:
            self._wire.ends.remove(end)


class TestWireNotifier(NotifierContract):
    @pytest.fixture
    def wire(self) -> Wire:
        return Wire()

    @pytest.fixture
    async def notifier(self, wire: Wire) -> AsyncIterator[Notifier]:
        async with WireNotifier(wire) as notifier:
            yield notifier

    @pytest.fixture
    async def other_notifier(self, wire: Wire) -> AsyncIterator[Notifier]:
        async with WireNotifier(wire) as notifier:
            yield notifier
