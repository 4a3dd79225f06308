"""What the jobs of these tests call."""

from __future__ import annotations

from typing import Any


def work(*args: Any, **kwargs: Any) -> Any:
    return [*args, kwargs]


def fail() -> None:
    raise OSError("the disk is full")


async def wait() -> None:
    import anyio

    await anyio.sleep_forever()
