"""Fetch the ends of runs that are waited for here and end on other nodes (layer 6)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import attrs

from apsched.clock import Clock
from apsched.engine.attend import attend
from apsched.engine.results import Finished, Results
from apsched.jobstores.base import JobStore, RunFilter

PERIOD = timedelta(seconds=0.5)


class Fetcher:
    """
    Asks one store for the runs that somebody waits for: each half second, and whenever it has changed.

    Args:
        store: The store.
        alias: Its alias.
        here: Returns the ids of runs that are under way here or about to be stored; their ends come by themselves.
        clock: Time.
        results: Knows who waits.
    """

    def __init__(
        self, store: JobStore, alias: str, here: Callable[[], set[str]], clock: Clock, results: Results
    ) -> None:
        self._store = store
        self._alias = alias
        self._here = here
        self._clock = clock
        self._results = results
        self._wakeup = results.waits(alias)

    def hurry(self) -> None:
        """Ask soon, since the store has changed."""
        self._wakeup.set()

    async def run(self) -> None:
        """Ask until cancelled."""
        await attend(
            self._look,
            self._clock,
            self._wakeup,
            period=PERIOD,
            breath=PERIOD / 50,
            failing=f"job store {self._alias!r} cannot be asked for runs",
        )

    async def _look(self) -> bool:
        awaited = self._results.awaited(self._alias)
        here = self._here()
        for run in awaited:
            if run.id in here:
                continue
            where = RunFilter(job_id=run.job_id, since=run.nominal_time, until=run.nominal_time)
            found = await self._store.runs(where, 1)
            if found and not found[0].outcome.is_final:
                continue
            if run.id in self._here():  # it has ended here meanwhile
                continue
            if found:
                self._results.settle(self._alias, Finished(found[0]))
            else:
                self._results.give_up(self._alias, attrs.evolve(run, reason="its record is gone"))
        return bool(awaited)
