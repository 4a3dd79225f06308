"""A scheduler on a virtual clock, and what its tests note."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from apsched.async_scheduler import AsyncScheduler
from apsched.events import SchedulerEvent
from apsched.testing.clock import START, VirtualClock


class Notes(list[Any]):
    """What jobs and listeners have noted, in order."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    @property
    def seconds(self) -> float:
        """Seconds since the start of the clock."""
        return (self._clock.now() - START).total_seconds()

    def time(self) -> None:
        """Note how many seconds have passed; a job of one plain function."""
        self.append(self.seconds)

    async def time_later(self) -> None:
        """Note how many seconds have passed; a job of one coroutine function."""
        self.append(self.seconds)

    def event(self, event: SchedulerEvent) -> None:
        """Note the name of an event; a listener."""
        self.append(event.name.removeprefix("EVENT_"))

    def keep(self, value: object) -> None:
        """Note *value*; a listener, or a job of one argument."""
        self.append(value)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def notes(clock: VirtualClock) -> Notes:
    return Notes(clock)


@pytest.fixture
async def scheduler(clock: VirtualClock) -> AsyncIterator[AsyncScheduler]:
    async with AsyncScheduler(clock=clock, timezone="UTC") as scheduler:
        yield scheduler


@pytest.fixture
def at() -> Callable[[float], datetime]:
    """Give the instant so many seconds after the start of the clock."""
    return lambda seconds: START + timedelta(seconds=seconds)
