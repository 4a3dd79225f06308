"""Sentry hears of runs as check-ins of monitors, and of what they raised."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from apsched import AsyncScheduler, Retry
from apsched.integrations.sentry import SentryCrons, schedule_of
from apsched.schedulers.background import BackgroundScheduler
from apsched.testing import BlockingClock, Cluster, VirtualClock
from apsched.triggers.base import BaseTrigger
from apsched.triggers.calendarinterval import CalendarIntervalTrigger
from apsched.triggers.combining import OrTrigger
from apsched.triggers.cron import CronTrigger
from apsched.triggers.date import DateTrigger
from apsched.triggers.interval import IntervalTrigger


class Kept(Transport):
    """Keeps what would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[dict[str, Any]] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        self.items += [item.payload.json for item in envelope.items if item.payload.json is not None]

    @property
    def checkins(self) -> list[dict[str, Any]]:
        return [item for item in self.items if "check_in_id" in item]

    @property
    def statuses(self) -> list[tuple[str, str]]:
        return [(item["monitor_slug"], item["status"]) for item in self.checkins]

    @property
    def errors(self) -> list[dict[str, Any]]:
        return [item for item in self.items if "check_in_id" not in item]


@pytest.fixture
def sentry() -> Iterator[Kept]:
    kept = Kept()
    with sentry_sdk.isolation_scope() as scope:
        scope.set_client(
            sentry_sdk.Client("https://key@sentry.invalid/1", transport=kept, auto_enabling_integrations=False)
        )
        yield kept


@pytest.fixture
def apsched_clock(sentry: Kept) -> VirtualClock:
    """Made after Sentry's scope, so that the event loop's tasks begin in it."""
    return VirtualClock()


def fail() -> None:
    raise ConnectionError("nobody answers")


async def test_a_run_is_a_check_in_of_a_monitor_made_of_its_trigger(
    apsched_options: dict[str, Any], apsched_clock: VirtualClock, sentry: Kept
) -> None:
    async with AsyncScheduler(**apsched_options) as scheduler:
        SentryCrons(scheduler, margin=2)
        await scheduler.add_job(apsched_clock.sleep, "cron", minute="10", args=[90], id="Nightly Report!", timeout=600)
        await apsched_clock.advance(minutes=12)

    begun, ended = sentry.checkins
    config = {
        "schedule": {"type": "crontab", "value": "10 * * * *"},
        "timezone": "UTC",
        "checkin_margin": 2,
        "max_runtime": 10,
    }
    assert begun["status"] == "in_progress"
    assert (ended["status"], ended["duration"]) == ("ok", 90)
    assert begun["monitor_config"] == ended["monitor_config"] == config
    assert begun["monitor_slug"] == ended["monitor_slug"] == "nightly-report"
    assert begun["check_in_id"] == ended["check_in_id"]


async def test_a_run_that_does_not_succeed_is_an_error_and_one_that_is_not_started_is_nothing(
    apsched_options: dict[str, Any], apsched_clock: VirtualClock, sentry: Kept
) -> None:
    async with AsyncScheduler(**apsched_options) as scheduler:
        SentryCrons(scheduler, with_errors=False)
        await scheduler.add_job(fail, "interval", minutes=1, id="fails")
        await scheduler.add_job(apsched_clock.sleep, "interval", minutes=1, args=[70], id="slow", timeout=65)
        await apsched_clock.advance(125)

    assert [status for slug, status in sentry.statuses if slug == "fails"] == ["in_progress", "error"] * 2
    assert [status for slug, status in sentry.statuses if slug == "slow"] == ["in_progress", "error"]


async def test_a_run_whose_node_died_is_an_error_under_the_same_id(apsched_cluster: Cluster, sentry: Kept) -> None:
    clock = apsched_cluster.clock
    async with apsched_cluster.node() as one, apsched_cluster.node() as two:
        SentryCrons(one.scheduler)
        SentryCrons(two.scheduler)
        await two.scheduler.pause()
        await one.scheduler.add_job(
            clock.sleep, "interval", minutes=1, args=[1000], id="job", on_crash="abandon", max_instances=9
        )
        await clock.advance(62)
        await one.kill()
        await clock.advance(30)

    assert sentry.statuses[0] == ("job", "in_progress")
    assert sentry.statuses[-1] == ("job", "error")
    assert len({item["check_in_id"] for item in sentry.checkins}) == 1


async def test_attempts_at_one_run_are_one_check_in_and_one_error(
    apsched_options: dict[str, Any], apsched_clock: VirtualClock, sentry: Kept
) -> None:
    async with AsyncScheduler(**apsched_options) as scheduler:
        SentryCrons(scheduler)
        await scheduler.add_job(fail, "interval", hours=1, id="job", retry=Retry(max_attempts=3))
        await apsched_clock.advance(minutes=70)

    assert [status for _, status in sentry.statuses] == ["in_progress"] * 3 + ["error"]
    assert len({item["check_in_id"] for item in sentry.checkins}) == 1
    assert [error["contexts"]["apsched run"]["attempt"] for error in sentry.errors] == [3]


