"""Forget old runs in the background (layer 6)."""

from __future__ import annotations

import logging
import random
from datetime import timedelta

from apsched.clock import Clock, Wakeup
from apsched.jobstores.base import JobStore

logger: logging.Logger = logging.getLogger("apsched.history")

PERIOD = timedelta(minutes=5)
BATCH = 500  # runs that one transaction forgets
BREATH = timedelta(milliseconds=50)  # between two transactions, for others to get at the store


class Pruner:
    """
    Keeps the history of one store within its bounds.

    Args:
        store: The store.
        alias: Its alias.
        keep: For how long the history is kept at least.
        clock: Time.
    """

    def __init__(self, store: JobStore, alias: str, keep: timedelta, clock: Clock) -> None:
        self._store = store
        self._alias = alias
        self._keep = keep
        self._clock = clock

    async def run(self) -> None:
        """Prune every few minutes until cancelled; the first time after a while."""
        with self._clock.at_work():
            while True:
                pause = PERIOD * random.uniform(0.5, 1.5)  # noqa: S311  # spread, not secrecy
                await self._clock.wait(Wakeup(), self._clock.now() + pause)
                try:
                    await self._prune()
                except Exception as exc:
                    logger.warning("job store %r: old runs cannot be forgotten now: %s", self._alias, exc)

    async def _prune(self) -> None:
        before = self._clock.now() - self._keep
        total = 0
        while (count := await self._store.prune(before, BATCH)) >= BATCH:
            total += count
            await self._clock.wait(Wakeup(), self._clock.now() + BREATH)
        if total + count:
            logger.info("job store %r: forgot %d runs that ended before %s", self._alias, total + count, before)
