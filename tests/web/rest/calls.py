"""What the jobs of these tests call."""

from __future__ import annotations

from typing import Any

import anyio

from apsched import current_run


def work(*args: Any, **kwargs: Any) -> Any:
    return [*args, kwargs]


def fail() -> None:
    raise OSError("the disk is full")


async def wait() -> None:
    await anyio.sleep_forever()


def half() -> None:
    current_run().progress(0.5, "half of it")
    raise OSError("the disk is full")
