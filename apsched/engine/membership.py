"""Be a node of the cluster that shares one store (layer 6)."""

from __future__ import annotations

import logging
import math
import os
import secrets
import socket
from collections.abc import Callable
from datetime import timedelta

import anyio

from apsched.clock import Clock, Wakeup
from apsched.engine.backoff import Backoff
from apsched.engine.bus import Bus
from apsched.engine.heartbeat import BEATS, Heartbeat
from apsched.engine.lease import Lease
from apsched.events import EVENT_LEASE_LOST, SchedulerEvent
from apsched.jobstores.base import JobStore

logger: logging.Logger = logging.getLogger("apsched.nodes")

LEAVE_PATIENCE = 2.0  # seconds


def new_node_id() -> str:
    """Return an id that no node has had: host, process id and a random part."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


class Membership:
    """
    Keeps this scheduler known in one store, and lets it come back under another id when it was taken for dead.

    A store that is not shared is joined too, and that is all: nobody there could take it for dead.

    Args:
        store: The store, open.
        alias: Its alias.
        seconds: After how long without a beat others take this node for dead.
        clock: Time.
        bus: Gets the event.
        attempt: Since when the loop of the store has been at what it does there; None while it sleeps.
        on_trusted: Called when the lease can be trusted after it could not, and when the store answers again.
        on_lost: Gets the lease that was lost.

    Attributes:
        lease: That of the present node id.
    """

    lease: Lease

    def __init__(
        self,
        store: JobStore,
        alias: str,
        seconds: float,
        clock: Clock,
        bus: Bus,
        *,
        attempt: Callable[[], float | None],
        on_trusted: Callable[[], None],
        on_lost: Callable[[Lease], None],
    ) -> None:
        self._store = store
        self._alias = alias
        self._seconds = seconds
        self._clock = clock
        self._bus = bus
        self._attempt = attempt
        self._on_trusted = on_trusted
        self._on_lost = on_lost
        self._news = Wakeup()  # the lease is lost, or the heartbeat has ended
        self._heartbeat: Heartbeat | None = None
        self._is_waited_for = False  # whether somebody wants to know of the next beat
        self._is_answered = True  # whether the last beat came through
        self._seen: float | None = None  # the attempt that was seen last
        self._seen_again = 0  # how often

    async def join(self, node: str) -> None:
        """Join under the id *node*."""
        lease = Lease(node, self._seconds if self._store.is_shared else math.inf, self._clock)
        await self._store.join(node, self._seconds, self._clock.now())
        self.lease = lease

    async def leave(self, *, is_answering: bool = True) -> None:
        """Be forgotten by the store, if it answers; one of which is known that it does not is not asked."""
        if self.lease.is_lost:
            return
        if not is_answering:
            self._tell_left("it does not answer")
            return
        try:
            with anyio.fail_after(LEAVE_PATIENCE, shield=True):
                await self._store.leave(self.lease.node)
        except Exception as exc:
            self._tell_left(f"{type(exc).__name__}: {exc}")

    def _tell_left(self, why: str) -> None:
        logger.warning(
            "node %s cannot take leave of job store %r, and will be taken for dead: %s",
            self.lease.node,
            self._alias,
            why,
        )

    def ask_for_beat(self) -> None:
        """Give a sign of life now, and call `on_trusted` when that has come through."""
        self._is_waited_for = True
        if self._heartbeat is not None:
            self._heartbeat.hurry()

    def lose(self, lease: Lease) -> None:
        """Give up *lease*, since the store says that its node was taken for dead."""
        if lease.is_lost:
            return
        lease.is_lost = True
        detail = f"node {lease.node} was taken for dead; its runs are cancelled, and it goes on under another id"
        logger.error("job store %r: %s", self._alias, detail)
        self._bus.publish(SchedulerEvent(EVENT_LEASE_LOST, self._alias, detail=detail))
        self._on_lost(lease)
        self._news.set()

    async def run(self) -> None:
        """Beat, and join again whenever the lease was lost; until cancelled."""
        with self._clock.at_work():
            backoff = Backoff()
            while True:
                try:
                    await self._keep(self.lease)
                except RuntimeError as exc:  # out of threads
                    logger.error("node %s cannot give signs of life: %s", self.lease.node, exc)  # noqa: TRY400
                if self.lease.is_lost:
                    await self._join_again()
                else:
                    await backoff.sleep(self._clock)

    async def _keep(self, lease: Lease) -> None:
        """Beat until *lease* is lost, or the thread has ended by itself: out of memory, or of file descriptors."""
        self._heartbeat = heartbeat = Heartbeat(
            self._store,
            lease,
            self._clock,
            is_well=self._is_well,
            on_beat=self._note_beat,
            on_lost=lambda: self.lose(lease),
            on_ended=self._news.set,
        )
        heartbeat.start()
        try:
            while not lease.is_lost and not heartbeat.has_ended:
                pause = timedelta(seconds=lease.seconds / BEATS)
                await self._clock.wait(self._news, None if self._clock.is_real else self._clock.now() + pause)
                self._news.arm()
                if not self._clock.is_real and not lease.is_lost:
                    await heartbeat.beat()
        finally:
            self._heartbeat = None
            await heartbeat.close()

    async def _join_again(self) -> None:
        backoff = Backoff()
        while True:
            try:
                await self.join(new_node_id())
            except Exception as exc:
                logger.error("job store %r cannot be joined again: %s: %s", self._alias, type(exc).__name__, exc)  # noqa: TRY400
                await backoff.sleep(self._clock)
            else:
                logger.info("goes on as node %s in job store %r", self.lease.node, self._alias)
                self._on_trusted()
                return

    def _is_well(self) -> bool:
        """Whether the loop makes progress: False if it is at one attempt for a lease although the store answers."""
        attempt = self._attempt()
        if attempt is None or attempt != self._seen:
            self._seen, self._seen_again = attempt, 0
        elif self._is_answered:
            self._seen_again += 1
        return self._seen_again <= BEATS

    def _note_beat(self, is_raised: bool) -> None:
        self._is_answered = is_raised
        if not is_raised:
            self._is_waited_for = True  # the store may be away: whoever backs off from it wants to know
        elif self._is_waited_for:
            self._is_waited_for = False
            self._on_trusted()
