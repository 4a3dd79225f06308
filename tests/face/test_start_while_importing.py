"""A module that starts its scheduler while it is being imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

MODULE = """
from apsched.schedulers.background import BackgroundScheduler

scheduler = BackgroundScheduler()
scheduler.add_jobstore("sqlalchemy", url="sqlite:///jobs.db")
scheduler.start()
ids = sorted(job.id for job in scheduler.get_jobs())


def above_nothing():
    print("ran", flush=True)
"""
MAIN = """
import time
import schedule

print(schedule.ids, flush=True)
schedule.scheduler.add_job(schedule.above_nothing, "interval", seconds=0.2, id="job", replace_existing=True)
time.sleep(1)
schedule.scheduler.shutdown()
"""


def test_an_overdue_job_whose_function_comes_later_in_that_module_waits_for_the_import_and_holds_up_nothing(
    tmp_path: Path,
) -> None:
    (tmp_path / "schedule.py").write_text(MODULE)
    (tmp_path / "main.py").write_text(MAIN)

    first, second = (
        subprocess.run(
            [sys.executable, "main.py"], cwd=tmp_path, capture_output=True, text=True, timeout=40, check=True
        )
        for _ in range(2)
    )

    assert first.stdout.splitlines()[:2] == ["[]", "ran"]
    assert second.stdout.splitlines()[:2] == ["['job']", "ran"]
