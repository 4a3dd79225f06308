"""Call a callable to its end in a thread that runs no event loop (layer 7)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any


def is_awaitable(value: object) -> bool:
    """Return whether *value* has still to be awaited; far cheaper than `inspect.isawaitable`."""
    return hasattr(type(value), "__await__")


def call_to_end(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Call *func*; what it returns is, if awaitable, awaited in an asyncio loop made for it."""
    value = func(*args, **kwargs)
    if not is_awaitable(value):
        return value
    import asyncio  # takes 50 ms in a fresh worker process, which seldom needs it

    return asyncio.run(_await(value))


async def _await(value: Awaitable[Any]) -> Any:
    return await value
