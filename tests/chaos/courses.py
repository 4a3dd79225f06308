"""Say what a job was told to do in the course of time, and so which nominal times are owed."""

from __future__ import annotations

from datetime import UTC, datetime

import attrs

from apsched.job import Job
from apsched.triggers.base import BaseTrigger


@attrs.define
class Stretch:
    """
    A time in which a job had one trigger and was not paused.

    Attributes:
        trigger: The trigger.
        first: Its first nominal time.
        until: The nominal time that was next when the stretch ended, so the first one that is not owed; None: the
            stretch lasts until the trigger is finished.
    """

    trigger: BaseTrigger
    first: datetime
    until: datetime | None = None

    def nominal_times(self) -> list[datetime]:
        """Return what is owed, UTC."""
        owed: list[datetime] = []
        moment: datetime | None = self.first
        while moment is not None and (self.until is None or moment < self.until):
            owed.append(moment.astimezone(UTC))
            moment = self.trigger.get_next_fire_time(moment, moment)
        return owed


@attrs.define
class Course:
    """
    All that was decided about one job.

    Attributes:
        job: As it was added.
        stretches: In their order.
        added_at: When the store had it, which may be after its first due time.
        is_removed: Whether somebody has removed it.
    """

    job: Job
    stretches: list[Stretch]
    added_at: datetime | None = None
    is_removed: bool = False

    def nominal_times(self) -> list[datetime]:
        """Return what is owed, in order, each once; UTC."""
        return sorted({moment for stretch in self.stretches for moment in stretch.nominal_times()})
