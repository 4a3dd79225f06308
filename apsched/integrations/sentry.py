"""Let Sentry watch that jobs run, and tell it why they failed (layer 10).

Each start of a run is a check-in `in_progress` of the job's monitor, each end one `ok` or `error`, with its duration; a
run that is retried is one check-in, which ends with the last attempt. A run that was missed or skipped is no check-in,
so that Sentry itself finds it missing. Monitors are made of the triggers.
"""

from __future__ import annotations

import logging
import math
import re
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import attrs

from apsched._timezones import timezone_text
from apsched.events import EVENT_JOB_ERROR, EVENT_JOB_MODIFIED, EVENT_JOB_REMOVED, EVENT_JOB_SUBMITTED
from apsched.exceptions import MissingExtraError
from apsched.integrations._watching import ENDED, Scheduler, core_of, listen, runs_of
from apsched.job import Job
from apsched.run import Outcome, Run
from apsched.triggers.base import BaseTrigger
from apsched.triggers.calendarinterval import CalendarIntervalTrigger
from apsched.triggers.cron import CronTrigger, Field
from apsched.triggers.interval import IntervalTrigger

try:
    import sentry_sdk
    from sentry_sdk.crons import capture_checkin
    from sentry_sdk.integrations.logging import ignore_logger
except ImportError as exc:
    raise MissingExtraError("apsched.integrations.sentry", "sentry") from exc

logger: logging.Logger = logging.getLogger("apsched.sentry")

TAG = "sentry-monitor"
LONGEST_SLUG = 50  # characters
KNOWN_FOR = 600.0  # seconds, after which a job is looked up again: another node may have changed it
NAMESPACE = uuid.UUID("5f9d3c8e-0c63-4d3f-8f2f-8d0c1f6a7b11")  # of the ids of check-ins; never changes

UNITS: tuple[tuple[str, timedelta], ...] = (
    ("day", timedelta(days=1)),
    ("hour", timedelta(hours=1)),
    ("minute", timedelta(minutes=1)),
)


@attrs.frozen
class _Monitor:
    slug: str | None
    config: Any  # as `_config` returns it; Sentry has a name for the type, which is not public
    known_at: float


def monitor_of(job: Job) -> str | None:
    """
    Return the slug of the monitor of *job*: that in its tag `sentry-monitor`, or one made of its id.

    None, so that it has no monitor, for a job without that tag whose schedule Sentry has no words for.
    """
    if TAG in job.tags:
        return job.tags[TAG] or None
    return None if schedule_of(job.trigger) is None else _slug(job.id)


