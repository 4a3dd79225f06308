"""Cancel the runs under way here that somebody on another node wants cancelled (layer 6)."""

from __future__ import annotations

import logging
from datetime import timedelta

from apsched.clock import Clock, Wakeup
from apsched.engine.membership import Membership
from apsched.engine.runner import Runner
from apsched.jobstores.base import JobStore

logger: logging.Logger = logging.getLogger("apsched.runs")

PERIOD = timedelta(seconds=1)  # between two questions while runs are under way


class Canceller:
    """
    Asks one store what is to be cancelled: each second while runs are under way, and whenever it has changed.

    Args:
        store: The store.
        alias: Its alias.
        membership: Says which node this is.
        clock: Time.
        runner: Has the runs under way.
    """

    def __init__(self, store: JobStore, alias: str, membership: Membership, clock: Clock, runner: Runner) -> None:
        self._store = store
        self._alias = alias
        self._membership = membership
        self._clock = clock
        self._runner = runner
        self._wakeup = Wakeup()

    def hurry(self) -> None:
        """Ask soon, since the store has changed."""
        self._wakeup.set()

    async def run(self) -> None:
        """Ask until cancelled."""
        self._clock.work_began()
        self._runner.wake_for_work(self._wakeup)
        try:
            while True:
                self._wakeup.arm()
                if len(self._runner):
                    try:
                        await self._ask()
                    except Exception as exc:
                        logger.debug("job store %r cannot be asked what to cancel: %s", self._alias, exc)
                    await self._clock.wait(Wakeup(), self._clock.now() + PERIOD / 20)
                await self._clock.wait(self._wakeup, self._clock.now() + PERIOD if len(self._runner) else None)
        finally:
            self._runner.leave_asleep(self._wakeup)
            self._clock.work_ended()

    async def _ask(self) -> None:
        for run in await self._store.asked_to_cancel(self._membership.lease.node):
            self._runner.cancel(run, run.cancel_reason or "cancelled")
