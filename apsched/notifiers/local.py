"""The notifier of a scheduler whose stores no other process sees (layer 7)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio

from apsched.notifiers.base import Notifier


class LocalNotifier(Notifier):
    """Tells nobody: there is no other node."""

    async def notify(self, store: str) -> None:
        return None

    def listen(self) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        return self._listen()

    @asynccontextmanager
    async def _listen(self) -> AsyncGenerator[AsyncIterator[str]]:
        yield _silence()


async def _silence() -> AsyncIterator[str]:
    await anyio.sleep_forever()
    yield ""
