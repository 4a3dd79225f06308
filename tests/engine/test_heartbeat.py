"""The thread in which a node gives signs of life."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import pytest

from apsched.async_scheduler import AsyncScheduler
from apsched.clock import SystemClock
from apsched.engine.heartbeat import Heartbeat
from apsched.engine.lease import Lease
from apsched.exceptions import ExecutorRefusedError
from apsched.jobstores.base import Beat
from apsched.jobstores.memory import MemoryJobStore
from apsched.testing.clock import VirtualClock
from tests.threads import threads

LEASE = 0.3  # seconds; shorter than a scheduler allows, so that the tests are quick


class Pulse(MemoryJobStore):
    """Counts beats, and answers them as it is told."""

    is_shared = True

    def __init__(self) -> None:
        super().__init__()
        self.opened = 0
        self.beats = 0
        self.answer: Callable[[], bool] = lambda: True
        self.threads: set[threading.Thread] = set()

    def pulse(self, node: str) -> AbstractAsyncContextManager[Beat]:
        return self._counted(node)

    @asynccontextmanager
    async def _counted(self, node: str) -> AsyncGenerator[Beat]:
        self.opened += 1

        async def beat() -> bool:
            self.beats += 1
            self.threads.add(threading.current_thread())
            return self.answer()

        yield beat


class Life:
    """A heartbeat and what it says."""

    def __init__(self, store: MemoryJobStore, seconds: float = LEASE) -> None:
        clock = SystemClock()
        self.lease = Lease("node", seconds, clock)
        self.is_well = True
        self.tries: list[bool] = []
        self.lost = anyio.Event()
        self.heart = Heartbeat(
            store,
            self.lease,
            clock,
            is_well=lambda: self.is_well,
            on_beat=self.tries.append,
            on_lost=self.lost.set,
            on_ended=lambda: None,
        )


@pytest.fixture
def store() -> Pulse:
    return Pulse()


@pytest.fixture
async def life(store: Pulse) -> AsyncIterator[Life]:
    life = Life(store)
    life.heart.start()
    yield life
    await life.heart.close()


async def wait_until(condition: Callable[[], object]) -> None:
    with anyio.fail_after(10):
        while not condition():  # noqa: ASYNC110  # it comes true in a thread
            await anyio.sleep(0.005)


def fail() -> bool:
    raise ConnectionResetError("no answer")


async def test_it_beats_in_a_thread_of_its_own(life: Life, store: Pulse) -> None:
    await wait_until(lambda: store.beats >= 3 and len(life.tries) >= 3)

    assert store.opened == 1
    assert threading.current_thread() not in store.threads
    assert all(life.tries)
    assert life.lease.is_trusted


async def test_it_beats_while_the_event_loop_is_blocked(life: Life, store: Pulse) -> None:
    await wait_until(lambda: store.beats)
    before = store.beats

    time.sleep(2 * LEASE)  # noqa: ASYNC251  # that is the point

    assert store.beats > before
    assert life.lease.is_trusted


async def test_a_blocked_event_loop_is_told_of_once(life: Life, store: Pulse, caplog: pytest.LogCaptureFixture) -> None:
    time.sleep(4 * LEASE)  # noqa: ASYNC251  # that is the point

    assert caplog.text.count("has an event loop that something has blocked") == 1


async def test_after_many_leases_a_blocked_event_loop_is_not_vouched_for(
    life: Life, store: Pulse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apsched.engine.heartbeat.BLOCKED_LIMIT", 2)
    time.sleep(4 * LEASE)  # noqa: ASYNC251  # that is the point
    before = store.beats
    time.sleep(LEASE)  # noqa: ASYNC251  # that is the point
    during = store.beats

    assert before == during
    await wait_until(lambda: store.beats > during)  # and it goes on when the loop does


async def test_a_core_that_is_not_well_is_not_vouched_for(life: Life, store: Pulse) -> None:
    await wait_until(lambda: store.beats)
    life.is_well = False
    await wait_until(lambda: life.tries and not life.tries[-1])
    before = store.beats
    await wait_until(lambda: len(life.tries) > 2 + life.tries.index(False))
    during = store.beats
    life.is_well = True
    await wait_until(lambda: store.beats > during)

    assert before == during


async def test_a_beat_that_fails_is_tried_again_by_another_connection(
    life: Life, store: Pulse, caplog: pytest.LogCaptureFixture
) -> None:
    store.answer = fail
    await wait_until(lambda: store.opened >= 3)
    store.answer = lambda: True
    await wait_until(lambda: life.tries[-1])

    assert life.lease.is_trusted
    assert caplog.text.count("cannot give a sign of life: ConnectionResetError: no answer") == 1


async def test_a_node_that_is_dead_is_told_so_and_beats_no_more(life: Life, store: Pulse) -> None:
    store.answer = lambda: False

    with anyio.fail_after(10):
        await life.lost.wait()
    await anyio.sleep(LEASE)

    assert store.beats == 1


async def test_a_server_that_hangs_is_left_after_a_while(store: Pulse) -> None:
    class Hanging(Pulse):
        @asynccontextmanager
        async def _counted(self, node: str) -> AsyncGenerator[Beat]:
            async def beat() -> bool:
                self.beats += 1
                await asyncio.Event().wait()
                return True

            self.opened += 1
            yield beat

    hanging = Hanging()
    life = Life(hanging)
    life.heart.start()
    await wait_until(lambda: hanging.opened >= 2)
    began = time.monotonic()
    await life.heart.close()

    assert time.monotonic() - began < 5
    assert not life.lease.is_trusted


async def test_a_call_that_cannot_be_interrupted_does_not_hold_up_the_end(store: Pulse) -> None:
    go = threading.Event()

    def block() -> bool:
        go.wait(10)
        return True

    store.answer = block
    life = Life(store)
    life.heart.start()
    await wait_until(lambda: store.beats)

    with anyio.fail_after(5):
        await life.heart.close()
    go.set()
    for thread in store.threads:
        await anyio.to_thread.run_sync(thread.join)


async def test_it_may_be_closed_at_once(store: Pulse) -> None:
    before = threads()
    for _ in range(20):
        life = Life(store)
        life.heart.start()
        await life.heart.close()

    assert threads() == before
    assert store.opened == 0


async def test_no_thread_is_left_of_a_scheduler_on_a_shared_store(store: Pulse) -> None:
    before = threads()

    async with AsyncScheduler(jobstores={"default": store}, lease=1):
        await wait_until(lambda: store.beats >= 2)

    assert threads() == before


async def test_a_heartbeat_that_has_ended_by_itself_begins_again(
    store: Pulse, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = asyncio.run
    left = 2

    def run_soon(*args: Any, **options: Any) -> Any:
        nonlocal left
        if left and threading.current_thread().name == "apsched-heartbeat":
            left -= 1
            args[0].close()
            raise OSError(24, "Too many open files")
        return run(*args, **options)

    monkeypatch.setattr(asyncio, "run", run_soon)
    async with AsyncScheduler(jobstores={"default": store}, lease=1):
        await wait_until(lambda: store.beats >= 2)

    assert caplog.text.count("has failed, and another takes its place") == 2


async def test_a_store_that_is_not_shared_has_no_heartbeat() -> None:
    async with AsyncScheduler():
        assert not [thread for thread in threading.enumerate() if thread.name == "apsched-heartbeat"]


# leases


def test_a_lease_is_trusted_for_two_thirds_after_the_last_beat_was_sent() -> None:
    class Hand(SystemClock):
        passed = 0.0

        def monotonic(self) -> float:
            return self.passed

    clock = Hand()
    lease = Lease("node", 15, clock)

    trusted = []
    for passed in (0, 9.9, 10.1):
        clock.passed = passed
        trusted.append(lease.is_trusted)
    lease.renew(9, clock.now())
    trusted.append(lease.is_trusted)

    assert trusted == [True, True, False, True]


async def test_a_machine_that_was_suspended_is_not_trusted(clock: VirtualClock) -> None:
    lease = Lease("node", 15, clock)

    await clock.jump(60)  # the monotonic clock may stand still meanwhile

    assert not lease.is_trusted
    with pytest.raises(ExecutorRefusedError, match="node node cannot be sure any more"):
        lease.enter()


def test_a_lease_that_was_lost_is_never_trusted_again(clock: VirtualClock) -> None:
    lease: Any = Lease("node", float("inf"), clock)
    before = lease.is_trusted
    lease.is_lost = True

    assert (before, lease.is_trusted) == (True, False)
