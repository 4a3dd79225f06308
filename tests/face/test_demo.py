"""The demo runs as a program of its own and leaves what it promises."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from apsched.engine.schedule_file import make_trigger, read_schedule
from apsched.triggers.combining import AndTrigger
from apsched.triggers.cron import CronTrigger
from apsched.triggers.interval import IntervalTrigger

pytestmark = pytest.mark.slow


ONE_JOB = """
[tidy]
func = "apsched.demo.jobs:tidy"
trigger = {type = "interval", seconds = 0.25}
"""


def demo(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "apsched.demo", *arguments],
        env={**os.environ, **environment},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def start_demo(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-u", "-m", "apsched.demo", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def query(folder: Path, statement: str, *values: str) -> list[tuple[object, ...]]:
    """Look into the store from without."""
    if not (folder / "jobs.sqlite").exists():
        return []
    with closing(sqlite3.connect(folder / "jobs.sqlite", timeout=20)) as connection, suppress(sqlite3.OperationalError):
        return connection.execute(statement, values).fetchall()
    return []  # there are no tables yet


def wait_for_run_under_way(folder: Path, job_id: str) -> None:
    deadline = time.monotonic() + 30
    statement = "SELECT 1 FROM apsched_runs WHERE job_id = ? AND outcome = 'running'"
    while not query(folder, statement, job_id):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def succeeded_runs(folder: Path) -> set[tuple[object, ...]]:
    statement = (
        "SELECT job_id, nominal_time, node, started_at, finished_at FROM apsched_runs WHERE outcome = 'succeeded'"
    )
    return set(query(folder, statement))


def test_it_works_on_real_files_and_shows_the_history(tmp_path: Path) -> None:
    folder = tmp_path / "work"

    done = demo("--seconds", "6", "--folder", str(folder))

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert (folder / "schedule.toml").is_file()
    assert (folder / "opened.txt").is_file()
    assert len(list((folder / "orders").rglob("*.csv"))) >= 2
    assert json.loads((folder / "summary.json").read_text())["requests"] > 0
    assert "All went as planned." in done.stdout
    assert "mirror       skipped    run mirror@" in done.stdout
    assert "Explained  explain('mirror', ...)" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("columns", [80, 120])
def test_no_line_is_wider_than_the_screen(columns: int, tmp_path: Path) -> None:
    done = demo("--seconds", "2", "--folder", str(tmp_path), COLUMNS=str(columns))

    own = [line for line in done.stdout.splitlines() if str(tmp_path) not in line]
    assert max(map(len, own)) <= columns


def test_a_schedule_that_is_there_is_kept_and_a_failure_is_told(tmp_path: Path) -> None:
    schedule = '[odd]\nfunc = "apsched.demo.jobs:tidy"\nexecutor = "nowhere"\ntrigger = {type = "date"}\n'
    (tmp_path / "schedule.toml").write_text(schedule)

    done = demo("--seconds", "1", "--folder", str(tmp_path))

    assert done.returncode == 1
    assert "nowhere" in done.stdout
    assert "Traceback" not in done.stderr


def test_it_works_in_the_current_folder_unless_told_otherwise(tmp_path: Path) -> None:
    done = demo("--seconds", "1", cwd=tmp_path)

    assert f"Job store: {(tmp_path / 'apsched-demo' / 'jobs.sqlite').resolve()}" in done.stdout
    assert "Nothing has run here yet." in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_killed_half_way_and_started_again_it_goes_on_where_it_was(tmp_path: Path) -> None:
    folder = str(tmp_path)
    with start_demo("--folder", folder) as killed:
        wait_for_run_under_way(tmp_path, "mirror")  # takes 3 seconds
        killed.kill()
        killed.communicate()
    before = succeeded_runs(tmp_path)

    done = demo("--seconds", "3", "--folder", folder)

    assert done.returncode == 0, done.stdout + done.stderr
    assert f":{killed.pid}:" in done.stdout.split("Did not shut down: ")[1].splitlines()[0]
    told = " ".join(done.stdout.split())  # lines break where the screen ends
    assert "mirror" in told.split("Under way then, and run again when that is certain: ")[1].split(".")[0]
    assert len(done.stdout.split("Starts on this store")[1].split("no node for")) == 2
    again = done.stdout.split("Under way when their node was killed, and run again")[1].split("\n\n")[0]
    assert "mirror       succeeded" in again
    assert before < succeeded_runs(tmp_path)  # none is lost, none is changed
    assert "All went as planned." in done.stdout


def test_a_fresh_start_forgets_what_earlier_ones_have_left_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "schedule.toml").write_text(ONE_JOB)

    kept = demo("--seconds", "1", "--folder", str(tmp_path), "--fresh")  # there has been no earlier one
    (tmp_path / "diary.txt").write_text("mine")
    anew = demo("--seconds", "1", "--folder", str(tmp_path), "--fresh")

    assert "measure " not in kept.stdout
    assert "Nothing has run here yet." in anew.stdout
    assert "measure " in anew.stdout
    assert (tmp_path / "diary.txt").read_text() == "mine"


def test_a_changed_schedule_changes_the_jobs(tmp_path: Path) -> None:
    (tmp_path / "schedule.toml").write_text(ONE_JOB)
    demo("--seconds", "1", "--folder", str(tmp_path))
    (tmp_path / "schedule.toml").write_text(ONE_JOB.replace("0.25", "0.4"))

    done = demo("--seconds", "1", "--folder", str(tmp_path))

    assert "Goes on from" in done.stdout
    assert "interval[0:00:00.4" in done.stdout
    assert done.returncode == 0, done.stdout


def test_a_store_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "jobs.sqlite").write_text("a letter to my aunt, of more than one hundred characters" * 20)

    done = demo("--seconds", "1", "--folder", str(tmp_path))

    assert done.returncode == 1
    assert f"The demo cannot run in {tmp_path}" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_an_interrupt_ends_it_at_once(tmp_path: Path) -> None:
    with start_demo("--seconds", "60", "--folder", str(tmp_path)) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "running" in line:
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)

    assert process.returncode == 130
    assert "Interrupted" in out
    assert "Traceback" not in err


def test_triggers_of_a_schedule_may_hold_others() -> None:
    second = {"type": "cron", "second": "*/2", "timezone": "UTC"}

    made = make_trigger({"type": "and", "triggers": [second, {**second, "second": "*/3"}], "exclude": second})

    assert isinstance(made, AndTrigger)
    assert made.triggers[0] == CronTrigger(second="*/2", timezone="UTC")


def test_a_trigger_of_an_unknown_type_is_refused() -> None:
    with pytest.raises(LookupError, match=r"the type of a trigger must be one of date, interval, .*, got 'crom'"):
        make_trigger({"type": "crom"})


def test_the_tables_of_a_schedule_are_jobs(tmp_path: Path) -> None:
    path = tmp_path / "schedule.toml"
    path.write_text('[one]\nfunc = "os:getcwd"\ncoalesce = false\ntrigger = {type = "interval", hours = 2}\n')

    (job,) = read_schedule(path, {"folder": "here"})

    assert job["id"] == job["name"] == "one"
    assert job["coalesce"] is False
    assert job["kwargs"] == {"folder": "here"}
    assert isinstance(job["trigger"], IntervalTrigger)
