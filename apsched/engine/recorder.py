"""Store how runs ended, in batches, and then tell the listeners (layer 6)."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import islice

import anyio
import attrs
from anyio.abc import TaskStatus

from apsched.clock import Clock, Wakeup
from apsched.engine.backoff import Backoff
from apsched.engine.bus import Bus
from apsched.engine.ended import closed
from apsched.engine.outage import Outage
from apsched.engine.results import Finished, Results
from apsched.events import (
    EVENT_JOB_CANCELLED,
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_REMOVED,
    EVENT_JOB_RETRYING,
    JobEvent,
    JobExecutionEvent,
)
from apsched.jobstores.base import JobStore
from apsched.logs import of_run
from apsched.run import Outcome, Run

logger: logging.Logger = logging.getLogger("apsched.runs")

BATCH = 500  # runs that one transaction stores
BURST = timedelta(seconds=0.005)  # longest rest for the last of many runs that were started together
REST = timedelta(seconds=0.05)  # longest rest between two transactions

CODES = {
    Outcome.SUCCEEDED: EVENT_JOB_EXECUTED,
    Outcome.FAILED: EVENT_JOB_ERROR,
    Outcome.TIMED_OUT: EVENT_JOB_ERROR,
    Outcome.CANCELLED: EVENT_JOB_CANCELLED,
}


class Recorder:
    """
    Takes the finished runs of one store.

    Args:
        store: Where they are stored.
        alias: Its alias.
        clock: Is told when a run is over.
        bus: Gets the events.
        results: Gets the finished runs.
        on_recorded: Called with the runs of which the ends were stored, and whether other jobs follow them.
    """

    def __init__(
        self,
        store: JobStore,
        alias: str,
        clock: Clock,
        bus: Bus,
        results: Results,
        on_recorded: Callable[[Sequence[Finished], bool], None],
    ) -> None:
        self._store = store
        self._alias = alias
        self._clock = clock
        self._bus = bus
        self._results = results
        self._on_recorded = on_recorded
        self._finished: deque[Finished] = deque()
        self._wakeup = Wakeup()
        self._is_closing = False
        self._is_gathering = False
        self._is_burst = False  # whether the last runs are still to come of those that were started together
        self._is_pausing = False
        self._retry = Wakeup()
        self._enough = Wakeup()  # no rest any more
        self._most = BATCH  # runs that the next transaction stores at most
        self._took = timedelta()  # how long the last transaction took; 0 if it was of one run
        self.outage: Outage = Outage(bus, alias)
        self.expected: int = 0  # runs that were started and whose end has not come here
        self.stored: int = 0  # runs that the store has answered for

    @property
    def backlog(self) -> int:
        """How many finished runs are not stored yet."""
        return len(self._finished)

    def ids(self) -> set[str]:
        """Return the ids of the finished runs that are not stored yet."""
        return {finished.run.id for finished in self._finished}

    def claims(self) -> set[tuple[str, int]]:
        """Return the ids of these runs, each with the epoch of its claim; what is handed back may be claimed anew."""
        return {(finished.run.id, finished.run.epoch) for finished in self._finished}

    def put(self, finished: Finished) -> None:
        """Take a finished run."""
        self.expected -= 1
        if finished.is_forfeit:
            logger.warning(
                "run %s lost its claim while it was under way here; its end is not stored",
                finished.run.id,
                extra=of_run(finished.run, self._alias),
            )
            self._clock.work_ended()
        else:
            self._finished.append(finished)
            if self._is_pausing:
                self._clock.work_ended()
        if not self._is_gathering:
            self._wake()

    @contextmanager
    def gathering(self) -> Generator[None]:
        """Let runs that are started meanwhile, and end meanwhile or at once, be stored together."""
        self._is_gathering = True
        try:
            yield
        finally:
            self._is_gathering = False
            self._is_burst = True
            self._wake()

    def _wake(self) -> None:
        """Let runs be stored that have ended, without a rest if there are enough."""
        if len(self._finished) >= BATCH or not self.expected:
            self._enough.set()
        self._wakeup.set()

    def hand_back(self, runs: Sequence[Run], reason: str) -> None:
        """Give runs that were claimed and not started back to the store."""
        for run in runs:
            self.expected += 1
            self._clock.work_began()
            self.put(Finished(attrs.evolve(run, outcome=Outcome.PENDING, reason=reason)))

    def fail(self, run: Run, reason: str) -> None:
        """Let a run that was claimed and cannot be started have failed."""
        self.expected += 1
        self._clock.work_began()
        ended = closed(attrs.evolve(run, args=None, kwargs=None), Outcome.FAILED, self._clock, None, reason=reason)
        self.put(Finished(ended))

    def retry(self) -> None:
        """Try again what has failed: the store seems to answer."""
        self._retry.set()

    def close(self) -> None:
        """Let `run` return when all started runs have ended and are stored."""
        self._is_closing = True
        self._wakeup.set()
        self._enough.set()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Store and tell until `close`."""
        backoff = Backoff()
        self._clock.work_began()
        task_status.started()
        try:
            while True:
                self._wakeup.arm()
                while self._finished:
                    if self._is_burst:
                        self._is_burst = False
                        await self._rest(BURST)
                    await self._store_next(backoff)
                    await self._rest(self._took)
                if self._is_closing and not self.expected:
                    return
                await self._clock.wait(self._wakeup, None)
        finally:
            for _ in range(1 + len(self._finished)):
                self._clock.work_ended()

    async def _store_next(self, backoff: Backoff) -> None:
        batch = list(islice(self._finished, self._most))
        began = self._clock.monotonic()
        try:
            stored = await self._store.finish([finished.run for finished in batch])
            if to_cancel := await self._to_cancel(batch, stored):
                stored += await self._store.finish([finished.run for finished in to_cancel])
        except Exception as exc:
            logger.exception("job store %r: %d finished runs cannot be stored yet", self._alias, len(batch))
            self.outage.note_failure(exc)
            self._most = max(1, len(batch) // 2)  # it may be too much for one transaction
            await self._pause(backoff)
            return
        self._most = min(BATCH, 2 * self._most)
        backoff.reset()
        self.outage.note_success()
        self.stored += len(batch)
        self._took = timedelta(seconds=self._clock.monotonic() - began) if len(batch) > 1 else timedelta()
        for _ in batch:
            self._finished.popleft()
        self._tell(batch, stored)

    async def _to_cancel(self, batch: Sequence[Finished], stored: Sequence[Run]) -> list[Finished]:
        """Let runs be cancelled that the store has not taken back because somebody wants that, and return them."""
        going_back = [finished for finished in batch if finished.run.outcome is Outcome.PENDING]
        if not going_back:
            return []
        kept = set(map(id, stored))
        refused = [finished for finished in going_back if id(finished.run) not in kept]
        to_cancel: list[Finished] = []
        for node in {finished.run.node for finished in refused if finished.run.node is not None}:
            reasons = {(run.id, run.epoch): run.cancel_reason for run in await self._store.asked_to_cancel(node)}
            for finished in refused:
                if (reason := reasons.get((finished.run.id, finished.run.epoch))) is not None:
                    finished.run = attrs.evolve(
                        finished.run,
                        outcome=Outcome.CANCELLED,
                        finished_at=self._clock.now(),
                        reason=reason,
                        cancel_reason=None,
                    )
                    to_cancel.append(finished)
        return to_cancel

    async def _rest(self, longest: timedelta) -> None:
        """
        Let runs gather, if more are under way: after a transaction of several for as long as that took.

        A server spends on a transaction of few runs nearly what it spends on one of many.
        """
        is_enough = self._is_closing or not self.expected or len(self._finished) >= BATCH
        if self._store.is_shared and self._clock.is_real and longest and not is_enough:
            self._enough.arm()
            await self._clock.wait(self._enough, self._clock.now() + min(longest, REST))

    async def _pause(self, backoff: Backoff) -> None:
        """Wait after a failure; the runs that cannot be stored are no work meanwhile, nor are those that come then."""
        self._is_pausing = True
        for _ in self._finished:
            self._clock.work_ended()
        try:
            self._retry.arm()
            await backoff.sleep(self._clock, self._retry)
        finally:
            self._is_pausing = False
            for _ in self._finished:
                self._clock.work_began()

    def _tell(self, batch: Sequence[Finished], stored: Sequence[Run]) -> None:
        kept = set(map(id, stored))
        told = 0
        for finished in batch:
            if id(finished.run) in kept:
                told += 1
                self._publish(finished)
                self._results.settle(self._alias, finished)
            else:
                logger.warning(
                    "run %s ended after its claim was lost; its result is dropped",
                    finished.run.id,
                    extra=of_run(finished.run, self._alias),
                )
            self._clock.work_ended()
        self._on_recorded(batch, len(stored) > told)

    def _publish(self, finished: Finished) -> None:
        run = finished.run
        if finished.is_retried:
            logger.warning("run %s waits: %s", run.id, run.reason, extra=of_run(run, self._alias))
        elif run.outcome is Outcome.FAILED:
            logger.error("run %s failed\n%s", run.id, run.error or run.reason, extra=of_run(run, self._alias))
        elif run.outcome is Outcome.TIMED_OUT:
            logger.error("run %s timed out: %s", run.id, run.reason, extra=of_run(run, self._alias))
        code = EVENT_JOB_RETRYING if finished.is_retried else CODES.get(run.outcome)
        if code is not None and self._bus.wants(code):
            self._bus.publish(
                JobExecutionEvent(
                    code,
                    job_id=run.job_id,
                    jobstore=self._alias,
                    scheduled_run_time=run.nominal_time,
                    retval=run.retval,
                    exception=finished.exception,
                    traceback=run.error,
                    run=run,
                )
            )
        if (
            finished.removes_job
            and (run.outcome.is_final or finished.is_retried)
            and self._bus.wants(EVENT_JOB_REMOVED)
        ):
            self._bus.publish(JobEvent(EVENT_JOB_REMOVED, job_id=run.job_id, jobstore=self._alias))
