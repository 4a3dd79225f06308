"""The demo runs as a program of its own and leaves what it promises."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from apsched.demo.schedule import make_trigger, read_schedule
from apsched.triggers.combining import AndTrigger
from apsched.triggers.cron import CronTrigger
from apsched.triggers.interval import IntervalTrigger

pytestmark = pytest.mark.slow


def demo(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "apsched.demo", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


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


def test_a_temporary_folder_is_gone_at_the_end() -> None:
    done = demo("--seconds", "1")

    folder = Path(done.stdout.split("Schedule: ")[1].splitlines()[0]).parent
    assert not folder.exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_an_interrupt_ends_it_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-u", "-m", "apsched.demo", "--seconds", "60", "--folder", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while "running" not in process.stdout.readline():
            pass
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