class SentryCrons:
    """
    Check-ins, and errors, of the runs of one scheduler.

        sentry_sdk.init(dsn=...)
        SentryCrons(scheduler)

    Args:
        scheduler: The scheduler, started or not.
        monitor: Returns the slug of the monitor of a job, or None for a job without one.
        margin: How many minutes a run may begin late before Sentry calls it missed, from 1 on; None: what Sentry says.
        with_errors: Whether exceptions are sent too, with the run that they ended; what the logger `apsched.runs` says
            of them is then left out.

    Raises:
        ValueError: *margin* is less than 1.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        monitor: Callable[[Job], str | None] = monitor_of,
        margin: int | None = None,
        with_errors: bool = True,
    ) -> None:
        if margin is not None and (isinstance(margin, bool) or not isinstance(margin, int) or margin < 1):
            raise ValueError(f"margin must be None or a whole number of minutes from 1 on, got {margin!r}")
        self._core = core_of(scheduler)
        self._monitor = monitor
        self._margin = margin
        self._known: dict[tuple[str, str], _Monitor] = {}
        listen(scheduler, self._begin, EVENT_JOB_SUBMITTED)
        listen(scheduler, self._end, ENDED)
        listen(scheduler, self._forget, EVENT_JOB_MODIFIED | EVENT_JOB_REMOVED)
        if with_errors:
            ignore_logger("apsched.runs")
            listen(scheduler, _capture_error, EVENT_JOB_ERROR)

    async def _begin(self, event: Any) -> None:
        monitor = await self._monitor_of(event.jobstore, event.job_id)
        if monitor.slug is not None:
            for run in runs_of(event):
                capture_checkin(monitor.slug, _id_of(run), "in_progress", monitor_config=monitor.config)

    async def _end(self, event: Any) -> None:
        monitor = await self._monitor_of(event.jobstore, event.job_id)
        run: Run = event.run
        if monitor.slug is not None:
            status = "ok" if run.outcome is Outcome.SUCCEEDED else "error"
            capture_checkin(monitor.slug, _id_of(run), status, run.duration, monitor.config)

    async def _forget(self, event: Any) -> None:
        self._known.pop((event.jobstore, event.job_id), None)

    async def _monitor_of(self, jobstore: str, job_id: str) -> _Monitor:
        now = self._core.clock.monotonic()
        known = self._known.get((jobstore, job_id))
        if known is not None and now - known.known_at < KNOWN_FOR:
            return known
        try:
            job = await self._core.get_job(job_id, jobstore)
        except Exception as exc:
            logger.debug("job store %r cannot be asked for job %r: %s", jobstore, job_id, exc)
            job = None
        if job is None:  # it has just run for the last time
            return _Monitor(None, None, now) if known is None else known
        slug = self._monitor(job)
        found = _Monitor(slug, None if slug is None else self._config(job), now)
        self._known[jobstore, job_id] = found
        return found

    def _config(self, job: Job) -> dict[str, Any] | None:
        schedule = schedule_of(job.trigger)
        if schedule is None:
            return None
        config: dict[str, Any] = {"schedule": schedule}
        if isinstance(job.trigger, CronTrigger):
            config["timezone"] = timezone_text(job.trigger.timezone)
        if self._margin is not None:
            config["checkin_margin"] = self._margin
        if job.timeout is not None:
            config["max_runtime"] = math.ceil(job.timeout / 60)
        return config


def schedule_of(trigger: BaseTrigger) -> dict[str, Any] | None:
    """Return *trigger* in Sentry's words; None if it has none for it: seconds, offsets, exclusions, `last`..."""
    if getattr(trigger, "exclude", None) is not None:
        return None
    if isinstance(trigger, CronTrigger):
        line = _crontab(trigger)
        return None if line is None else {"type": "crontab", "value": line}
    if isinstance(trigger, IntervalTrigger):
        for unit, length in UNITS:
            if not trigger.interval % length:
                return {"type": "interval", "value": trigger.interval // length, "unit": unit}
        return None
    if isinstance(trigger, CalendarIntervalTrigger):
        units = ("year", "month", "week", "day")
        counts: list[int] = [getattr(trigger, f"{unit}s") for unit in units]
        if sum(map(bool, counts)) == 1:
            return {"type": "interval", "value": max(counts), "unit": units[counts.index(max(counts))]}
    return None


def _crontab(trigger: CronTrigger) -> str | None:
    """Return the five fields of a crontab that says what *trigger* says, or None."""
    fields = {field.name: field for field in trigger.fields}
    day, weekday = fields["day"], fields["day_of_week"]
    if str(fields["second"]) != "0" or not (_is_any(fields["week"]) and _is_any(fields["year"])):
        return None
    if timezone_text(trigger.timezone)[0] in "+-":  # an offset, which Sentry does not know
        return None
    if any(not text.isdigit() for text in re.split(r"[-,/*]", str(day)) if text):  # 2nd fri, last
        return None
    if not (_is_any(day) or _is_any(weekday) or trigger.day_or):  # a crontab fires where one of them fits
        return None
    weekdays = "*" if _is_any(weekday) else _numbers(sorted((number + 1) % 7 for number in _selected(weekday)))
    others = [_numbers(_selected(fields[name])) if not _is_any(fields[name]) else "*" for name in _OTHERS]
    return " ".join((*others, weekdays))


_OTHERS = ("minute", "hour", "day", "month")


def _is_any(field: Field) -> bool:
    return str(field) in ("*", "*/1")


def _selected(field: Field) -> list[int]:
    return [number for number in range(field.bits.bit_length()) if field.bits >> number & 1]


def _numbers(numbers: list[int]) -> str:
    return ",".join(map(str, numbers))


def _slug(job_id: str) -> str:
    return re.sub(r"[^a-z0-9_-]+", "-", job_id.lower()).strip("-")[:LONGEST_SLUG] or "job"


def _id_of(run: Run) -> str:
    """Return the id of the run's check-in; the same on every node that has to do with it."""
    return uuid.uuid5(NAMESPACE, run.id).hex


def _capture_error(event: Any) -> None:
    if event.exception is None:
        return
    run: Run = event.run
    with sentry_sdk.new_scope() as scope:
        scope.set_tag("apsched.job", run.job_id)
        scope.set_context(
            "apsched run",
            {
                "run_id": run.id,
                "job_id": run.job_id,
                "jobstore": event.jobstore,
                "node": run.node,
                "attempt": run.attempt,
                "outcome": run.outcome.value,
                "lateness": run.lateness,
                "duration": run.duration,
            },
        )
        scope.capture_exception(event.exception)
