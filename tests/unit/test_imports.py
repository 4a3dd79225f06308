"""Programs find names where the documentation and APScheduler 3 have them."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

import apsched

HOMES_IN_APSCHEDULER_3 = [  # of names that are here too
    ("events", "EVENT_ALL SchedulerEvent JobEvent JobSubmissionEvent JobExecutionEvent EVENT_JOB_EXECUTED"),
    ("executors.asyncio", "AsyncIOExecutor"),
    ("executors.debug", "DebugExecutor"),
    ("executors.gevent", "GeventExecutor"),
    ("executors.tornado", "TornadoExecutor"),
    ("executors.twisted", "TwistedExecutor"),
    ("executors.pool", "ThreadPoolExecutor ProcessPoolExecutor"),
    ("job", "Job"),
    ("jobstores.base", "JobLookupError ConflictingIdError TransientJobError"),
    ("jobstores.memory", "MemoryJobStore"),
    ("schedulers", "SchedulerAlreadyRunningError SchedulerNotRunningError"),
    ("schedulers.asyncio", "AsyncIOScheduler"),
    ("schedulers.gevent", "GeventScheduler"),
    ("schedulers.qt", "QtScheduler"),
    ("schedulers.tornado", "TornadoScheduler"),
    ("schedulers.twisted", "TwistedScheduler"),
    ("schedulers.background", "BackgroundScheduler"),
    ("schedulers.base", "BaseScheduler STATE_STOPPED STATE_RUNNING STATE_PAUSED"),
    ("schedulers.blocking", "BlockingScheduler"),
    ("triggers.base", "BaseTrigger"),
    ("triggers.calendarinterval", "CalendarIntervalTrigger"),
    ("triggers.combining", "AndTrigger OrTrigger BaseCombiningTrigger"),
    ("triggers.cron", "CronTrigger"),
    ("triggers.date", "DateTrigger"),
    ("triggers.interval", "IntervalTrigger"),
]


@pytest.mark.parametrize(("module", "names"), HOMES_IN_APSCHEDULER_3)
def test_a_name_of_apscheduler_3_has_its_old_home(module: str, names: str) -> None:
    home = import_module(f"apsched.{module}")

    assert all(hasattr(home, name) for name in names.split())


def test_the_package_names_what_its_verbs_return() -> None:
    named = {"Job", "RunHandle", "Run", "Explanation", "SyncReport", "Health", "StoreHealth", "ExecutorHealth"}

    assert named <= set(apsched.__all__)
    assert apsched.__all__ == sorted(apsched.__all__)
    assert all(hasattr(apsched, name) for name in apsched.__all__)


def test_the_help_for_testing_does_not_import_pytest() -> None:
    code = "import sys, apsched.testing; apsched.testing.VirtualClock; sys.exit('pytest' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
