"""Call stores and clients whose servers are away for a while."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, TypeVarTuple

import anyio
from anyio import to_thread

from apsched.exceptions import JobStoreUnavailableError
from apsched.jobstores.base import JobStore

T = TypeVar("T")
Args = TypeVarTuple("Args")


async def beat_apart(store: JobStore, node: str) -> bool:
    """Raise the beat of a node as the engine does: in an event loop of another thread."""

    async def pulse() -> bool:
        async with store.pulse(node) as beat:
            return await beat()

    return await to_thread.run_sync(asyncio.run, pulse())


async def done(func: Callable[..., Any], *args: Any) -> None:
    """Call a method of a client or an engine, whether it has to be awaited or not."""
    result = func(*args)
    if inspect.isawaitable(result):
        await result


async def patiently(func: Callable[[*Args], Awaitable[T]], *args: *Args) -> T:
    """Call until the server is there."""
    with anyio.fail_after(30):
        while True:
            try:
                return await func(*args)
            except JobStoreUnavailableError:
                await anyio.sleep(0.05)
