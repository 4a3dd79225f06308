"""Start a Celery worker as a process of its own; this module is its app as well."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from celery import Celery

from apsched.executors.celery import register
from tests.servers._process import Process, own_folder

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = 2  # of a worker
URL, HAS_TASK = "APSCHED_TEST_CELERY_URL", "APSCHED_TEST_CELERY_HAS_TASK"


def make_app(url: str) -> Celery:
    """Make an app, the worker's or another with the same servers."""
    return Celery("tests.engines.celery_worker", broker=url, backend=url, set_as_current=False)


class CeleryWorker:
    """
    A worker with a prefork pool of two processes.

    Args:
        folder: Where its log is.
        url: That of Redis.
        has_task: Whether it has the task that executors send.
    """

    def __init__(self, folder: Path, url: str, has_task: bool) -> None:
        self.app: Celery = make_app(url)
        log = folder / "log"
        words = [
            "worker",
            "--concurrency",
            str(PROCESSES),
            "--without-gossip",
            "--without-mingle",
            "--loglevel",
            "INFO",
        ]
        self._process = Process(
            [sys.executable, "-m", "celery", "-A", "tests.engines.celery_worker", *words],
            folder,
            lambda _pid: " ready." in log.read_text(errors="replace"),
            environment={URL: url, HAS_TASK: "yes" if has_task else "", "PYTHONPATH": str(ROOT), "C_FORCE_ROOT": "1"},
        )

    def start(self) -> None:
        """Start it."""
        self._process.start()

    def kill(self) -> None:
        """End it and its processes by SIGKILL."""
        self._process.kill()


@contextmanager
def start_celery(url: str, *, has_task: bool = True) -> Generator[CeleryWorker]:
    """Run a worker; takes some seconds."""
    with ExitStack() as stack:
        worker = CeleryWorker(stack.enter_context(own_folder("celery")), url, has_task)
        stack.callback(worker.kill)
        worker.start()
        yield worker


if URL in os.environ:
    app = make_app(os.environ[URL])
    if os.environ[HAS_TASK]:
        register(app, allowed_modules=["apsched.testing", "tests.engines"])
