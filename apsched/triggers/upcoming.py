"""Ask a trigger for several of its times (layer 1)."""

from __future__ import annotations

from datetime import datetime

from apsched.triggers.base import BaseTrigger


def times_from(trigger: BaseTrigger, begin: datetime, count: int) -> list[datetime]:
    """Return the first *count* times of *trigger* from *begin*, aware, on, or fewer if it ends before."""
    times: list[datetime] = []
    moment = trigger.get_next_fire_time(None, begin)
    while moment is not None and len(times) < count:
        times.append(moment)
        moment = trigger.get_next_fire_time(moment, moment)
    return times
