from __future__ import annotations

import threading
import weakref
from collections.abc import Sized

import anyio

from apsched import _eventloop
from apsched._eventloop import EventLoop, TaskPool, Waiter
from apsched.executors._delivery import Delivery


class Something:
    pass


class CountingLoop(EventLoop):
    """The running loop, and how often it was woken."""

    def __init__(self) -> None:
        self._loop = _eventloop.current()
        self.wakes = 0

    def waiter(self) -> Waiter[object]:
        return self._loop.waiter()

    def task_pool(self) -> TaskPool:
        return self._loop.task_pool()

    def call_soon_threadsafe(self, callback: object) -> None:
        self.wakes += 1
        self._loop.call_soon_threadsafe(callback)  # type: ignore[arg-type]  # handed on as it is


async def test_a_burst_wakes_the_loop_once_and_keeps_its_order() -> None:
    loop = CountingLoop()
    received: list[int] = []
    delivery: Delivery[int] = Delivery(loop, received.append)

    for item in range(100):
        delivery.put(item)
    assert received == []
    await _until_long(received, 100)

    assert received == list(range(100))
    assert loop.wakes == 1


async def test_an_item_that_is_put_while_a_burst_is_delivered_comes_too() -> None:
    received: list[int] = []

    def receive(item: int) -> None:
        received.append(item)
        if item < 50:
            delivery.put(item + 1)

    delivery: Delivery[int] = Delivery(_eventloop.current(), receive)
    delivery.put(0)
    await _until_long(received, 51)

    assert received == list(range(51))


async def test_nothing_is_lost_between_many_threads_and_the_loop() -> None:
    received: list[tuple[int, int]] = []
    delivery: Delivery[tuple[int, int]] = Delivery(_eventloop.current(), received.append)

    def put_many(thread: int) -> None:
        for item in range(2000):
            delivery.put((thread, item))

    threads = [threading.Thread(target=put_many, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    await _until_long(received, 8000)

    for number in range(4):
        assert [item for thread, item in received if thread == number] == list(range(2000))
    for thread in threads:
        thread.join()


async def test_what_ends_after_the_loop_is_dropped_silently() -> None:
    class EndedLoop(CountingLoop):
        def call_soon_threadsafe(self, callback: object) -> None:
            raise RuntimeError("the loop has ended")

    received: list[Something] = []
    delivery = Delivery(EndedLoop(), received.append)
    items = [Something(), Something()]
    references = [weakref.ref(item) for item in items]

    while items:
        delivery.put(items.pop())

    assert received == []
    assert [reference() for reference in references] == [None, None]


async def _until_long(received: Sized, count: int) -> None:
    with anyio.fail_after(10):
        while len(received) < count:  # noqa: ASYNC110  # no event tells what threads do
            await anyio.sleep(0.001)
