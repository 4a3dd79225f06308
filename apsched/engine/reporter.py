"""Store what the runs under way here tell of themselves (layer 6).

Rule 1: what a run tells is stored with its end in any case; what is stored meanwhile is for people who watch.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import attrs

from apsched._current import reporting
from apsched._log_lines import last_of
from apsched.clock import Clock, Wakeup
from apsched.engine.attend import attend
from apsched.engine.membership import Membership
from apsched.engine.runner import Runner
from apsched.jobstores.base import JobStore
from apsched.run import Report, Run

PERIOD = timedelta(seconds=1)  # between two transactions while runs tell something


class Reporter:
    """
    Stores the reports of one store's runs, each second while there is something new.

    Args:
        store: The store, shared; one that is not sees what its runs tell.
        alias: Its alias.
        membership: Says which runs are of this store.
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
        self._stored: dict[Run, Report] = {}

    async def run(self) -> None:
        """Store until cancelled."""
        self._runner.wake_for_work(self._wakeup)
        try:
            await attend(
                self._look,
                self._clock,
                self._wakeup,
                period=PERIOD,
                breath=PERIOD,
                failing=f"job store {self._alias!r} does not take reports",
            )
        finally:
            self._runner.leave_asleep(self._wakeup)

    async def _look(self) -> bool:
        told = self._told()
        if told:
            await self._store.report(told)
        return len(self._runner) > 0

    def _told(self) -> Sequence[Run]:
        """Return the runs that have told something new, as they tell it now."""
        reports = {run: run.report for run in self._runner.under(self._membership.lease) if run.report is not None}
        news = [attrs.evolve(run, report=report) for run, report in reports.items() if self._stored.get(run) != report]
        self._stored = reports
        return news


def keep_line(run: Any, line: str) -> None:
    """Add a line to what *run* has logged."""
    if isinstance(run, Run):
        with reporting:
            known = run.report or Report()
            run.report = attrs.evolve(known, log=last_of((known.log or "") + line))
