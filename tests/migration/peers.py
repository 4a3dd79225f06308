"""Install packages of PyPI that tests run beside this one, each set once for a machine.

They are in the folder that the environment variable APSCHED_TEST_PACKAGES names, or in the system's folder for
temporary files. Where they cannot be installed, the tests that need them are skipped, as where a server is missing.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from tests.servers import MissingServerError

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = ("sqlalchemy<2.2", "psycopg[binary]", "pymysql", "redis", "pymongo")
APS3 = ("apscheduler==3.11.3", *CLIENTS, "pytz", "python-dateutil", "anyio")
FLASK = ("flask==3.1.3", "python-dateutil")
SECONDS = 50  # for one program


@cache
def folder_of(*requirements: str) -> Path:
    """Return a folder that holds the packages, to be put on PYTHONPATH."""
    key = hashlib.sha256(repr((sys.version_info[:2], requirements)).encode()).hexdigest()[:16]
    home = Path(os.environ.get("APSCHED_TEST_PACKAGES", Path(tempfile.gettempdir()) / "apsched-test-packages"))
    folder = home / key
    if not folder.exists():
        home.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(dir=home))
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--target", making]
        done = subprocess.run([*map(str, pip), *requirements], capture_output=True, text=True, check=False)
        if done.returncode:
            raise MissingServerError(f"{', '.join(requirements)} cannot be installed: {done.stderr[-500:]}")
        making.rename(folder)
    return folder


def run(program: Path, *arguments: str, packages: tuple[Path, ...]) -> str:
    """Run *program* beside *packages*, and return what it prints."""
    path = os.pathsep.join(map(str, (*packages, ROOT)))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(program), *arguments],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
