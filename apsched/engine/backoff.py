"""Wait longer after each failure in a row (layer 6)."""

from __future__ import annotations

import random
from datetime import timedelta

from apsched.clock import Clock, Wakeup

FIRST = 0.1  # seconds
LAST = 30.0  # seconds


class Backoff:
    """
    Waits 0.1 s after the first failure, twice as long after each further one, 30 s at most.

    Up to a half of that is left out at random, so that nodes do not come back in step.
    """

    def __init__(self) -> None:
        self._seconds = FIRST

    def reset(self) -> None:
        """Note a success."""
        self._seconds = FIRST

    async def sleep(self, clock: Clock, wakeup: Wakeup | None = None) -> None:
        """Wait, after a failure; *wakeup* ends it early."""
        seconds = self._seconds * random.uniform(0.5, 1.0)  # noqa: S311  # spread, not secrecy
        self._seconds = min(2 * self._seconds, LAST)
        await clock.wait(wakeup or Wakeup(), clock.now() + timedelta(seconds=seconds))
