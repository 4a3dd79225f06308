"""Whole programs in the frameworks that schedulers are made for, as users write and start them.

Each runs in a process of its own, gets reminders by HTTP, reminds, and ends by SIGTERM with nothing left over.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM"),
]

PROGRAMS = Path(__file__).parent.parent / "programs"
PATIENCE = 30.0  # seconds
UVICORN = [sys.executable, "-m", "uvicorn"]


@attrs.frozen
class Program:
    """A program that runs and writes into a file."""

    process: subprocess.Popen[bytes]
    port: int
    output: Path

    def text(self) -> str:
        return self.output.read_text()

    def ask(self, method: str, body: dict[str, str] | None = None) -> tuple[int, Any]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as connection:
            content = None if body is None else json.dumps(body)
            connection.request(method, "/reminders", content, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, json.loads(response.read())

    def is_listening(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def wait_until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.02)

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


@contextmanager
def running(folder: Path, *command: str) -> Iterator[Program]:
    """Run *command* in *folder*; `PORT` stands for a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    output = folder / "output.txt"
    environment = {**os.environ, "PYTHONPATH": str(PROGRAMS), "PYTHONWARNINGS": "error", "QT_QPA_PLATFORM": "offscreen"}
    filled = [part.replace("PORT", str(port)) for part in command]
    with (
        output.open("wb") as file,
        subprocess.Popen(filled, cwd=folder, env=environment, stdout=file, stderr=subprocess.STDOUT) as process,
    ):
        try:
            yield Program(process, port, output)
        finally:
            process.kill()


def program(name: str) -> list[str]:
    return [sys.executable, str(PROGRAMS / f"{name}.py"), "PORT"]


def served(name: str) -> list[str]:
    return [*UVICORN, f"{name}:app", "--port", "PORT"]


REMINDERS = [
    pytest.param(program("flask_reminders"), 0, id="flask"),
    pytest.param(served("fastapi_reminders"), -signal.SIGTERM, id="fastapi"),  # uvicorn hands the signal on at the end
    pytest.param(served("fastapi_asyncio_reminders"), -signal.SIGTERM, id="fastapi-asyncio"),
    pytest.param(served("starlette_reminders"), -signal.SIGTERM, id="starlette"),
    pytest.param(served("litestar_reminders"), -signal.SIGTERM, id="litestar"),
    pytest.param(program("tornado_reminders"), 0, id="tornado"),
    pytest.param(program("twisted_reminders"), 0, id="twisted"),
    pytest.param(program("gevent_reminders"), 0, id="gevent"),
]


@pytest.mark.parametrize(("command", "code"), REMINDERS)
def test_a_job_that_comes_by_http_runs_and_sigterm_ends_it_all(command: list[str], code: int, tmp_path: Path) -> None:
    with running(tmp_path, *command) as shown:
        shown.wait_until(shown.is_listening)

        status, added = shown.ask("POST", {"text": "tea", "at": "2026-01-01T16:00:00+01:00"})
        shown.ask("POST", {"text": "supper", "at": "2099-01-01T19:00:00+01:00"})

        assert (status, list(added)) == (201, ["id"])
        expected = {"waiting": ["supper"], "reminded": ["It is time for tea."]}
        shown.wait_until(lambda: shown.ask("GET") == (200, expected))
        assert shown.end() == code, shown.text()
    assert "Traceback" not in shown.text()
    assert "Warning" not in shown.text()


def test_jobs_in_a_file_outlive_the_program(tmp_path: Path) -> None:
    with running(tmp_path, *program("flask_reminders")) as first:
        first.wait_until(first.is_listening)
        first.ask("POST", {"text": "supper", "at": "2099-01-01T19:00:00+01:00"})
        first.end()
    with closing(sqlite3.connect(tmp_path / "reminders.sqlite")) as connection:
        assert connection.execute("SELECT * FROM apsched_nodes").fetchall() == []  # it has taken leave

    with running(tmp_path, *program("flask_reminders")) as second:
        second.wait_until(second.is_listening)

        assert second.ask("GET") == (200, {"waiting": ["supper"], "reminded": []})
        second.end()


def test_two_workers_share_the_jobs_in_a_file(tmp_path: Path) -> None:
    with running(tmp_path, *served("fastapi_reminders"), "--workers", "2") as both:
        both.wait_until(lambda: both.text().count("Application startup complete") == 2)

        for number in range(20):
            both.ask("POST", {"text": f"cup {number}", "at": "2026-01-01T16:00:00+01:00"})

        both.wait_until(lambda: len(both.ask("GET")[1]["reminded"]) == 20)
        both.end()
    assert "worker processes" not in both.text()
    with closing(sqlite3.connect(tmp_path / "reminders.sqlite")) as connection:
        assert connection.execute("SELECT count(*), sum(outcome = 'succeeded') FROM apsched_runs").fetchone() == (
            20,
            20,
        )


def test_two_workers_with_jobs_in_memory_say_so_once_each(tmp_path: Path) -> None:
    with running(tmp_path, *served("fastapi_asyncio_reminders"), "--workers", "2") as both:
        both.wait_until(lambda: both.text().count("Application startup complete") == 2)
        both.end()

    warnings = re.findall(r"this is one of (\d+) worker processes, and each .* up to (\d+) times in all", both.text())
    assert warnings == [("2", "2"), ("2", "2")]


def test_a_qt_program_runs_jobs_in_its_interface_and_in_threads(tmp_path: Path) -> None:
    with running(tmp_path, *program("qt_clock")) as clock:
        clock.wait_until(lambda: clock.text().count("ticks were fetched, the label says 'tick ") >= 3)

        assert clock.end() == 0, clock.text()
    assert "Traceback" not in clock.text()
