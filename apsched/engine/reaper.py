"""Notice that other nodes have died, and settle what they had under way (layer 6).

Rule 1: a node is dead when its beat has stood still for a whole lease of its own, by the monotonic clock of who looks.
No two clocks are compared.
Rule 2: whoever has not looked for a while knows nothing: a gap of half a lease, or an error, starts all anew.
Rule 3: the store takes a node for dead only if its beat still is the one that was seen.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from apsched.clock import Clock, Wakeup
from apsched.engine.bus import Bus
from apsched.engine.heartbeat import BEATS
from apsched.engine.membership import Membership
from apsched.engine.plan import after_crash
from apsched.engine.results import Finished, Results
from apsched.events import EVENT_JOB_ABANDONED, EVENT_NODE_LOST, JobExecutionEvent, SchedulerEvent
from apsched.job import Job
from apsched.jobstores.base import JobStore, Node
from apsched.logs import of_run
from apsched.run import Outcome, Run

logger: logging.Logger = logging.getLogger("apsched.nodes")


class Reaper:
    """
    Looks after the other nodes of one store.

    Args:
        store: The store.
        alias: Its alias.
        seconds: The lease of this node; it looks three times in that.
        membership: Says which node this is.
        clock: Time.
        bus: Gets the events.
        results: Gets runs that were abandoned.
        on_pending: Called when runs are pending again.

    Attributes:
        live_nodes: How many nodes live, this one included, as far as is known.
    """

    def __init__(
        self,
        store: JobStore,
        alias: str,
        seconds: float,
        membership: Membership,
        clock: Clock,
        bus: Bus,
        results: Results,
        on_pending: Callable[[], None],
    ) -> None:
        self._store = store
        self._alias = alias
        self._seconds = seconds
        self._membership = membership
        self._clock = clock
        self._bus = bus
        self._results = results
        self._on_pending = on_pending
        self._seen: dict[str, tuple[int, float]] = {}  # node -> its beat, and since when (monotonic) it stands there
        self._looked_at: float | None = None
        self._is_failing = False
        self.live_nodes: int = 1

    async def run(self) -> None:
        """Look, and settle, until cancelled."""
        with self._clock.at_work():
            while True:
                try:
                    await self._look()
                except Exception as exc:
                    self._seen.clear()
                    if not self._is_failing:
                        logger.warning("job store %r: other nodes cannot be watched: %s", self._alias, exc)
                    self._is_failing = True
                else:
                    self._is_failing = False
                pause = timedelta(seconds=self._seconds / BEATS)
                await self._clock.wait(Wakeup(), self._clock.now() + pause)

    async def _look(self) -> None:
        began = self._clock.monotonic()
        if self._looked_at is not None and began - self._looked_at > self._seconds / 2:
            self._seen.clear()
        nodes = [node for node in await self._store.nodes() if not node.is_dead]
        self._looked_at = self._clock.monotonic()
        silent = self._silent(nodes, began, self._looked_at)
        self.live_nodes = len(nodes)
        settled = await self._store.reap(silent, self._after_crash)
        if silent:
            alive = {node.id for node in await self._store.nodes() if not node.is_dead}
            self.live_nodes = len(alive)
            for node in nodes:
                if node.id in silent and node.id not in alive:
                    self._tell_lost(node)
        self._tell_settled(settled)

    def _silent(self, nodes: list[Node], began: float, ended: float) -> dict[str, int]:
        """Return the nodes that are dead, with their beats, by what was asked from *began* to *ended*."""
        silent: dict[str, int] = {}
        seen: dict[str, tuple[int, float]] = {}
        for node in nodes:
            if node.id == self._membership.lease.node:
                continue
            beat, since = self._seen.get(node.id, (node.beat, ended))
            if beat != node.beat:
                since = ended
            elif began - since >= node.lease:
                silent[node.id] = node.beat
            seen[node.id] = (node.beat, since)
        self._seen = seen
        return silent

    def _after_crash(self, job: Job | None, run: Run) -> Run:
        return after_crash(job, run, self._clock.now())

    def _tell_lost(self, node: Node) -> None:
        detail = f"node {node.id} is taken for dead: it gave no sign of life for {node.lease:g} s"
        logger.error("job store %r: %s", self._alias, detail)
        self._bus.publish(SchedulerEvent(EVENT_NODE_LOST, self._alias, detail=detail))

    def _tell_settled(self, runs: list[Run]) -> None:
        for run in runs:
            logger.warning("run %s is %s: %s", run.id, run.outcome.value, run.reason, extra=of_run(run, self._alias))
            if run.outcome is Outcome.ABANDONED:
                self._results.settle(self._alias, Finished(run))
                if self._bus.wants(EVENT_JOB_ABANDONED):
                    self._bus.publish(
                        JobExecutionEvent(
                            EVENT_JOB_ABANDONED,
                            job_id=run.job_id,
                            jobstore=self._alias,
                            scheduled_run_time=run.nominal_time,
                            run=run,
                        )
                    )
        if any(run.outcome is Outcome.PENDING for run in runs):
            self._on_pending()
