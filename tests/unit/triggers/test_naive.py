"""Every trigger refuses times that do not say their zone."""
# ruff: noqa: DTZ001  naive times are what is tested

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time

import pytest

from apsched.triggers.base import BaseTrigger
from apsched.triggers.calendarinterval import CalendarIntervalTrigger
from apsched.triggers.combining import AndTrigger, OrTrigger
from apsched.triggers.cron import CronTrigger
from apsched.triggers.date import DateTrigger
from apsched.triggers.interval import IntervalTrigger

AWARE = datetime(2026, 5, 1, tzinfo=UTC)
NAIVE = datetime(2026, 5, 1)

TRIGGERS: Mapping[str, BaseTrigger] = {
    "date": DateTrigger(AWARE),
    "date without a time": DateTrigger(timezone="UTC"),
    "interval": IntervalTrigger(hours=1, start_date=AWARE),
    "interval with an end": IntervalTrigger(hours=1, start_date=AWARE, end_date=AWARE),
    "interval without a start": IntervalTrigger(hours=1, timezone="UTC"),
    "interval with an exclusion": IntervalTrigger(hours=1, timezone="UTC", exclude="sat"),
    "cron": CronTrigger(hour=1, timezone="UTC"),
    "cron with a start": CronTrigger(hour=1, start_date=AWARE),
    "cron with an exclusion": CronTrigger(hour=1, timezone="UTC", exclude="sat"),
    "calendarinterval": CalendarIntervalTrigger(days=1, start_date="2026-01-01", timezone="UTC"),
    "calendarinterval without a start": CalendarIntervalTrigger(days=1, timezone="UTC"),
    "and": AndTrigger([IntervalTrigger(hours=1, start_date=AWARE), CronTrigger(minute=0, timezone="UTC")]),
    "or": OrTrigger([DateTrigger(AWARE), CalendarIntervalTrigger(days=1, timezone="UTC")]),
}
QUESTIONS: Mapping[str, Callable[[BaseTrigger], object]] = {
    "now": lambda trigger: trigger.get_next_fire_time(None, NAIVE),
    "previous_fire_time": lambda trigger: trigger.get_next_fire_time(NAIVE, AWARE),
    "until": lambda trigger: trigger.get_last_fire_time(AWARE, NAIVE),
}


@pytest.mark.parametrize("subject", QUESTIONS)
@pytest.mark.parametrize("trigger", TRIGGERS.values(), ids=TRIGGERS)
def test_a_naive_time_is_refused(trigger: BaseTrigger, subject: str) -> None:
    with pytest.raises(ValueError, match=f"^{subject} must be aware, got .*; give it a tzinfo$"):
        QUESTIONS[subject](trigger)


@pytest.mark.parametrize("alias", [name for name in TRIGGERS if "without" in name])
def test_nothing_is_anchored_at_a_naive_time(alias: str) -> None:
    with pytest.raises(ValueError, match=r"^now must be aware"):
        TRIGGERS[alias].anchored(NAIVE)


@pytest.mark.parametrize("trigger", [TRIGGERS["interval"], TRIGGERS["interval with an end"]])
def test_another_error_of_types_stays_what_it_is(trigger: BaseTrigger) -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        trigger.get_next_fire_time(None, time(tzinfo=UTC))  # type: ignore[arg-type]  # that is the point
