"""Fill a store of APScheduler 3.11.3 with jobs of every kind, and print what they would do; run where it is installed.

    python aps3_jobs.py STORE [PROTOCOL]

STORE is a URL, or the path of a JSON file for `export_jobs`, or `-`, which prints the pickles too. Each job is printed
with its next run times: the next one and those after it, up to 20.
"""

# mypy: ignore-errors
# ruff: noqa: DTZ001, T201  # a program, and naive datetimes are what zones of pytz localize

from __future__ import annotations

import base64
import json
import pickle
import sys
import types
import uuid
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pytz
from apscheduler.executors.debug import DebugExecutor
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.calendarinterval import CalendarIntervalTrigger
from apscheduler.triggers.combining import AndTrigger, OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger
from dateutil import tz as dateutil_tz

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), pytz.timezone("America/New_York")
NOW = datetime(2031, 1, 6, 10, 30, 15, 123456, tzinfo=timezone.utc)  # noqa: UP017  # a Monday; nothing of it is past
PLAIN = [
    None, True, -3, 2**70, 1.5, "tëxt", b"\x00\xff", [1, [2]], (3, (4,)), {"a": {"b": 1}}, {5}, frozenset({6}),
    date(2030, 2, 3), datetime(2030, 2, 3, 4, 5, 6, 7), datetime(2030, 2, 3, tzinfo=BERLIN), timedelta(1, 2, 3),
    Decimal("1.50"), uuid.UUID(int=7),
]  # fmt: skip


def cron_triggers() -> dict[str, CronTrigger]:
    """Return cron triggers with every form of field."""
    fields: dict[str, dict[str, Any]] = {
        "every_second": {},
        "minutes": {"minute": "*/7", "timezone": "UTC"},
        "list": {"hour": "3,8-10,20/2", "minute": "0,30"},
        "range_step": {"day": "2-20/3", "hour": 5},
        "open_step": {"minute": "7/20"},
        "zero_range": {"hour": "0-0/5"},
        "names": {"month": "jan-mar,Jun", "day_of_week": "mon-fri", "hour": 6},
        "weekday_numbers": {"day_of_week": "0,6", "hour": 12},
        "nth_weekday": {"day": "2nd fri, last sun", "hour": 7},
        "last_day": {"day": "last", "hour": 23, "minute": 59, "second": 58},
        "week": {"week": "*/10", "day_of_week": 2},
        "year": {"year": "2031-2040/2", "month": 5, "day": 31},
        "from_start": {"hour": 1, "start_date": "2031-05-05 00:00:00", "end_date": "2031-05-15 12:00:00"},
        "leap": {"month": 2, "day": 29},
    }
    made = {f"cron_{name}": CronTrigger(**{"timezone": "UTC", **options}) for name, options in fields.items()}
    made["cron_crontab"] = CronTrigger.from_crontab("*/15 8-17 * * mon-fri", timezone="Asia/Kolkata")
    made["cron_zoneinfo"] = CronTrigger(hour=12, minute=15, timezone=BERLIN)
    made["cron_pytz"] = CronTrigger(hour=12, minute=45, timezone=NEW_YORK)
    made["cron_dst_wildcard"] = CronTrigger(minute=30, start_date="2031-03-29 20:00:00", timezone=BERLIN)
    made["cron_jitter"] = CronTrigger(hour=4, jitter=120, timezone="UTC")
    return made


def other_triggers() -> dict[str, Any]:
    """Return triggers of the other kinds."""
    return {
        "date": DateTrigger(datetime(2031, 2, 3, 4, 5, 6, 789, tzinfo=BERLIN)),
        "date_fold_pytz": DateTrigger(NEW_YORK.localize(datetime(2031, 11, 2, 1, 30), is_dst=False)),
        "date_pytz_fixed": DateTrigger(datetime(2031, 2, 3, tzinfo=pytz.FixedOffset(-330))),
        "date_pytz_utc": DateTrigger(datetime(2031, 2, 3, tzinfo=pytz.utc)),
        "date_dateutil": DateTrigger(datetime(2031, 2, 3, tzinfo=dateutil_tz.gettz("Europe/Berlin"))),
        "date_dateutil_utc": DateTrigger(datetime(2031, 2, 3, tzinfo=dateutil_tz.tzutc())),
        "date_dateutil_offset": DateTrigger(datetime(2031, 2, 3, tzinfo=dateutil_tz.tzoffset("x", 5400))),
        "interval": IntervalTrigger(minutes=90, start_date="2031-01-01 00:00:00", timezone=BERLIN),
        "interval_end": IntervalTrigger(
            days=1, start_date="2031-01-01", end_date="2031-01-12 00:00:00", timezone="UTC"
        ),
        "interval_odd": IntervalTrigger(seconds=0.75, start_date=NOW - timedelta(hours=1, microseconds=37)),
        "interval_dst": IntervalTrigger(hours=2, start_date="2031-03-29 20:15:00", timezone=NEW_YORK),
        "interval_jitter": IntervalTrigger(hours=1, start_date=NOW, jitter=30),
        "calendar": CalendarIntervalTrigger(months=1, hour=8, start_date="2031-01-31", timezone="UTC"),
        "calendar_days": CalendarIntervalTrigger(weeks=1, days=2, minute=5, start_date="2031-01-01", timezone="UTC"),
        "calendar_end": CalendarIntervalTrigger(
            days=40, start_date="2031-01-01", end_date="2031-08-01", timezone="UTC"
        ),
        "and": AndTrigger(
            [CronTrigger(hour=5, timezone="UTC"), CronTrigger(day_of_week="sat,sun", hour="*", timezone="UTC")]
        ),
        "or": OrTrigger([CronTrigger(hour=5, timezone="UTC"), CronTrigger(day="last", hour=2, timezone=BERLIN)]),
    }


