"""Triggers in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apsched.triggers.base import BaseTrigger
from apsched.triggers.calendarinterval import CalendarIntervalTrigger
from apsched.triggers.combining import AndTrigger, OrTrigger
from apsched.triggers.cron import CronTrigger
from apsched.triggers.date import DateTrigger
from apsched.triggers.interval import IntervalTrigger
from apsched.triggers.words import describe, describe_for, duration


@pytest.mark.parametrize(
    ("crontab", "words"),
    [
        ("0 3 * * *", "at 03:00 every day"),
        ("30 2 * * mon-fri", "at 02:30 on Monday to Friday"),
        ("*/5 9-17 * * *", "every 5 minutes from 09:00 to 17:59"),
        ("@hourly", "every hour"),
        ("0 */2 * * *", "every 2 hours"),
        ("15 */2 * * *", "at minute 15 in every 2nd hour"),
        ("* * * * *", "every minute"),
        ("*/15 * * * *", "every 15 minutes"),
        ("30 * * * *", "at minute 30 of every hour"),
        ("0 0 1 1 *", "at 00:00 on the 1st of the month in January"),
        ("0 0 1,15 * *", "at 00:00 on the 1st and 15th of the month"),
        ("*/10 * * * * *", "every 10 seconds"),
        ("5 4 * * sun", "at 04:05 on Sunday"),
        ("23 0-20/2 * * *", "at minute 23 in every 2nd hour from 0 to 20"),
        ("0 9 13 * fri", "at 09:00 on the 13th of the month if that is Friday"),
        ("0 0 */2 * *", "at 00:00 on every 2nd day of the month, from the 1st"),
        ("10,40 9 * * *", "at 09:10 and 09:40 every day"),
        ("0 12 * 1-3,jul *", "at 12:00 every day in January to March and July"),
        ("30 0 9 * * *", "at 09:00:30 every day"),
        ("5 */10 * * * *", "at second 5 in every 10th minute"),
        ("* 9 * * *", "every minute in hour 9"),
        ("0 8 * */3 *", "at 08:00 every day in every 3rd month, from January"),
    ],
)
def test_a_crontab_in_words(crontab: str, words: str) -> None:
    assert describe(CronTrigger.from_crontab(crontab, "UTC")) == words


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"day": "last", "hour": 4}, "at 04:00 on the last day of the month"),
        ({"day": "2nd fri, last sun", "hour": 4}, "at 04:00 on the 2nd Friday and last Sunday of the month"),
        ({}, "every second"),
        ({"week": "1-10/3", "day_of_week": "mon"}, "at 00:00 on Monday in every 3rd ISO week from 1 to 10"),
        ({"year": 2027, "month": 2, "day": 3}, "at 00:00 on the 3rd of the month in February in 2027"),
        ({"day": 1, "day_of_week": 0, "day_or": True}, "at 00:00 on the 1st of the month or on Monday"),
    ],
)
def test_fields_in_words(fields: dict[str, Any], words: str) -> None:
    assert describe(CronTrigger(**fields, timezone="UTC")) == words


@pytest.mark.parametrize(
    ("trigger", "words"),
    [
        (IntervalTrigger(minutes=1, timezone="UTC"), "every minute"),
        (IntervalTrigger(hours=1, minutes=30, timezone="UTC"), "every 1 hour and 30 minutes"),
        (IntervalTrigger(seconds=0.25, timezone="UTC"), "every 0.25 seconds"),
        (DateTrigger("2026-01-01", timezone="UTC"), "once, at 2026-01-01 00:00:00"),
        (CalendarIntervalTrigger(months=1, hour=8, minute=30, timezone="UTC"), "every month at 08:30"),
        (CalendarIntervalTrigger(years=2, timezone="UTC"), "every 2 years at 00:00"),
        (
            OrTrigger([IntervalTrigger(seconds=4, timezone="UTC"), CronTrigger(second=15, timezone="UTC")]),
            "every 4 seconds; and at second 15 of every minute",
        ),
        (
            AndTrigger([CronTrigger(hour=3, timezone="UTC"), CronTrigger(day=1, timezone="UTC")]),
            "when all of these fit: at 03:00 every day; at 00:00 on the 1st of the month",
        ),
    ],
)
def test_other_triggers_in_words(trigger: BaseTrigger, words: str) -> None:
    assert describe(trigger) == words


def test_a_trigger_of_a_user_says_its_own_text() -> None:
    class Moonrise(BaseTrigger):
        def get_next_fire_time(self, previous_fire_time: Any, now: Any) -> None:
            return None

        def __str__(self) -> str:
            return "moonrise"

    assert describe(Moonrise()) == "moonrise"


def test_the_zone_of_a_trigger_is_named_where_clocks_there_show_another_time() -> None:
    winter, summer = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC)
    london = CronTrigger(hour=3, timezone="Europe/London")

    assert describe_for(london, UTC, winter) == "at 03:00 every day"
    assert describe_for(london, UTC, summer) == "at 03:00 every day, in Europe/London"
    assert describe_for(IntervalTrigger(hours=1, timezone="Asia/Tokyo"), UTC, summer) == "every hour"


def test_a_duration_is_exact() -> None:
    assert duration(timedelta(days=1, seconds=1)) == "1 day and 1 second"
    assert duration(timedelta(hours=1)) == "1 hour"
    assert duration(timedelta(0)) == "0 seconds"
