"""The trio side of `_eventloop` (layer 0); imported only where trio runs."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

import trio

from apsched._eventloop import EventLoop, Started, TaskPool, Waiter

T = TypeVar("T")


class TrioWaiter(Waiter[T]):
    """An event and the value that came with it."""

    __slots__ = ("_event", "_value")

    def __init__(self) -> None:
        self._event = trio.Event()
        self._value: T

    def set(self, value: T) -> None:
        if not self._event.is_set():
            self._value = value
            self._event.set()

    async def wait(self) -> T:
        await self._event.wait()
        return self._value

    async def wait_for(self, seconds: float | None, default: T) -> T:
        with trio.move_on_after(float("inf") if seconds is None else seconds):
            await self._event.wait()
        return self._value if self._event.is_set() else default


class TrioTaskPool(TaskPool):
    """A nursery, and a cancel scope for each task."""

    def __init__(self) -> None:
        self._manager = trio.open_nursery()
        self._nursery: trio.Nursery

    async def __aenter__(self) -> Self:
        self._nursery = await self._manager.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._manager.__aexit__(exc_type, exc, traceback)

    def start(self, func: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> Started:
        scope = trio.CancelScope()
        self._nursery.start_soon(self._run, scope, func, args)
        return scope

    def cancel(self) -> None:
        self._nursery.cancel_scope.cancel()

    def abandon(self) -> None:
        pass

    @staticmethod
    async def _run(scope: trio.CancelScope, func: Callable[..., Coroutine[Any, Any, None]], args: Any) -> None:
        with scope:
            await func(*args)


class TrioLoop(EventLoop):
    """The running trio loop."""

    def __init__(self) -> None:
        self._token = trio.lowlevel.current_trio_token()

    def waiter(self) -> Waiter[Any]:
        return TrioWaiter()

    def task_pool(self) -> TaskPool:
        return TrioTaskPool()

    def call_soon_threadsafe(self, callback: Callable[[], object]) -> None:
        self._token.run_sync_soon(callback)
