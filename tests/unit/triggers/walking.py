"""Ask triggers for their times."""

from __future__ import annotations

from datetime import UTC, datetime

from apsched.triggers.base import BaseTrigger

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def walk(trigger: BaseTrigger, count: int, now: datetime = NOW) -> list[datetime]:
    """Return the first *count* times of *trigger* from *now* on, or as many as there are."""
    times: list[datetime] = []
    while len(times) < count:
        following = trigger.get_next_fire_time(times[-1] if times else None, now)
        if following is None:
            break
        times.append(following)
    return times