def add_jobs(scheduler: BackgroundScheduler) -> None:
    """Add the jobs, which are due from NOW on."""
    for name, trigger in {**cron_triggers(), **other_triggers()}.items():
        first = trigger.get_next_fire_time(None, NOW)
        scheduler.add_job("json:dumps", trigger, args=[name], id=name, next_run_time=first)
    hourly = {"trigger": "interval", "hours": 1, "timezone": "UTC", "next_run_time": NOW}
    scheduler.add_job("json:dumps", id="off_grid", args=[1], **hourly)
    scheduler.add_job("json:dumps", id="paused", args=[1], **{**hourly, "next_run_time": None})
    scheduler.add_job("json:dumps", id="arguments", args=[PLAIN], kwargs={"sort_keys": True, "indent": 1}, **hourly)
    options = {"misfire_grace_time": 42, "coalesce": False, "max_instances": 3, "executor": "other", "name": "Näme"}
    scheduler.add_job("json:dumps", id="options", args=[1], **options, **hourly)
    scheduler.add_job("json:dumps", id="grace_none", args=[1], misfire_grace_time=None, **hourly)
    scheduler.add_job("anyio:sleep", id="coroutine", args=[0], **hourly)
    missing = types.ModuleType("no_such_module")
    exec("def job(): pass", missing.__dict__)  # noqa: S102  # as if it was there once
    sys.modules["no_such_module"] = missing
    scheduler.add_job("no_such_module:job", id="missing", **hourly)


def fire_times(job: Any) -> list[str]:
    """Return when the job is due: as APScheduler asks its trigger, run after run."""
    count = 1 if isinstance(job.trigger, AndTrigger) else 21  # it goes round for ever once its members differ
    times = []
    moment = job.next_run_time
    while moment is not None:
        times.append(moment.astimezone(timezone.utc).isoformat())  # noqa: UP017  # one zone for all
        moment = job.trigger.get_next_fire_time(moment, moment) if len(times) < count else None
    return times


def make_store(store: str, protocol: int) -> Any:
    """Return a job store of APScheduler 3 at a URL."""
    parts = urlsplit(store)
    if parts.scheme == "redis":
        from apscheduler.jobstores.redis import RedisJobStore

        return RedisJobStore(
            db=int(parts.path[1:] or 0), host=parts.hostname, port=parts.port, pickle_protocol=protocol
        )
    if parts.scheme == "mongodb":
        from apscheduler.jobstores.mongodb import MongoDBJobStore

        return MongoDBJobStore(database=parts.path[1:], host=store, pickle_protocol=protocol)
    if parts.scheme:
        from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore

        return SQLAlchemyJobStore(store, pickle_protocol=protocol)
    return MemoryJobStore()


def main(store: str, protocol: int = pickle.HIGHEST_PROTOCOL) -> None:
    """Fill the store and print its jobs as JSON."""
    scheduler = BackgroundScheduler({"apscheduler.timezone": "UTC"}, jobstores={"default": make_store(store, protocol)})
    scheduler.add_executor(DebugExecutor(), "other")
    scheduler.start(paused=True)
    add_jobs(scheduler)
    jobs = {}
    for job in scheduler.get_jobs():
        jobs[job.id] = {"trigger": str(job.trigger), "times": fire_times(job)}
        if store == "-":
            jobs[job.id]["pickle"] = base64.b64encode(pickle.dumps(job.__getstate__(), protocol)).decode()
    if store.endswith(".json"):
        scheduler.export_jobs(store)
    scheduler.shutdown()
    print(json.dumps(jobs, indent=1))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:3]))
