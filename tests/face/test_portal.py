"""The portal carries calls from threads into its event loop, and lets none of them hang."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest

from apsched._portal import Portal
from apsched.exceptions import SchedulerNotRunningError, SchedulerStateError
from tests.threads import threads

if TYPE_CHECKING:
    from tests.face.conftest import Record


class Main:
    """What runs in a portal until the test ends it."""

    def __init__(self, portal: Portal) -> None:
        self._portal = portal
        self._stop: anyio.Event

    async def __call__(self, started: Callable[[], None]) -> None:
        self._stop = anyio.Event()
        started()
        await self._stop.wait()

    def stop(self) -> None:
        self._portal.call_soon(self._stop.set)


@pytest.fixture
def portal() -> Portal:
    return Portal("portal")


@pytest.fixture
def main(portal: Portal) -> Iterator[Main]:
    main = Main(portal)
    portal.start(main, daemon=True)
    yield main
    main.stop()
    portal.join()


async def give(value: int) -> int:
    return value


async def give_later(value: int) -> int:
    await anyio.lowlevel.checkpoint()
    return value


async def leave() -> None:
    raise SystemExit(3)


def test_without_a_thread_a_call_is_driven_in_the_calling_one(portal: Portal) -> None:
    assert portal.call(give, 1) == 1
    assert not portal.is_running


def test_without_a_thread_a_call_cannot_wait(portal: Portal) -> None:
    with pytest.raises(SchedulerNotRunningError, match="start it first"):
        portal.call(give_later, 1)


@pytest.mark.usefixtures("main")
def test_a_call_may_wait_in_the_event_loop(portal: Portal) -> None:
    assert portal.call(give_later, 1) == 1


@pytest.mark.usefixtures("main")
def test_a_call_in_the_thread_of_the_event_loop_cannot_wait(portal: Portal) -> None:
    async def call() -> None:
        assert portal.call(give, 1) == 1
        portal.call(give_later, 1)

    with pytest.raises(SchedulerStateError, match="event loop"):
        portal.call(call)


@pytest.mark.usefixtures("main")
def test_what_a_call_raises_is_for_its_caller_alone(portal: Portal) -> None:
    with pytest.raises(SystemExit):
        portal.call(leave)

    assert portal.call(give_later, 1) == 1


def test_a_call_under_way_when_the_event_loop_ends_says_so(portal: Portal, main: Main, record: Record) -> None:
    async def never() -> None:
        record.note("began")
        await anyio.sleep_forever()

    def call() -> None:
        try:
            portal.call(never)
        except SchedulerNotRunningError as exc:
            record.note(str(exc))

    thread = threading.Thread(target=call)
    thread.start()
    record.wait_for("began")

    main.stop()

    record.wait_for("the scheduler was shut down during the call")
    thread.join()
    portal.join()
    assert not portal.is_running


def test_calls_that_come_while_the_event_loop_ends_all_end(portal: Portal, record: Record) -> None:
    is_over = threading.Event()

    def call() -> None:
        while not is_over.is_set():
            try:
                portal.call(give_later, 1)
            except SchedulerNotRunningError:
                pass
            except BaseException as exc:
                record.note(repr(exc))
                raise
        record.note("ended")

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(100):
        main = Main(portal)
        portal.start(main, daemon=True)
        main.stop()
        portal.join()
    is_over.set()
    for thread in threads:
        thread.join()

    assert record.values == ["ended"] * 4


def test_what_main_raises_before_it_has_started_comes_out_of_start(portal: Portal) -> None:
    before = threads()

    async def fail(started: Callable[[], None]) -> None:
        raise ConnectionError("no server there")

    with pytest.raises(ConnectionError, match="no server there"):
        portal.start(fail, daemon=True)

    assert threads() == before
    assert not portal.is_running


def test_joining_and_callbacks_without_a_thread_do_nothing(portal: Portal) -> None:
    portal.join()
    portal.call_soon(lambda: pytest.fail("was called"))
