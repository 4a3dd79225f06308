"""Write the schedule file of the demo: each table in it is a job (layer 10)."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

FILE_NAME = "schedule.toml"

TEMPLATE = """\
# The schedule of the demo. Each table is a job, named by its id: `func` is what runs, `trigger` says when, and the rest
# are options of add_job. Change it and start the demo again in the same folder.

[traffic]                        # a coroutine: runs in the event loop
func = "apsched.demo.jobs:serve_traffic"
trigger = { type = "interval", seconds = 0.5, jitter = 0.2 }

[orders]
func = "apsched.demo.jobs:receive_order"
trigger = { type = "interval", seconds = 1.5 }

[file-orders]                    # a plain function: runs in a thread
func = "apsched.demo.jobs:file_orders"
trigger = { type = "interval", seconds = 1 }
tags = { may = "fail" }          # now and then an order is faulty

[measure]
func = "apsched.demo.jobs:measure"
trigger = { type = "interval", seconds = 0.5 }
misfire_grace_time = 0.4         # seconds; a measurement that comes later is worth nothing: it is missed
coalesce = false

[summary]                        # heavy work: runs in another process
func = "apsched.demo.jobs:summarise"
executor = "processes"
trigger = { type = "cron", second = "*/2", exclude = { type = "cron", second = "*/10" } }

[rotate]
func = "apsched.demo.jobs:rotate"
trigger = { type = "cron", second = "*/5" }

[tidy]                           # at the seconds that fit both: every 6
func = "apsched.demo.jobs:tidy"
trigger = { type = "and", triggers = [{ type = "cron", second = "*/2" }, { type = "cron", second = "*/3" }] }

[mirror]                         # takes longer than its interval: every other run is skipped, and says why
func = "apsched.demo.jobs:mirror"
trigger = { type = "interval", seconds = 2 }
max_instances = 1

[manifest]                       # every 4 seconds, and at second 15 of each minute
func = "apsched.demo.jobs:list_files"
trigger = { type = "or", triggers = [{ type = "interval", seconds = 4 }, { type = "cron", second = 15 }] }

[opening]                        # once
func = "apsched.demo.jobs:open_shop"
trigger = { type = "date", run_date = %(soon)s }

[monthly]                        # not today: see when it comes next
func = "apsched.demo.jobs:list_files"
trigger = { type = "calendarinterval", months = 1, hour = 8, minute = 30, start_date = %(tomorrow)s }
"""


def write_schedule(folder: Path, now: datetime) -> Path:
    """
    Write the demo's schedule into *folder*, unless it holds one; return its path.

    Args:
        folder: Exists.
        now: Aware.
    """
    path = folder / FILE_NAME
    if not path.exists():
        soon, tomorrow = now + timedelta(seconds=3), now + timedelta(days=1)
        values = {"soon": soon.isoformat(timespec="seconds"), "tomorrow": tomorrow.date().isoformat()}
        path.write_text(TEMPLATE % values, encoding="utf-8")
    return path
