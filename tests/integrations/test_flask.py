"""Flask: jobs in the application context, the configuration, and one scheduler for a program and its reloader."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, current_app, g

from apsched.exceptions import SchedulerAlreadyRunningError
from apsched.integrations.flask import APSched
from apsched.run import Run

PROGRAMS = Path(__file__).parent.parent / "programs"
PATIENCE = 30.0  # seconds


def greet(name: str = "nobody") -> str:
    g.name = name  # there is a context to keep it
    return f"{current_app.name} greets {name}"


async def greet_later(name: str) -> str:
    return greet(name)


@contextmanager
def started(config: Mapping[str, Any], **options: Any) -> Generator[APSched]:
    """Give a scheduler of a program with that configuration, while it runs."""
    app = Flask("shop")
    app.config.from_mapping(config)
    scheduler = APSched(app, **options)
    scheduler.start()
    try:
        yield scheduler
    finally:
        scheduler.shutdown()


def test_jobs_of_the_configuration_run_in_the_application_context() -> None:
    jobs = [
        {"id": "plain", "func": greet, "args": ["Ann"], "trigger": "interval", "weeks": 1},
        {"id": "later", "func": greet_later, "args": ["Bob"], "trigger": {"type": "interval", "weeks": 1}},
        {"id": "named", "func": f"{__name__}:greet", "trigger": {"type": "cron", "hour": 3}},
    ]
    with started({"JOBS": jobs}) as scheduler:
        results = [scheduler.run_job(job_id).result() for job_id in ("plain", "later", "named")]

    assert results == ["shop greets Ann", "shop greets Bob", "shop greets nobody"]


def test_keys_of_the_configuration_are_options_of_the_scheduler(tmp_path: Path) -> None:
    config = {
        "SCHEDULER_JOBSTORES": {"default": {"type": "sqlalchemy", "url": f"sqlite:///{tmp_path}/jobs.db"}},
        "SCHEDULER_EXECUTORS": {"default": {"type": "threadpool", "max_workers": 3}},
        "SCHEDULER_JOB_DEFAULTS": {"max_instances": 4},
        "SCHEDULER_TIMEZONE": "Asia/Tokyo",
    }
    with started(config, timezone="UTC") as scheduler:
        job = scheduler.add_job(greet, "interval", weeks=1, id="greet")

        assert (str(scheduler.timezone), job.max_instances) == ("Asia/Tokyo", 4)
        assert scheduler.health().executors["default"].capacity == 3
        assert (tmp_path / "jobs.db").exists()
        assert scheduler.app is not None
        with scheduler.app.app_context():
            assert current_app.extensions["apsched"] is vars(current_app)["apscheduler"] is scheduler
        with pytest.raises(SchedulerAlreadyRunningError, match="configure"):
            scheduler.init_app(scheduler.app)


def test_middleware_is_called_within_the_application_context_and_before_an_application_too() -> None:
    seen: list[str] = []

    async def note(run: Run, call_next: Any) -> Any:
        seen.append(run.job_id)
        return await call_next()

    scheduler = APSched(middleware=[note])
    scheduler.task("interval", id="add", weeks=1, args=[[]])(sum)
    scheduler.start()
    assert scheduler.run_job("add", args=[[1, 2]]).result() == 3
    scheduler.shutdown()
    assert seen == ["add"]


def test_a_key_of_something_that_is_not_here_warns() -> None:
    app = Flask("shop")
    app.config["SCHEDULER_API_ENABLED"] = True

    with pytest.warns(UserWarning, match="SCHEDULER_API_ENABLED has no effect"):
        APSched(app)


def test_the_command_jobs_lists_what_is_in_the_store(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    with started({"SCHEDULER_JOBSTORES": {"default": {"type": "sqlalchemy", "url": url}}}) as scheduler:
        scheduler.add_job(greet, "cron", hour=3, id="nightly")
    assert scheduler.app is not None
    shell = scheduler.app.test_cli_runner()

    listed = shell.invoke(args=["jobs", "list", "--json"])
    assert [job["id"] for job in json.loads(listed.output)["jobs"]] == ["nightly"]
    assert shell.invoke(args=["jobs", "trigger", "nope"]).exit_code == 1
    assert "Usage: flask jobs" in shell.invoke(args=["jobs"]).output
    assert "nightly" in shell.invoke(args=["jobs", "list", "--store", url]).output


def test_the_command_jobs_finds_none_that_live_in_memory() -> None:
    app = Flask("shop")
    APSched(app)

    done = app.test_cli_runner().invoke(args=["jobs", "list"])

    assert (done.exit_code, "name a store in SCHEDULER_JOBSTORES" in done.output) == (1, True)


# programs in processes of their own


@contextmanager
def serving(folder: Path, *command: str) -> Generator[tuple[subprocess.Popen[bytes], int]]:
    """Run a program that serves on a port of its own; `PORT` stands for that."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    stores = {"default": {"type": "sqlalchemy", "url": "sqlite:///stock.sqlite", "timeout": PATIENCE}}
    environment = {**os.environ, "PYTHONPATH": str(PROGRAMS), "FLASK_SCHEDULER_JOBSTORES": json.dumps(stores)}
    with (
        (folder / "output.txt").open("wb") as file,
        subprocess.Popen(
            [sys.executable, *(part.replace("PORT", str(port)) for part in command)],
            cwd=folder,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            yield process, port
        finally:
            process.send_signal(signal.SIGTERM)  # which ends the process that serves, too


def ask(port: int, method: str, path: str) -> Any:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        connection.request(method, path)
        response = connection.getresponse()
        text = response.read().decode()
        assert response.status in (200, 201), text
        return json.loads(text)


def wait_until_it_serves(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, (folder / "output.txt").read_text()
        assert time.monotonic() < deadline, (folder / "output.txt").read_text()
        time.sleep(0.02)


def nodes(folder: Path) -> list[int]:
    """Return the process ids of the schedulers that work on the file."""
    with closing(sqlite3.connect(folder / "stock.sqlite")) as connection:
        return [int(node.split(":")[1]) for (node,) in connection.execute("SELECT id FROM apsched_nodes")]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM")
@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["-m", "flask", "--app", "flask_stock", "run", "--debug", "--port", "PORT"], id="flask run"),
        pytest.param([str(PROGRAMS / "flask_stock.py"), "PORT"], id="app.run"),
    ],
)
def test_with_the_reloader_the_scheduler_runs_in_the_process_that_serves_and_there_alone(
    command: list[str], tmp_path: Path
) -> None:
    for _ in range(2):  # the second time, the jobs of the code are in the store
        with serving(tmp_path, *command) as (process, port):
            wait_until_it_serves(port, process, tmp_path)

            ask(port, "POST", "/orders/7")
            deadline = time.monotonic() + PATIENCE
            while not (orders := ask(port, "GET", "/orders")):
                assert time.monotonic() < deadline
                time.sleep(0.02)

            assert orders[0] == "7 of flask_stock is ordered"
            assert process.pid not in nodes(tmp_path)
            assert "Traceback" not in (tmp_path / "output.txt").read_text()
        with closing(sqlite3.connect(tmp_path / "stock.sqlite")) as connection, connection:
            connection.execute("DELETE FROM apsched_nodes")
            connection.execute("DELETE FROM apsched_runs")


@pytest.mark.slow
def test_a_command_of_the_program_starts_no_scheduler(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "flask_stock", "jobs", "list", "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROGRAMS)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, json.loads(done.stdout)) == (0, {"jobs": []})
    assert nodes(tmp_path) == []
