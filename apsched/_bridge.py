"""Call clients that know asyncio only, from asyncio and from trio (layer 5).

Under asyncio a call is made right where it is. Under trio it is carried out in an asyncio event loop that runs in a
thread of its own: one for all bridges of the process, there as long as one of them is open. A crossing costs about
0.2 ms, so cross once for a whole store operation and not once for a statement.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self, TypeVar, TypeVarTuple

from anyio import CancelScope, to_thread
from anyio.from_thread import BlockingPortal, BlockingPortalProvider

T = TypeVar("T")
Args = TypeVarTuple("Args")

_provider = BlockingPortalProvider("asyncio")


class Bridge:
    """Leads from the running event loop into asyncio; entered and left by whoever owns the client."""

    def __init__(self) -> None:
        self._portal: BlockingPortal | None = None

    async def __aenter__(self) -> Self:
        trio = sys.modules.get("trio")
        if trio is not None and trio.lowlevel.in_trio_task():
            self._portal = await to_thread.run_sync(_provider.__enter__)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._portal is not None:
            self._portal = None
            with CancelScope(shield=True):  # or its thread would stay, and keep the program from ending
                await to_thread.run_sync(_provider.__exit__, None, None, None)

    async def call(self, func: Callable[[*Args], Awaitable[T]], *args: *Args) -> T:
        """
        Await *func* in asyncio. Cancelling the caller cancels the call and waits for it.

        Raises:
            BaseException: What the function raises.
        """
        if self._portal is None:
            return await func(*args)
        return await self._portal.call_async(func, *args)


class Bridged(ABC):
    """A part of a scheduler whose client knows asyncio only: entering opens it there, and leaving closes it."""

    def __init__(self) -> None:
        super().__init__()
        self._bridge = Bridge()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._bridge)
            stack.push_async_callback(self._leave)
            await self._bridge.call(self._open)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _leave(self) -> None:
        with CancelScope(shield=True):
            await self._bridge.call(self._close)

    @abstractmethod
    async def _open(self) -> None:
        """Open what there is to open; called in asyncio."""

    @abstractmethod
    async def _close(self) -> None:
        """Close what is open, also after `_open` has failed; called in asyncio."""
