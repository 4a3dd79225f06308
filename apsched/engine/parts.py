"""Hold the parts of one scheduler, for its verbs (layer 6)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from apsched._portal import is_driven
from apsched.clock import Clock
from apsched.engine.bus import Bus
from apsched.engine.make_job import Draft, JobMaker
from apsched.engine.open_store import OpenStore
from apsched.engine.results import Finished, Results
from apsched.engine.runner import Runner
from apsched.engine.slots import Slots
from apsched.events import JobExecutionEvent, SchedulerEvent
from apsched.exceptions import AliasLookupError, SchedulerNotRunningError, SchedulerStateError
from apsched.job import Job
from apsched.jobstores.base import JobStore, RunFilter
from apsched.run import Run

logger: logging.Logger = logging.getLogger("apsched.scheduler")


class Parts:
    """
    The parts of a scheduler; the base of the classes that have its verbs.

    Before the start each store is stood in for by a *stage*, a memory store that keeps what is added until the store is
    open. The verbs ask `_store` and need not know.

    Args:
        stores: Alias -> store.
        make_stage: Makes a stage.
        maker: Makes jobs.
        clock: Time.
        bus: Listeners.
    """

    def __init__(
        self,
        *,
        stores: dict[str, JobStore],
        make_stage: Callable[[], JobStore],
        maker: JobMaker,
        clock: Clock,
        bus: Bus,
    ) -> None:
        self._stores = stores
        self._make_stage = make_stage
        self._stages: dict[str, JobStore] = {}
        self._drafts: dict[tuple[str, str], Draft] = {}  # (alias of the store, job id) -> how the staged job was added
        self._maker = maker
        self._clock = clock
        self._bus = bus
        self._results = Results()
        self._slots = Slots(self._wake_starved)
        self._open: dict[str, OpenStore] = {}
        self._runner: Runner | None = None

    def _wake_starved(self) -> None:
        for each in self._open.values():
            each.loop.wake_if_starved()

    def _aliases(self, alias: str | None) -> list[str]:
        """Return *alias*, or those of all stores if it is None."""
        known = [*self._stores, *(staged for staged in self._stages if staged not in self._stores)]
        if alias is None:
            return known
        if alias not in self._stores and (self._is_started or alias not in self._stages):
            raise AliasLookupError("job store", alias, known)
        return [alias]

    @property
    def _is_started(self) -> bool:
        return self._runner is not None

    def _store(self, alias: str) -> JobStore:
        """Return the store of that alias if the scheduler has started, or its stage."""
        if self._is_started:
            if alias in self._open:
                return self._usable(alias)
            raise AliasLookupError("job store", alias, self._stores)
        if alias not in self._stages:
            if not isinstance(alias, str):
                raise TypeError(f"jobstore must be the alias of a job store, a text, got {alias!r}")
            self._stages[alias] = self._make_stage()
        return self._stages[alias]

    def _open_store(self, alias: str) -> JobStore:
        """Return the store of that alias, which must be open."""
        if alias not in self._open:
            raise SchedulerNotRunningError(
                f"the scheduler is not running, so its job store {alias!r} is not open; start it first"
            )
        return self._usable(alias)

    def _histories(self, alias: str | None) -> list[JobStore]:
        """Return what has runs: the store of that alias or all; those in memory have them while they are closed too."""
        return [
            self._open_store(each) if self._stores[each].is_persistent else self._stores[each]
            for each in self._aliases(alias)
            if each in self._stores
        ]

    def _usable(self, alias: str) -> JobStore:
        """Return an open store; refused where it would have to be waited for and cannot be."""
        store = self._stores[alias]
        if store.is_persistent and is_driven():
            raise SchedulerStateError(
                f"job store {alias!r} must be waited for, which a plain call in the scheduler's own event loop cannot; "
                "call it from a thread: of a coroutine function for example by asyncio.to_thread"
            )
        return store

    def _changed(self, alias: str) -> None:
        """Let this node and the others look at the store of that alias."""
        if alias in self._open:
            self._open[alias].changed()

    def _at(self, alias: str, jobs: Sequence[Job]) -> None:
        """Let *jobs* know which store has them."""
        for job in jobs:
            if job.jobstore is None:
                job.jobstore = alias

    async def _settle_removed(self, alias: str) -> None:
        """Tell those who wait for pending runs of jobs that were removed."""
        for run in self._results.open_runs(alias):
            where = RunFilter(job_id=run.job_id, since=run.nominal_time, until=run.nominal_time)
            for stored in await self._stores[alias].runs(where, 1):
                self._results.settle(alias, Finished(stored))

    def _publish_end(self, alias: str, code: int, run: Run) -> None:
        """Publish how a run has ended that was not under way here."""
        self._publish(
            JobExecutionEvent, code, job_id=run.job_id, jobstore=alias, scheduled_run_time=run.nominal_time, run=run
        )

    def _publish(self, event: type[SchedulerEvent], code: int, **details: Any) -> None:
        """Make and publish an event if anybody listens to it."""
        if self._bus.wants(code):
            self._bus.publish(event(code, **details))
