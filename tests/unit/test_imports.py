"""Programs find names where the documentation has them; for those of APScheduler 3 see `test_names_of_3x`."""

from __future__ import annotations

import subprocess
import sys

import apsched


def test_the_package_names_what_its_verbs_return() -> None:
    named = {
        "Job",
        "RunHandle",
        "Run",
        "Explanation",
        "SyncReport",
        "Health",
        "StoreHealth",
        "ExecutorHealth",
        "LoopHealth",
    }

    assert named <= set(apsched.__all__)
    assert apsched.__all__ == sorted(apsched.__all__)
    assert all(hasattr(apsched, name) for name in apsched.__all__)


def test_the_help_for_testing_does_not_import_pytest() -> None:
    code = "import sys, apsched.testing; apsched.testing.VirtualClock; sys.exit('pytest' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_package_and_its_scheduler_import_no_store_no_web_and_no_command() -> None:
    code = (
        "import sys, apsched; apsched.AsyncScheduler\n"
        "heavy = {'sqlalchemy', 'alembic', 'redis', 'pymongo', 'asyncpg', 'click', 'rich', 'starlette', 'jinja2'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )

    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
