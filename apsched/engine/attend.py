"""Look after something again and again, for as long as there is anything to look after (layer 6)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

from apsched.clock import Clock, Wakeup

logger: logging.Logger = logging.getLogger("apsched.runs")


async def attend(
    look: Callable[[], Awaitable[bool]],
    clock: Clock,
    wakeup: Wakeup,
    *,
    period: timedelta,
    breath: timedelta,
    failing: str,
) -> None:
    """
    Call *look* until cancelled: each *period* while it finds something, and otherwise when *wakeup* is set.

    Args:
        look: Returns whether there is anything to look after. If it fails, that is logged, and it is called again.
        clock: Time.
        wakeup: Lets it be called sooner.
        period: Between two calls.
        breath: Between two calls at least.
        failing: What is said in the log when it fails.
    """
    with clock.at_work():
        while True:
            wakeup.arm()
            try:
                is_needed = await look()
            except Exception as exc:
                logger.debug("%s: %s", failing, exc)
                is_needed = True
            if is_needed:
                await clock.wait(Wakeup(), clock.now() + breath)
            await clock.wait(wakeup, clock.now() + period - breath if is_needed else None)
