"""Give executors something to call that a worker process can import without pytest (layer 10)."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import anyio
import anyio.lowlevel

number: ContextVar[int] = ContextVar("number")


class AddOne:
    """Adds one in every way in which an instance can be called."""

    def __call__(self, value: int) -> int:
        return value + 1

    def method(self, value: int) -> int:
        """Return *value* and one."""
        return value + 1

    async def coroutine_method(self, value: int) -> int:
        """Return *value* and one, later."""
        return value + 1


class AsyncAddOne:
    """Adds one when it is called and awaited."""

    async def __call__(self, value: int) -> int:
        await anyio.lowlevel.checkpoint()
        return value + 1


class UnusualError(Exception):
    """An error that takes other arguments than it passes on, as many do."""

    def __init__(self, code: int, *, reason: str) -> None:
        super().__init__(f"{code}: {reason}")


def add_one(value: int) -> int:
    """Return *value* and one."""
    return value + 1


async def add_one_later(value: int) -> int:
    """Return *value* and one, later."""
    await anyio.lowlevel.checkpoint()
    return value + 1


def give_coroutine(value: int) -> Any:
    """Return what has to be awaited."""
    return add_one_later(value)


def fail(message: str) -> None:
    """Raise an error."""
    raise LookupError(message)


async def fail_later(message: str) -> None:
    """Raise an error, later."""
    await anyio.lowlevel.checkpoint()
    raise LookupError(message)


def fail_unusually() -> None:
    """Raise an error that cannot be made from its arguments."""
    raise UnusualError(7, reason="no luck")


def leave(code: int) -> None:
    """Leave the interpreter."""
    raise SystemExit(code)


def interrupt() -> None:
    """Do what Ctrl-C does."""
    raise KeyboardInterrupt


def get_number() -> int:
    """Return what the context says."""
    return number.get()


async def get_number_later() -> int:
    """Return what the context says, later."""
    await anyio.lowlevel.checkpoint()
    return number.get()


async def take_long() -> None:
    """Take much longer than a test has patience."""
    await anyio.sleep(0.4)
