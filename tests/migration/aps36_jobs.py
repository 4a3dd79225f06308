"""Print jobs of APScheduler 3.6 or 3.8, whose zones are those of pytz, with their pickles; run where it is installed.

Its output was recorded with TZ=Europe/Berlin: by 3.6.3 with tzlocal 2.1, and by 3.8.1 with tzlocal 4.3.1, whose zones
are wrapped in pytz_deprecation_shim.
"""

# mypy: ignore-errors
# ruff: noqa: DTZ001, T201  # a program, and naive datetimes are what zones of pytz localize

from __future__ import annotations

import base64
import json
import pickle
from datetime import datetime

import pytz
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

BERLIN = pytz.timezone("Europe/Berlin")
NOW = BERLIN.localize(datetime(2031, 1, 6, 10, 30, 15))
TRIGGERS = {
    "cron": CronTrigger(day_of_week="mon-fri", hour=3, timezone=BERLIN),
    "cron_local": CronTrigger(hour="*/6"),
    "interval": IntervalTrigger(hours=5, start_date=BERLIN.localize(datetime(2031, 3, 29, 20))),
    "interval_local": IntervalTrigger(hours=1, start_date="2031-02-01 00:00:00"),
    "date": DateTrigger(BERLIN.localize(datetime(2031, 10, 26, 2, 30), is_dst=False)),
    "or": OrTrigger([CronTrigger(hour=5, timezone=BERLIN), CronTrigger(minute=30, hour=7, timezone="UTC")]),
}


def main() -> None:
    """Print the jobs as JSON."""
    scheduler = BackgroundScheduler(timezone=BERLIN)
    scheduler.start(paused=True)
    jobs = {}
    for name, trigger in TRIGGERS.items():
        first = trigger.get_next_fire_time(None, NOW)
        job = scheduler.add_job("json:dumps", trigger, args=[name], id=name, next_run_time=first)
        times = []
        moment = job.next_run_time
        while moment is not None and len(times) < 21:
            times.append(moment.astimezone(pytz.utc).isoformat())
            moment = trigger.get_next_fire_time(moment, moment)
        packed = pickle.dumps(job.__getstate__(), pickle.HIGHEST_PROTOCOL)
        jobs[name] = {"trigger": str(trigger), "times": times, "pickle": base64.b64encode(packed).decode()}
    scheduler.shutdown()
    print(json.dumps(jobs, indent=1))


if __name__ == "__main__":
    main()
