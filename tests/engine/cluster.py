"""A cluster within one event loop: nodes on one memory store, each by a line of its own that may be cut."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from functools import partial
from types import TracebackType

import anyio

from apsched.job import Job
from apsched.jobstores.base import AfterCrash, Beat, Merge, Node, RunFilter
from apsched.jobstores.memory import MemoryJobStore
from apsched.notifiers.base import Notifier
from apsched.run import Plan, Planner, Run
from apsched.testing.clock import VirtualClock


class Line(MemoryJobStore):
    """
    What one node sees of the store that is shared.

    Attributes:
        cut: Names of methods whose calls do not arrive; `"all"` for every one.
        mute: Names of methods that are carried out and whose answers do not arrive.
        stuck: Names of methods that never come back.
        is_late: Whether calls of `take_due` fail, and arrive only when they are delivered.
        own: The notifier that the store brings.
    """

    is_shared = is_persistent = True

    def __init__(self, core: MemoryJobStore, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock
        vars(self).update(vars(core))  # everything that changes is in containers, which are shared by that
        self.cut: set[str] = set()
        self.mute: set[str] = set()
        self.stuck: set[str] = set()
        self.is_late = False
        self._on_the_way: list[Callable[[], Awaitable[object]]] = []
        self.own: Notifier | None = None
        self.calls: list[str] = []

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._reach("close")

    def heal(self) -> None:
        """Let everything arrive again."""
        self.cut, self.mute, self.stuck = set(), set(), set()

    async def deliver(self) -> None:
        """Let arrive what is late."""
        while self._on_the_way:
            await self._on_the_way.pop(0)()

    async def _reach(self, method: str) -> None:
        self.calls.append(method)
        if method in self.stuck:
            with self._clock.parked():
                await anyio.sleep_forever()
        if method in self.cut or "all" in self.cut:
            raise ConnectionResetError(f"{method} does not arrive")

    def _answer(self, method: str) -> None:
        if method in self.mute:
            raise ConnectionResetError(f"the answer to {method} does not arrive")

    def notifier(self) -> Notifier | None:
        return self.own

    async def add(self, jobs: Sequence[Job], merge: Merge | None = None) -> list[Job]:
        await self._reach("add")
        return await super().add(jobs, merge)

    async def next_run_time(self, slots: Mapping[str, int], owner: str) -> datetime | None:
        await self._reach("next_run_time")
        return await super().next_run_time(self._named(slots), owner)

    def _named(self, slots: Mapping[str, int]) -> Mapping[str, int]:
        """Name all executors, so that jobs of those that are not among *slots* are left alone, as in a shared store."""
        return {**dict.fromkeys(self._heaps, 0), **slots}

    async def take_due(self, now: datetime, slots: Mapping[str, int], plan: Planner, owner: str) -> list[Plan]:
        await self._reach("take_due")
        if self.is_late:
            self._on_the_way.append(partial(super().take_due, now, self._named(slots), plan, owner))
            raise ConnectionResetError("take_due does not arrive yet")
        plans = await super().take_due(now, self._named(slots), plan, owner)
        self._answer("take_due")
        return plans

    async def claimed(self, owner: str) -> list[Plan]:
        await self._reach("claimed")
        return await super().claimed(owner)

    async def finish(self, runs: Sequence[Run]) -> list[Run]:
        await self._reach("finish")
        stored = await super().finish(runs)
        self._answer("finish")
        return stored

    async def runs(self, where: RunFilter, limit: int, after: Run | None = None) -> list[Run]:
        await self._reach("runs")
        return await super().runs(where, limit, after)

    async def prune(self, before: datetime, limit: int) -> int:
        await self._reach(f"prune before {before.isoformat()}")
        return 0

    async def join(self, node: str, lease: float, now: datetime) -> None:
        await self._reach("join")
        await super().join(node, lease, now)

    async def leave(self, node: str) -> None:
        await self._reach("leave")
        await super().leave(node)

    def pulse(self, node: str) -> AbstractAsyncContextManager[Beat]:
        return self._pulse_through(node)

    @asynccontextmanager
    async def _pulse_through(self, node: str) -> AsyncGenerator[Beat]:
        async with super().pulse(node) as raise_beat:

            async def beat() -> bool:
                await self._reach("beat")
                return await raise_beat()

            yield beat

    async def nodes(self) -> list[Node]:
        await self._reach("nodes")
        return await super().nodes()

    async def reap(self, dead: Mapping[str, int], after_crash: AfterCrash) -> list[Run]:
        await self._reach("reap")
        return await super().reap(dead, after_crash)