async def test_jobs_without_a_schedule_have_a_monitor_if_their_tag_names_one(
    apsched_options: dict[str, Any], apsched_clock: VirtualClock, sentry: Kept
) -> None:
    async with AsyncScheduler(**apsched_options) as scheduler:
        SentryCrons(scheduler)
        await scheduler.add_job(print, "interval", seconds=20, id="untold")
        await scheduler.add_job(print, "interval", seconds=20, id="told", tags={"sentry-monitor": "pulse"})
        await scheduler.add_job(print, "interval", minutes=1, id="silenced", tags={"sentry-monitor": ""})
        await scheduler.add_job(print, id="once")
        await apsched_clock.advance(60)

    assert sentry.statuses == [("pulse", "in_progress"), ("pulse", "ok")] * 3
    assert "monitor_config" not in sentry.checkins[0]


async def test_a_job_that_is_changed_has_the_monitor_of_its_new_trigger(
    apsched_options: dict[str, Any], apsched_clock: VirtualClock, sentry: Kept
) -> None:
    async with AsyncScheduler(**apsched_options) as scheduler:
        SentryCrons(scheduler)
        await scheduler.add_job(print, "interval", minutes=1, id="job")
        await apsched_clock.advance(60)
        await scheduler.reschedule_job("job", trigger="interval", minutes=2)
        await apsched_clock.advance(120)

    assert [item["monitor_config"]["schedule"]["value"] for item in sentry.checkins] == [1, 1, 2, 2]


def test_what_a_run_raised_is_sent_once_with_the_run(
    apsched_options: dict[str, Any], apsched_clock: VirtualClock, sentry: Kept
) -> None:
    scheduler = BackgroundScheduler(**apsched_options)
    SentryCrons(scheduler)
    scheduler.start()
    scheduler.add_job(fail, "interval", minutes=1, id="job")
    BlockingClock(scheduler).advance(60)
    scheduler.shutdown()

    logging.getLogger("apsched.runs").error("said by the log")
    (error,) = sentry.errors
    assert error["exception"]["values"][-1]["value"] == "nobody answers"
    assert error["tags"] == {"apsched.job": "job"}
    assert error["contexts"]["apsched run"]["run_id"] == "job@2026-01-01T00:01:00Z"
    assert sentry.statuses == [("job", "in_progress"), ("job", "error")]


@pytest.mark.parametrize(
    ("trigger", "schedule"),
    [
        (CronTrigger(hour=3, timezone="UTC"), {"type": "crontab", "value": "0 3 * * *"}),
        (CronTrigger(hour=3, day_of_week="mon-fri"), {"type": "crontab", "value": "0 3 * * 1,2,3,4,5"}),
        (CronTrigger(hour=3, day_of_week="6"), {"type": "crontab", "value": "0 3 * * 0"}),
        (CronTrigger(month="jan,jul", day="1-3"), {"type": "crontab", "value": "0 0 1,2,3 1,7 *"}),
        (CronTrigger(minute="5/20"), {"type": "crontab", "value": "5,25,45 * * * *"}),
        (CronTrigger(hour=4, day=13, day_of_week="fri", day_or=True), {"type": "crontab", "value": "0 4 13 * 5"}),
        (CronTrigger(day="13", day_of_week="fri"), None),
        (CronTrigger(day="last"), None),
        (CronTrigger(day="2nd fri"), None),
        (CronTrigger(second="*/10"), None),
        (CronTrigger(week=5), None),
        (CronTrigger(hour=3, timezone="+02:00"), None),
        (CronTrigger(hour=3, exclude=date(2026, 12, 25)), None),
        (IntervalTrigger(minutes=90), {"type": "interval", "value": 90, "unit": "minute"}),
        (IntervalTrigger(hours=48), {"type": "interval", "value": 2, "unit": "day"}),
        (IntervalTrigger(seconds=90), None),
        (CalendarIntervalTrigger(months=3), {"type": "interval", "value": 3, "unit": "month"}),
        (CalendarIntervalTrigger(months=3, days=1), None),
        (DateTrigger("2026-01-01"), None),
        (OrTrigger([CronTrigger(hour=3)]), None),
    ],
)
def test_a_trigger_is_said_in_sentrys_words_if_there_are_any(trigger: BaseTrigger, schedule: Any) -> None:
    assert schedule_of(trigger) == schedule


@pytest.mark.parametrize("margin", [0, True, 1.5])
def test_a_margin_is_a_whole_number_of_minutes(apsched_options: dict[str, Any], margin: Any) -> None:
    with pytest.raises(ValueError, match="margin must be None or a whole number of minutes from 1 on, got"):
        SentryCrons(AsyncScheduler(**apsched_options), margin=margin)
