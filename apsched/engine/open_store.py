"""Keep everything that works with one store going while it is open (layer 6)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any

import anyio
import anyio.lowlevel
import attrs
from anyio.abc import TaskStatus

from apsched.clock import Clock
from apsched.engine.bus import Bus
from apsched.engine.canceller import Canceller
from apsched.engine.fetcher import Fetcher
from apsched.engine.health import StoreHealth
from apsched.engine.hints import Hints
from apsched.engine.loop import StoreLoop
from apsched.engine.overdue import OverdueWatch
from apsched.engine.pruner import Pruner
from apsched.engine.reaper import Reaper
from apsched.engine.reporter import Reporter
from apsched.engine.results import Results
from apsched.engine.runner import Runner
from apsched.engine.slots import Slots
from apsched.job import Job
from apsched.jobstores.base import JobStore
from apsched.notifiers.base import Notifier
from apsched.run import Planner

logger: logging.Logger = logging.getLogger("apsched.scheduler")

END_PATIENCE = 5.0  # seconds that the end waits for a store that does not answer
LAST_HINT = 1.0  # seconds


@attrs.frozen(kw_only=True)
class StoreSettings:
    """
    How a scheduler works with its stores.

    Attributes:
        max_idle: Seconds between two looks at most.
        lease: Seconds without a sign of life after which others take this node for dead.
        keep_history: For how long runs are kept at least.
        capabilities: What this node has, of what jobs may require.
    """

    max_idle: float
    lease: float
    keep_history: timedelta
    capabilities: frozenset[str] = frozenset()


class OpenStore:
    """
    One store while it is open: its loop and recorder, and where it is shared, what a cluster needs besides.

    Args:
        store: The store, open.
        alias: Its alias.
        clock: Time.
        plan: Decides what becomes of a due job.
        slots: How many runs may be claimed for which executor.
        runner: Starts the runs.
        bus: Gets the events.
        results: Gets the finished runs.
        notifiers: What carries hints for all stores.
        settings: Times.

    Attributes:
        loop: Claims and starts runs.
    """

    def __init__(
        self,
        store: JobStore,
        alias: str,
        *,
        clock: Clock,
        plan: Planner,
        slots: Slots,
        runner: Runner,
        bus: Bus,
        results: Results,
        notifiers: Sequence[Notifier],
        settings: StoreSettings,
    ) -> None:
        self._store = store
        self._alias = alias
        self._hints = Hints(alias, clock, notifiers, store.notifier(), self.wake)
        self.loop: StoreLoop = StoreLoop(
            store,
            alias,
            seconds=settings.lease,
            clock=clock,
            plan=plan,
            slots=slots,
            runner=runner,
            bus=bus,
            results=results,
            hint=self._hints.send,
            max_idle=settings.max_idle,
            capabilities=settings.capabilities,
        )
        self._recorder = self.loop.recorder
        self._membership = self.loop.membership
        self._fetcher = Fetcher(store, alias, lambda: runner.ids() | self._recorder.ids(), clock, results)
        self._canceller = Canceller(store, alias, self._membership, clock, runner)
        self._reporter = Reporter(store, alias, self._membership, clock, runner)
        self._overdue = OverdueWatch(store, alias, clock, bus)
        self.loop.on_recorded = self._overdue.note
        self._pruner = Pruner(store, alias, settings.keep_history, clock)
        self._reaper = Reaper(
            store, alias, settings.lease, self._membership, clock, bus, results, on_pending=self.changed
        )

    async def join(self, node: str) -> None:
        """Let the store know this node; nothing may be claimed before."""
        await self._membership.join(node)

    def wake(self) -> None:
        """Look at the store soon, because another node says that it has changed."""
        self.loop.note_lanes()
        self.loop.wake()
        self._fetcher.hurry()
        self._canceller.hurry()
        self._overdue.hurry()

    def changed(self) -> None:
        """Look at the store soon, and let other nodes do so."""
        self.loop.note_lanes()
        self.loop.wake()
        self._overdue.hurry()
        self._hints.send()

    def added(self, jobs: Sequence[Job]) -> None:
        """Look at the store in time for new jobs, and let other nodes do so."""
        self.loop.note_lanes(jobs)
        for job in jobs:
            self.loop.wake_for(job.next_run_time)
            if job.expect_success_within is not None:
                self._overdue.hurry()
        self._hints.send()

    def await_turn(self, job_id: str) -> None:
        """Look at the store when a run of that job has ended here, since another one may wait for that."""
        self.loop.await_turn(job_id)

    def health(self) -> StoreHealth:
        """Tell how it is; asks no store."""
        lease = self._membership.lease
        outages = (self.loop.outage, self._recorder.outage)
        return StoreHealth(
            last_look=self.loop.last_look,
            failures=sum(outage.failures for outage in outages),
            last_error=outages[0].last_error or outages[1].last_error,
            unrecorded=self._recorder.backlog,
            node=lease.node,
            last_beat=lease.last_beat if self._store.is_shared else None,
            is_trusted=lease.is_trusted,
            live_nodes=self._reaper.live_nodes,
            overdue=tuple(sorted(self._overdue.overdue)),
        )

    async def serve(self, closing: anyio.Event, *, task_status: TaskStatus[None]) -> None:
        """Work until *closing* is set; then store how runs ended, take leave, and return."""
        is_answering = False
        async with anyio.create_task_group() as tasks:
            loop, recorder, hints = anyio.Event(), anyio.Event(), anyio.Event()
            await tasks.start(_run, self.loop.run, loop)
            await tasks.start(_run, self._recorder.run, recorder)
            if self._hints.has_work:
                tasks.start_soon(_run, self._hints.run, hints)
            else:
                hints.set()
            helping = anyio.CancelScope()
            if self._store.is_shared:
                tasks.start_soon(self._membership.run)
            tasks.start_soon(self._help, helping)
            task_status.started()
            await closing.wait()
            helping.cancel()
            deadline = await self._end_claims(loop)
            is_answering = await self._end_recording(recorder, deadline) and not self.loop.is_unsure
            self._hints.close()
            if is_answering:
                with anyio.move_on_after(LAST_HINT):
                    await hints.wait()
            tasks.cancel_scope.cancel()
        await self._membership.leave(is_answering=is_answering)

    async def _help(self, scope: anyio.CancelScope) -> None:
        """Do what can be left undone at any time, until *scope* is cancelled."""
        with scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._overdue.run)
                if self._store.is_shared:
                    for helper in (self._reaper, self._pruner, self._fetcher, self._canceller, self._reporter):
                        tasks.start_soon(helper.run)

    async def _end_claims(self, has_ended: anyio.Event) -> float:
        """
        End the loop, hand back what it may have claimed without knowing, and return until when the store is asked.

        What asks it begins before then, or not at all: a transaction that is on its way cannot be cancelled, and may
        take as long as the timeout of the store besides.
        """
        self.loop.end()
        deadline = anyio.current_time() + END_PATIENCE
        with anyio.CancelScope(deadline=deadline):
            await has_ended.wait()
        self.loop.abort()
        with anyio.move_on_after(END_PATIENCE):
            await has_ended.wait()
        if self.loop.is_unsure:
            try:
                with anyio.fail_after(deadline - anyio.current_time()):
                    await anyio.lowlevel.checkpoint()
                    await self.loop.adopt()
            except Exception as exc:
                logger.warning("job store %r cannot be asked for claims without an answer: %s", self._alias, exc)
        return deadline if self.loop.outage.failures else anyio.current_time() + END_PATIENCE

    async def _end_recording(self, has_ended: anyio.Event, deadline: float) -> bool:
        """Wait until all is stored, and return whether it is; not for a store that says nothing until *deadline*."""
        self._recorder.close()
        self._recorder.retry()
        while not has_ended.is_set():
            stored = self._recorder.stored
            with anyio.CancelScope(deadline=deadline):
                await has_ended.wait()
            if not has_ended.is_set() and self._recorder.stored == stored and not self._recorder.expected:
                logger.error(
                    "job store %r does not answer: how %d runs ended cannot be stored; others will take them for runs "
                    "of a node that died",
                    self._alias,
                    self._recorder.backlog,
                )
                return False
            deadline = anyio.current_time() + END_PATIENCE
        return True


async def _run(func: Callable[..., Coroutine[Any, Any, None]], has_ended: anyio.Event, **options: Any) -> None:
    try:
        await func(**options)
    finally:
        has_ended.set()
