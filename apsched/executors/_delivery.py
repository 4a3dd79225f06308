"""Hand what threads have finished to the event loop, a burst at a time (layer 7)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from apsched._eventloop import EventLoop

T = TypeVar("T")


class Delivery(Generic[T]):
    """
    Carries items from any thread to a function that is called with each, in the loop, in the order of `put`.

    Waking the loop is what costs, so it is done once a burst. The flag needs no lock: `put` appends before it reads the
    flag, and `_deliver` clears the flag before it counts the items. A `put` that finds the flag set has therefore
    appended before the count that the scheduled `_deliver` will make, and one that finds it clear schedules anew. Two
    threads that both find it clear schedule twice, and the second finds nothing to do.
    """

    def __init__(self, loop: EventLoop, receive: Callable[[T], None]) -> None:
        self._loop = loop
        self._receive = receive
        self._items: deque[T] = deque()
        self._is_scheduled = False

    def put(self, item: T) -> None:
        """Hand over *item*; from any thread. Dropped where the loop has ended, since nobody waits there any more."""
        self._items.append(item)
        if not self._is_scheduled:
            self._is_scheduled = True
            try:
                self._loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:
                self._items.clear()
                self._is_scheduled = False  # so that the next one is dropped as well

    def _deliver(self) -> None:
        self._is_scheduled = False
        for _ in range(len(self._items)):  # later ones come with the next burst, so that the loop is not held up
            self._receive(self._items.popleft())
