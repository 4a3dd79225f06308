"""Deliver events to listeners, in order (layer 6)."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeAlias

import anyio
import attrs
from anyio.abc import TaskStatus

from apsched import _refs
from apsched.clock import Clock, Wakeup
from apsched.engine.listener_thread import ListenerThread
from apsched.events import EVENT_ALL, JobEvent, SchedulerEvent
from apsched.logs import of_job

logger: logging.Logger = logging.getLogger("apsched.events")

Listener: TypeAlias = Callable[[Any], Any]


@attrs.define(eq=False)
class _Subscription:
    callback: Listener
    mask: int
    is_async: bool
    is_over: bool = False


_Published: TypeAlias = tuple[SchedulerEvent, tuple[_Subscription, ...]]  # with those who listened when it happened
_Delivery: TypeAlias = tuple[_Subscription, SchedulerEvent]

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
        self._thread: ListenerThread | None = None
        self._subscriptions: tuple[_Subscription, ...] = ()
        self._wanted = 0
        self._events: deque[_Published] = deque()
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
        self._subscriptions += (_Subscription(callback, mask, _refs.is_coroutine_callable(callback)),)
        self._wanted |= mask

    def unsubscribe(self, callback: Listener) -> None:
        """Remove a listener, also for events that are on their way; nothing happens if it is not there."""
        known, self._subscriptions, self._wanted = self._subscriptions, (), 0
        for subscription in known:
            if subscription.callback == callback:
                subscription.is_over = True
            else:
                self._subscriptions += (subscription,)
                self._wanted |= subscription.mask

    def wants(self, code: int) -> bool:
        """Whether anybody listens to events of *code*; where nobody does, none needs to be made."""
        return bool(self._wanted & code)

    def publish(self, event: SchedulerEvent) -> None:
        """Queue *event* for delivery to those who listen now; who comes later hears of what comes later."""
        if self._wanted & event.code:
            self._events.append((event, self._subscriptions))
            self._wakeup.set()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Deliver until `close`."""
        self._is_closing = False
        _delivering.set(self)
        self._thread = ListenerThread() if self._plain_in_thread else None
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
            if self._thread is not None:
                self._thread.close()
            self._clock.work_ended()

    def close(self) -> None:
        """Let `run` return when all is delivered."""
        self._is_closing = True
        self._wakeup.set()

    async def _deliver_next(self) -> None:
        await self._deliver([self._events.popleft() for _ in range(len(self._events))])

    async def _deliver(self, events: Sequence[_Published]) -> None:
        plain: list[_Delivery] = []
        for event, listening in events:
            for known in listening:
                if not known.mask & event.code:
                    continue
                if known.is_async:
                    await self._call_plain(plain)
                    plain = []
                    await _call_async(known, event)
                else:
                    plain.append((known, event))
        await self._call_plain(plain)

    async def _call_plain(self, deliveries: list[_Delivery]) -> None:
        if not deliveries:
            return
        if self._thread is None:
            _call_all(deliveries, Exception)
        else:
            await self._thread.call(partial(_call_all, deliveries, BaseException))


def _name_listener(variables: Mapping[str, Any]) -> str:
    """Name the listener that one of the functions below, which has these variables, calls."""
    known: _Subscription = variables["known"]
    return f"listener {_refs.name_of(known.callback)}"


def _call_all(deliveries: list[_Delivery], caught: type[BaseException]) -> None:
    for known, event in deliveries:
        if known.is_over:
            continue
        try:
            known.callback(event)
        except (caught, SystemExit):
            logger.exception("listener %r raised on %s", known.callback, event, extra=_fields(event))


def _fields(event: SchedulerEvent) -> dict[str, Any]:
    """Return the fields of a record about *event*."""
    return of_job(event.job_id, event.jobstore) if isinstance(event, JobEvent) else {}


async def _call_async(known: _Subscription, event: SchedulerEvent) -> None:
    if known.is_over:
        return
    with anyio.CancelScope(shield=True):  # so that a cancellation that comes out is the listener's own
        try:
            await known.callback(event)
        except KeyboardInterrupt:  # Ctrl-C, where the event loop is in the main thread
            raise
        except BaseException:
            logger.exception("listener %r raised on %s", known.callback, event, extra=_fields(event))


CALLERS = {_call_all.__code__: _name_listener, _call_async.__code__: _name_listener}
"""The code of what calls listeners -> how the variables there name the listener."""
