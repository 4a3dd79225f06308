"""Several schedulers on one store and one virtual clock, within one event loop (layer 10)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import attrs

from apsched.async_scheduler import AsyncScheduler
from apsched.exceptions import SchedulerNotRunningError
from apsched.testing.clock import SkewedClock, VirtualClock
from apsched.testing.store import FaultyJobStore


@attrs.frozen(eq=False)
class ClusterNode:
    """
    One scheduler of a cluster.

    Attributes:
        scheduler: The scheduler, started.
        store: What it sees of the store that all share; `store.cut()` cuts this node off, and no other.
        clock: Its own clock, which goes with that of the cluster; `clock.jump(seconds)` sets it, and no other.
    """

    scheduler: AsyncScheduler
    store: FaultyJobStore
    clock: SkewedClock

    async def kill(self) -> None:
        """
        Let the node die like a process that is killed: its runs end, and the store hears nothing of it.

        The others take the node for dead when a lease of virtual time has passed.

        Raises:
            SchedulerNotRunningError: It is dead already.
        """
        if not self.scheduler.running:
            raise SchedulerNotRunningError
        self.store.heal()
        self.store.see(FaultyJobStore(VirtualClock()))  # an empty one, which forgets what it is told
        await self.scheduler.shutdown(wait=False)


class Cluster:
    """
    Schedulers that share one store in memory, and one virtual clock with which theirs go.

        cluster = Cluster()
        async with cluster.node() as one, cluster.node() as two:
            await one.scheduler.add_job(work, "interval", minutes=1, id="job")
            await cluster.clock.advance(minutes=5)
            await one.kill()
            await cluster.clock.advance(minutes=5)

    Every node gives its signs of life and looks at the store every few seconds of virtual time, as it does on a server.

    Args:
        clock: The clock with which those of all of them go; None: a new one.
        **options: Options of all schedulers, such as `lease`.

    Attributes:
        clock: The clock.
        store: The store as it is, for `assert_fired(cluster.store.history(), ...)`.
    """

    def __init__(self, clock: VirtualClock | None = None, **options: Any) -> None:
        self.clock: VirtualClock = VirtualClock() if clock is None else clock
        self.store: FaultyJobStore = FaultyJobStore(self.clock, is_shared=True)
        self._options: dict[str, Any] = {"timezone": "UTC", **options}

    @asynccontextmanager
    async def node(self, *, ahead: float = 0, **options: Any) -> AsyncGenerator[ClusterNode]:
        """
        Start a scheduler, and shut it down at the end.

        Args:
            ahead: By how many seconds the clock of this node is fast; less than 0: slow.
            **options: Its own options.
        """
        store = FaultyJobStore(self.clock, is_shared=True)
        store.see(self.store)
        clock = SkewedClock(self.clock, ahead)
        jobstores = {"default": store, **options.pop("jobstores", {})}
        async with AsyncScheduler(clock=clock, jobstores=jobstores, **{**self._options, **options}) as scheduler:
            try:
                yield ClusterNode(scheduler, store, clock)
            finally:
                store.heal()
