"""Commands that change a store, and those that run what is in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from apsched.cli import simulate
from tests.cli.conftest import Shell

ROOT = Path(__file__).resolve().parents[2]
SCHEDULE = """
[tick]
func = "tests.cli.jobs:ok"
trigger = { type = "interval", seconds = 1 }

[nightly]
func = "tests.cli.jobs:ok"
trigger = { type = "cron", hour = 3 }
"""


def states(shell: Shell) -> dict[str, str]:
    return {job["id"]: job["state"] for job in shell("list", "--json").json["jobs"]}


def test_jobs_are_paused_and_resumed(store: str, shell: Shell) -> None:
    assert shell("pause", "nightly").out == "nightly is paused.\n"
    assert states(shell) == {"nightly": "paused", "weekly": "scheduled", "resting": "paused"}
    before = shell("show", "weekly", "--json").json["job"]
    done = shell("resume", "--all", "--json")
    assert {job["id"]: job["state"] for job in done.json["jobs"]} == dict.fromkeys(states(shell), "scheduled")
    assert shell("show", "weekly", "--json").json["job"] == before  # it was not paused


def test_what_works_is_done_though_something_else_does_not(store: str, shell: Shell) -> None:
    done = shell("pause", "nope", "nightly")

    assert (done.code, done.out) == (3, "nightly is paused.\n")
    assert done.err == "apsched: No job by the id of nope was found\n"
    assert shell("pause", "nope").code == 1
    assert shell("pause").code == shell("pause", "nightly", "--all").code == 2
    document = shell("remove", "nope", "nightly", "--json").json
    assert document["jobs"] == [{"id": "nightly"}]
    assert [refused["id"] for refused in document["refused"]] == ["nope"]


def test_a_removed_job_keeps_its_history(store: str, shell: Shell) -> None:
    assert shell("remove", "nightly").out == "nightly is removed.\n"
    assert "nightly" not in states(shell)
    assert len(shell("runs", "nightly", "--json").json["runs"]) == 1


def test_a_run_is_queued_and_can_be_cancelled(store: str, shell: Shell) -> None:
    (run,) = shell("trigger", "nightly", "--json").json["runs"]
    assert (run["outcome"], run["is_manual"]) == ("pending", True)
    assert shell("runs", "--outcome", "pending", "--ids").out == f"{run['id']}\n"

    assert shell("cancel", run["id"]).out == f"{run['id']} is cancelled.\n"

    again = shell("cancel", run["id"])
    assert again.code == 1
    assert "with the outcome 'cancelled' (cancelled by hand)" in again.err
    assert shell("cancel", "nightly@2020-01-01T00:00:00Z").code == shell("cancel", "nightly").code == 1
    assert shell("trigger", "nope").code == 1


def test_a_job_is_added_and_runs_nothing(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APSCHED_STORE", f"sqlite:///{tmp_path / 'new.db'}")
    options = ("--args", "[7]", "--tag", "a=b", "--grace", "5m", "--timeout", "1h", "--overlap", "queue_one")
    assert shell("add", "tests.cli.jobs:ok", "0 3 * * mon-fri", "--id", "one", *options).code == 0

    job = shell("show", "one", "--json").json["job"]
    assert (job["args"], job["tags"], job["trigger_words"]) == ([7], {"a": "b"}, "at 03:00 on Monday to Friday")
    assert (job["misfire_grace_time"], job["timeout"], job["overlap"]) == (300.0, 3600.0, "queue_one")
    again = shell("add", "tests.cli.jobs:ok", "5m", "--id", "one")
    assert (again.code, again.err) == (
        1,
        "apsched: there is a job 'one' already; choose another --id, or give --replace\n",
    )
    assert shell("add", "tests.cli.jobs:ok", "5m", "--id", "one", "--replace").code == 0
    assert states(shell) == {"one": "scheduled"}
    assert shell("add", "tests.cli.jobs:ok", "5m", "--id", "one", "--replace", "--paused").out == "one is paused.\n"
    assert shell("add", "tests.cli.jobs:ok", "--at", "+10m", "--id", "two", "--paused").out == "two is paused.\n"
    assert states(shell) == {"one": "paused", "two": "paused"}
    assert shell("nodes", "--json").json == {"nodes": []}
    assert shell("runs", "--json").json == {"runs": []}


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        ((), 2, "give MODULE:FUNCTION and when it runs, or --from FILE"),
        (("tests.cli.jobs:ok",), 2, "give one of SCHEDULE, --at TIME and --after JOB"),
        (("tests.cli.jobs:ok", "sometimes"), 2, "'sometimes' is no schedule"),
        (("tests.cli.jobs:nope", "5m"), 1, "'tests.cli.jobs' has no 'nope'"),
        (("tests.cli.jobs:ok", "5m", "--args", "[1, 2]"), 1, "must fit its signature"),
        (("tests.cli.jobs:ok", "5m", "--args", "{}"), 2, "--args must be a JSON list"),
        (("tests.cli.jobs:ok", "5m", "--kwargs", "x"), 2, "--kwargs must be JSON"),
        (("tests.cli.jobs:ok", "0 0 30 2 *"), 1, "must have a time to come, got cron"),
        (("--from", "none.json"), 1, "none.json"),
    ],
)
def test_a_job_that_is_wrong_is_not_added(
    arguments: tuple[str, ...], code: int, problem: str, store: str, shell: Shell
) -> None:
    done = shell("add", *arguments)

    assert done.code == code
    assert problem in done.err
    assert len(states(shell)) == 3


def test_exported_jobs_can_be_added_elsewhere(store: str, shell: Shell, tmp_path: Path) -> None:
    assert shell("export", "--out", "jobs.json").code == 0
    assert [job["id"] for job in json.loads(shell("export", "nightly").out)["jobs"]] == ["nightly"]
    before = shell("list", "--json").out

    other = f"sqlite:///{tmp_path / 'other.db'}"
    assert shell("add", "--from", "jobs.json", "--store", other).code == 0

    assert shell("list", "--json", "--store", other).out == before
    assert shell("add", "--from", "jobs.json", "--store", other).code == 1
    assert shell("add", "--from", "jobs.json", "--replace", "--store", other).code == 0


def test_a_schedule_is_simulated_and_nothing_runs(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "schedule.toml").write_text(SCHEDULE)
    hours = ("--from", "2030-01-01 02:00", "--to", "2030-01-01 04:00")

    document = shell("simulate", "schedule.toml", "--json", *hours).json
    assert {job["id"]: job["runs"] for job in document["jobs"]} == {"tick": 7200, "nightly": 1}
    assert document["total"] == 7201
    assert document["hours"][1] == {"hour": "2030-01-01T03:00:00+00:00", "runs": 3601}
    text = shell("simulate", "schedule.toml", *hours).out
    assert "7201 runs. Most begin at 2030-01-01 03:00:00: 2." in text
    assert shell("simulate", "schedule.toml", "--to", "-1d").code == 2
    monkeypatch.setattr(simulate, "LIMIT", 100)
    assert "more than 100 runs would come" in shell("simulate", "schedule.toml", *hours).err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["schedule.toml"]


def test_the_jobs_of_a_store_are_simulated_but_for_paused_ones(store: str, shell: Shell) -> None:
    document = shell("simulate", "--from", "2030-01-07", "--to", "2030-01-14", "--json").json

    assert {job["id"]: job["runs"] for job in document["jobs"]} == {"nightly": 5, "weekly": 1, "resting": 0}


def test_runs_are_followed(store: str, shell: Shell) -> None:
    done = shell("tail", "--seconds", "0.3", "--every", "0.1", "--json")

    runs = [json.loads(line) for line in done.out.splitlines()]
    assert [(run["job_id"], run["outcome"]) for run in runs] == [("nightly", "succeeded"), ("weekly", "failed")]
    assert "ValueError: no \\x1b[31mway" in shell("tail", "weekly", "--seconds", "0.1").out


def test_a_scheduler_of_a_module_is_served(shell: Shell) -> None:
    assert shell("run", "tests.cli.jobs:make_scheduler").code == 0  # its job stops it
    done = shell("run", "tests.cli.jobs:SCHEDULER")
    assert (done.code, done.out) == (1, "")
    assert "has no 'SCHEDULER'" in done.err
    assert "must be an AsyncScheduler" in shell("run", "tests.cli.jobs:ok").err


def test_a_schedule_file_is_served_until_a_signal(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "schedule.toml").write_text(SCHEDULE)
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    command = [sys.executable, "-u", "-m", "apsched.cli", "run", "schedule.toml", "--store", url]

    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(3)]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0

    assert said == ["added tick\n", "added nightly\n", "2 jobs of schedule.toml are served.\n"]
    listed = shell("list", "--store", url, "--json").json["jobs"]
    assert [(job["id"], job["state"]) for job in listed] == [("tick", "scheduled"), ("nightly", "scheduled")]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x = 3", "a schedule file must hold tables, one for each job, got x = 3"),
        ("[x]\ntrigger = {type = 'date'}", "the table of job 'x' must have a func"),
        ("[x]\nfunc = 'os:getcwd'\ntrigger = 'daily'", "a trigger must be a table such as"),
        ("[x]\nfunc = 'os:getcwd'\ntrigger = {type = 'cron', huor = 3}", "trigger 'cron' has no argument 'huor'"),
        ("[x", "schedule.toml is no schedule file"),
    ],
)
def test_a_bad_schedule_file_is_told(text: str, problem: str, shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "schedule.toml").write_text(text)

    for command in ("run", "simulate"):
        done = shell(command, "schedule.toml")
        assert done.code == 1
        assert problem in done.err


def test_the_demo_takes_its_own_options(shell: Shell) -> None:
    with pytest.raises(SystemExit):
        shell("demo", "--help")


def test_what_has_no_record_is_made_up_for_by_the_nodes_of_the_store(store: str, shell: Shell, tmp_path: Path) -> None:
    times = ("--from", "2026-11-02", "--to", "2026-11-05")
    told = shell("backfill", "nightly", *times, "--dry-run")
    assert told.out.splitlines() == [
        "3 nominal times; those that have a record are left as they are.",
        *(f"2026-11-0{day} 03:00:00" for day in (2, 3, 4)),
    ]

    done = shell("backfill", "nightly", *times)
    assert (done.code, done.out) == (1, "")
    assert "no node of the job store gives signs of life" in done.err

    (tmp_path / "schedule.toml").write_text(SCHEDULE)
    command = [sys.executable, "-u", "-m", "apsched.cli", "run", "schedule.toml", "--store", store]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=environment) as node:
        try:
            assert node.stdout is not None
            while "served" not in node.stdout.readline():
                pass
            done = shell("backfill", "nightly", *times, "--parallel", "2")
            again = shell("backfill", "nightly", *times, "--json").json
        finally:
            node.send_signal(signal.SIGTERM)

    assert (done.code, done.out) == (0, "3 runs made up for: 3 succeeded; 0 had a record.\n")
    assert (again["recorded"], again["outcomes"], again["failed"]) == (3, {}, [])
    runs = shell("runs", "nightly", "--until", "2026-11-06", "--json").json["runs"]
    assert [run["nominal_time"][:10] for run in runs] == ["2026-11-04", "2026-11-03", "2026-11-02"]


def test_a_backfill_of_the_future_is_refused(store: str, shell: Shell) -> None:
    done = shell("backfill", "nightly", "--from", "now", "--to", "+2d")

    assert (done.code, done.out) == (1, "")
    assert "end of a backfill must not be after now" in done.err


def test_a_job_that_follows_another_one_and_is_attempted_again_is_added_and_shown(store: str, shell: Shell) -> None:
    options = ("--after", "nightly", "--on", "failure", "--attempts", "5", "--backoff", "1m", "--id", "mail")

    added = shell("add", "tests.cli.jobs:ok", *options)
    shown = shell("show", "mail").out
    listed = shell("list").out.splitlines()

    assert added.out == "mail waits for job nightly.\n"
    assert "when job nightly has failed" in shown
    assert "5, after 60 s and then 2 times as long each" in shown
    assert [line.split()[-1] for line in listed if line.startswith("mail")] == ["waiting"]
    assert "9999" not in shown + added.out + "".join(listed)
    assert shell("show", "mail", "--json").json["job"]["retry"]["max_attempts"] == 5
    shell("pause", "mail")
    assert shell("resume", "mail").out == "mail waits for job nightly.\n"
    assert shell("add", "tests.cli.jobs:ok", "5m", "--backoff", "1m").code == 2
