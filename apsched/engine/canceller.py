"""Cancel the runs under way here that somebody on another node wants cancelled (layer 6)."""

from __future__ import annotations

from datetime import timedelta

from apsched.clock import Clock, Wakeup
from apsched.engine.attend import attend
from apsched.engine.membership import Membership
from apsched.engine.runner import Runner
from apsched.jobstores.base import JobStore

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
        self._runner.wake_for_work(self._wakeup)
        try:
            await attend(
                self._look,
                self._clock,
                self._wakeup,
                period=PERIOD,
                breath=PERIOD / 20,
                failing=f"job store {self._alias!r} cannot be asked what to cancel",
            )
        finally:
            self._runner.leave_asleep(self._wakeup)

    async def _look(self) -> bool:
        if not len(self._runner):
            return False
        for run in await self._store.asked_to_cancel(self._membership.lease.node):
            self._runner.cancel(run, run.cancel_reason or "cancelled")
        return True
