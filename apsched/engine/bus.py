"""Deliver events to listeners, in order (layer 6)."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import Any, TypeAlias

import anyio
import anyio.to_thread
import attrs
from anyio.abc import TaskStatus

from apsched import _refs
from apsched.clock import Clock, Wakeup
from apsched.events import EVENT_ALL, SchedulerEvent

logger = logging.getLogger("apsched.events")

Listener: TypeAlias = Callable[[Any], Any]


@attrs.frozen(eq=False)
class _Subscription:
    callback: Listener
    mask: int
    is_async: bool


_delivering: ContextVar[Bus | None] = ContextVar("apsched_delivering", default=None)


class Bus:
    """
    The listeners of a scheduler and the events that are on their way to them.

    Each event reaches the listeners in the order in which they were added, and no event overtakes another. Coroutine
    functions are awaited in the event loop. Plain functions are called in the event loop too, or, with
    *plain_in_thread*, in one worker thread, where they may block and call the blocking face of the scheduler.

    Args:
        clock: Is told what is under way.
        plain_in_thread: Where plain listeners are called.
    """

    def __init__(self, clock: Clock, *, plain_in_thread: bool) -> None:
        self._clock = clock
        self._plain_in_thread = plain_in_thread
        self._subscriptions: list[_Subscription] = []
        self._wanted = 0
        self._events: deque[SchedulerEvent] = deque()
        self._wakeup = Wakeup()
        self._is_closing = False

    @property
    def is_inside(self) -> bool:
        """Whether the calling code is a listener that is being called."""
        return _delivering.get() is self

    def subscribe(self, callback: Listener, mask: int = EVENT_ALL) -> None:
        """
        Add a listener.

        Raises:
            TypeError: *callback* cannot be called, or *mask* is no whole number.
        """
        if not callable(callback):
            raise TypeError(f"callback must be a function of one event, got {callback!r}")
        if not isinstance(mask, int):
            raise TypeError(f"mask must be a sum of EVENT_ constants, got {mask!r}")
        self._subscriptions.append(_Subscription(callback, mask, _refs.is_coroutine_callable(callback)))
        self._wanted |= mask

    def unsubscribe(self, callback: Listener) -> None:
        """Remove a listener; nothing happens if it is not there."""
        self._subscriptions = [known for known in self._subscriptions if known.callback != callback]
        self._wanted = 0
        for known in self._subscriptions:
            self._wanted |= known.mask

    def wants(self, code: int) -> bool:
        """Whether anybody listens to events of *code*; where nobody does, none needs to be made."""
        return bool(self._wanted & code)

    def publish(self, event: SchedulerEvent) -> None:
        """Queue *event* for delivery."""
        if self._wanted & event.code:
            self._events.append(event)
            self._clock.work_began()
            self._wakeup.set()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Deliver until `close`."""
        self._is_closing = False
        _delivering.set(self)
        self._clock.work_began()
        task_status.started()
        try:
            while True:
                self._wakeup.arm()
                while self._events:
                    await self._deliver_next()
                if self._is_closing:
                    return
                await self._clock.wait(self._wakeup, None)
        finally:
            self._clock.work_ended()

    def close(self) -> None:
        """Let `run` return when all is delivered."""
        self._is_closing = True
        self._wakeup.set()

    async def _deliver_next(self) -> None:
        batch = [self._events.popleft() for _ in range(len(self._events))]
        try:
            await self._deliver(batch)
        finally:
            for _ in batch:
                self._clock.work_ended()

    async def _deliver(self, events: Sequence[SchedulerEvent]) -> None:
        plain: list[tuple[Listener, SchedulerEvent]] = []
        for event in events:
            for known in self._subscriptions:
                if not known.mask & event.code:
                    continue
                if known.is_async:
                    await self._call_plain(plain)
                    plain = []
                    await _call_async(known.callback, event)
                else:
                    plain.append((known.callback, event))
        await self._call_plain(plain)

    async def _call_plain(self, calls: list[tuple[Listener, SchedulerEvent]]) -> None:
        if not calls:
            return
        if self._plain_in_thread:
            await anyio.to_thread.run_sync(_call_all, calls, limiter=anyio.CapacityLimiter(1))
        else:
            _call_all(calls)


def _call_all(calls: list[tuple[Listener, SchedulerEvent]]) -> None:
    for callback, event in calls:
        try:
            callback(event)
        except Exception:
            logger.exception("listener %r raised on %s", callback, event)


async def _call_async(callback: Callable[[Any], Awaitable[Any]], event: SchedulerEvent) -> None:
    try:
        await callback(event)
    except Exception:
        logger.exception("listener %r raised on %s", callback, event)
