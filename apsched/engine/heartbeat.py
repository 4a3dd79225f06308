"""Raise the beat of a node from a thread of its own (layer 6).

Rule 1: a thread with its own connection, because callables may block the event loop and the node lives nevertheless.
Rule 2: but it vouches only for a core that makes progress. At each beat it asks the event loop, and looks at the answer
before the next one: a core that is stuck in its store is left to die. An event loop that does not answer runs a
callable that blocks it; that is tolerated for `BLOCKED_LIMIT` leases.
Rule 3: every step has a deadline, after which its connection is thrown away.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress

import anyio

from apsched import _eventloop
from apsched._eventloop import Waiter
from apsched.clock import Clock
from apsched.engine.lease import Lease
from apsched.jobstores.base import Beat, JobStore

logger: logging.Logger = logging.getLogger("apsched.nodes")

BEATS = 3  # in a lease
RETRIES = 5  # in the time between two beats, while beats fail
BLOCKED_LIMIT = 20  # leases for which a blocked event loop is vouched for
PATIENCE = 1.0  # seconds that are waited for the thread, and for a connection to be closed


class Heartbeat:
    """
    Beats for one node, from `start` to `close`; each node id has its own.

    The first beat comes a third of a lease after the start, since joining is a sign of life too. With a clock that is
    not real, beats come only when they are asked for.

    Args:
        store: An open store, in which the node has joined.
        lease: Is renewed.
        clock: Time.
        is_well: Asked in the event loop: whether the core makes progress.
        on_beat: Called in the event loop after each try, with whether the beat was raised.
        on_lost: Called in the event loop when the node was taken for dead; that is the end of it.
        on_ended: Called in the event loop when the thread has ended, for whatever reason.

    Attributes:
        has_ended: Whether it has.
    """

    def __init__(
        self,
        store: JobStore,
        lease: Lease,
        clock: Clock,
        *,
        is_well: Callable[[], bool],
        on_beat: Callable[[bool], None],
        on_lost: Callable[[], None],
        on_ended: Callable[[], None],
    ) -> None:
        self._store = store
        self._lease = lease
        self._clock = clock
        self._is_well = is_well
        self._on_beat = on_beat
        self._on_lost = on_lost
        self._on_ended = on_ended
        self.has_ended: bool = False
        self._pause = lease.seconds / BEATS
        self._home = _eventloop.current()
        self._is_home_gone = False
        self._ended: Waiter[bool] = self._home.waiter()
        self._tried: Waiter[None] | None = None
        self._lock = threading.Lock()  # guards the next two
        self._loop: asyncio.AbstractEventLoop | None = None
        self._early: list[Callable[[], object]] = []  # what the thread is to call when it has its loop
        self._beating: asyncio.Task[None]
        self._nudge = asyncio.Event()
        self._asked_at: float | None = None  # since when the event loop has owed an answer
        self._answer = True
        self._told: set[str] = set()  # what is wrong and was logged
        self._thread = threading.Thread(target=self._work, name="apsched-heartbeat", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def hurry(self) -> None:
        """Let the next beat come at once."""
        self._call(self._nudge.set)

    async def beat(self) -> None:
        """Let the next beat come at once, and return when it was tried."""
        self._tried = self._home.waiter()
        self.hurry()
        await self._tried.wait_for(3 * self._pause, None)

    async def close(self) -> None:
        """End the thread, and wait for that; but for a second at most, should it hang in a call of its store."""
        self._call(self._stop)
        has_ended = False
        with anyio.CancelScope(shield=True):
            has_ended = await self._ended.wait_for(PATIENCE, False)
        if has_ended:
            self._thread.join()  # it has nothing more to do
        else:
            logger.debug("the heartbeat of node %s hangs and is left behind", self._lease.node)

    def _call(self, callback: Callable[[], object]) -> None:
        """Call *callback* in the thread soon."""
        with self._lock:
            if self._loop is None:
                self._early.append(callback)
                return
        with suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(callback)

    def _stop(self) -> None:
        self._beating.cancel()

    def _reply(self) -> None:
        self._answer = self._is_well()
        self._asked_at = None

    def _end(self) -> None:
        self.has_ended = True
        self._ended.set(True)
        self._on_ended()

    def _note_try(self, is_raised: bool) -> None:
        self._on_beat(is_raised)
        if self._tried is not None:
            self._tried.set(None)

    # in the thread

    def _work(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception:
            logger.exception("the heartbeat of node %s has failed, and another takes its place", self._lease.node)
        finally:
            self._at_home(self._end)

    async def _serve(self) -> None:
        self._beating = asyncio.create_task(self._beat_on())
        with self._lock:
            self._loop = asyncio.get_running_loop()
        for callback in self._early:
            callback()
        with suppress(asyncio.CancelledError):
            await self._beating

    async def _beat_on(self) -> None:
        pause = self._pause
        while not self._is_home_gone:
            await self._rest(pause)
            stack = AsyncExitStack()
            try:
                async with asyncio.timeout(self._pause):
                    beat = await stack.enter_async_context(self._store.pulse(self._lease.node))
                while not self._is_home_gone:
                    if not await self._beat(beat):
                        return
                    await self._rest(self._pause)
            except Exception as exc:
                self._tell("fails", f"cannot give a sign of life: {type(exc).__name__}: {exc}")
                self._at_home(lambda: self._note_try(False))
                pause = self._pause / RETRIES
            finally:
                await _close(stack)

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds if self._clock.is_real else None):
                await self._nudge.wait()
        self._nudge.clear()

    async def _beat(self, beat: Beat) -> bool:
        """Raise the beat if the core is well; return False if the node was taken for dead."""
        if not self._may_beat():
            self._at_home(lambda: self._note_try(False))
            return True
        sent, sent_at = self._clock.monotonic(), self._clock.now()
        async with asyncio.timeout(self._pause):
            is_known = await beat()
        if is_known:
            self._lease.renew(sent, sent_at)
            self._told.discard("fails")
        else:
            self._at_home(self._on_lost)
        self._at_home(lambda: self._note_try(is_known))
        return is_known

    def _may_beat(self) -> bool:
        now = self._clock.monotonic()
        if self._asked_at is None:
            self._told.discard("blocked")
            self._asked_at = now
            self._at_home(self._reply)
        blocked = now - (self._asked_at or now)
        if blocked > BLOCKED_LIMIT * self._lease.seconds:
            self._tell("given up", f"gives no sign of life any more: its event loop has been blocked for {blocked:g} s")
            return False
        if blocked > self._lease.seconds:
            self._tell("blocked", f"has an event loop that something has blocked for {blocked:g} s")
        if not self._answer:
            self._tell("stuck", "gives no sign of life: its loop is stuck in the job store")
            return False
        self._told.discard("stuck")
        return True

    def _tell(self, kind: str, what: str) -> None:
        if kind not in self._told:
            self._told.add(kind)
            logger.warning("node %s %s", self._lease.node, what)

    def _at_home(self, callback: Callable[[], object]) -> None:
        """Call *callback* in the event loop of the scheduler soon."""
        try:
            self._home.call_soon_threadsafe(callback)
        except RuntimeError:  # it has ended, and so does this
            self._is_home_gone = True


async def _close(stack: AsyncExitStack) -> None:
    with suppress(Exception):
        async with asyncio.timeout(PATIENCE):
            await stack.aclose()
