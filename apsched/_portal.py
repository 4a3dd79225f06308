"""Call coroutine functions from code that is not asynchronous (layer 5)."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def drive(coro: Coroutine[Any, Any, T]) -> T:
    """
    Run a coroutine that never suspends, without any event loop.

    Raises:
        RuntimeError: It does suspend; it is closed then.
    """
    try:
        coro.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coro.close()
    raise RuntimeError(f"{coro!r} waits for something, and there is no event loop to wait in")
