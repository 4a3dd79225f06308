"""What the tests of the blocking face share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from apsched.exceptions import SchedulerNotRunningError
from apsched.schedulers.background import BackgroundScheduler
from tests.threads import threads

PATIENCE = 20.0  # seconds of real time after which a condition is taken to never come true
LIFETIME = 50.0  # seconds that a program may take in all; on a busy machine it spends most of them on its imports


class Record:
    """What jobs and listeners note, from whichever thread."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._changed = threading.Condition()

    def note(self, value: Any = None) -> None:
        with self._changed:
            self.values.append(value)
            self._changed.notify_all()

    def wait(self, count: int = 1) -> list[Any]:
        """Return the values when there are *count* or more."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.values) >= count, PATIENCE):
                raise TimeoutError(f"{len(self.values)} values came instead of {count}: {self.values}")
            return list(self.values)

    def wait_for(self, value: Any) -> None:
        """Return when *value* was noted."""
        with self._changed:
            if not self._changed.wait_for(lambda: value in self.values, PATIENCE):
                raise TimeoutError(f"{value!r} was not noted, but {self.values}")


class Program:
    """A Python program in a process of its own."""

    def __init__(self, code: str, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", dedent(code)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )

    def read_line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip("\n")

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self) -> tuple[int, str, str]:
        """Return the exit code, what else came to standard output, and standard error, when it has ended."""
        output, errors = self._process.communicate(timeout=LIFETIME)
        return self._process.returncode, output, errors

    def kill(self) -> None:
        self._process.kill()
        with self._process:
            pass


@pytest.fixture
def record() -> Record:
    return Record()


@pytest.fixture
def wait_until() -> Callable[[Callable[[], object]], None]:
    def wait(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError("the condition did not come true")
            time.sleep(0.002)

    return wait


@pytest.fixture
def make() -> Iterator[Callable[..., BackgroundScheduler]]:
    """Make schedulers that are shut down after the test."""
    made: list[BackgroundScheduler] = []

    def make(**options: Any) -> BackgroundScheduler:
        made.append(BackgroundScheduler(timezone="UTC", **options))
        return made[-1]

    yield make
    for scheduler in made:
        with suppress(SchedulerNotRunningError):
            scheduler.shutdown(wait=False)


@pytest.fixture
def scheduler(make: Callable[..., BackgroundScheduler]) -> BackgroundScheduler:
    return make()


@pytest.fixture
def start_program(tmp_path: Path) -> Iterator[Callable[[str], Program]]:
    programs: list[Program] = []

    def start(code: str) -> Program:
        programs.append(Program(code, tmp_path))
        return programs[-1]

    yield start
    for program in programs:
        program.kill()


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = threads()
    yield
    for thread in threads() - before:  # jobs that were given up may still be on their way out
        thread.join(PATIENCE)
    assert threads() <= before
