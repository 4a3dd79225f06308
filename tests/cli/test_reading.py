"""Commands that only read."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import anyio
import anyio.to_thread
import attrs
import pytest

import apsched
from apsched import AsyncScheduler
from apsched.cli.show_job import why
from apsched.cli.stores import make_store
from apsched.run import Outcome, Run
from tests.cli.conftest import Shell, fill


def test_jobs_are_listed_in_words_with_the_next_one_first(store: str, shell: Shell) -> None:
    done = shell("list")

    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0].split() == ["job", "when", "next", "run"]
    assert {line.split()[0] for line in lines[1:3]} == {"nightly", "weekly"}
    assert any(line.startswith("nightly  at 03:00 on Monday to Friday") for line in lines)
    assert lines[3].split()[0] == "resting"
    assert lines[3].endswith("paused")
    assert lines[-1] == "3 jobs. Times are of UTC."


def test_a_list_can_be_limited_by_tags_and_be_json(store: str, shell: Shell) -> None:
    done = shell("list", "--tag", "team=billing", "--json")

    (job,) = done.json["jobs"]
    assert (job["id"], job["func"], job["state"]) == ("nightly", "tests.cli.jobs:ok", "scheduled")
    assert job["trigger_words"] == "at 03:00 on Monday to Friday"
    assert (job["args"], job["kwargs"], job["tags"]) == ([7], {}, {"team": "billing"})


def test_tables_fit_the_terminal(store: str, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    for command in (["list"], ["runs"], ["show", "weekly"], ["simulate"]):
        assert max(map(len, shell(*command).out.splitlines())) <= 80


def test_a_job_is_shown_with_its_next_times_and_last_runs(store: str, shell: Shell) -> None:
    done = shell("show", "weekly", "--next", "2")

    assert done.code == 0
    assert "calls" in done.out
    assert "tests.cli.jobs:bad" in done.out
    assert "every 7 days" in done.out
    assert "ValueError: no \\x1b[31mway" in done.out  # and the terminal stays as it is
    document = shell("show", "nightly", "--json").json
    assert len(document["next_times"]) == 5
    assert [run["retval"] for run in document["runs"]] == [7]


def test_a_nominal_time_is_explained(store: str, shell: Shell) -> None:
    done = shell("show", "nightly", "--at", "2026-03-01 03:00")

    assert done.code == 0
    assert "2026-03-01 03:00:00+00:00 is no nominal time of the trigger" in done.out
    assert shell("show", "gone", "--at", "2026-03-01 03:00").out.startswith("There is no job 'gone'")


def test_runs_are_listed_latest_first_and_say_why(store: str, shell: Shell) -> None:
    runs = shell("runs", "--json").json["runs"]

    assert [(run["job_id"], run["outcome"]) for run in runs] == [("weekly", "failed"), ("nightly", "succeeded")]
    assert "ValueError" in runs[0]["error"]
    assert [run["job_id"] for run in shell("runs", "nightly", "--json").json["runs"]] == ["nightly"]
    assert shell("runs", "--outcome", "missed").out == "There are no such runs.\n"
    assert shell("runs", "--until", "2020-01-01", "--json").json == {"runs": []}
    assert "Traceback (most recent call last)" in shell("runs", "--since", "-1d", "--errors").out
    assert shell("runs", "nightly", "--ids").out.startswith("nightly@")


def test_a_run_says_how_many_nominal_times_it_stands_for() -> None:
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    run = Run(job_id="job", nominal_time=moment, due_time=moment, outcome=Outcome.MISSED, reason="it was late")

    assert why(run) == "it was late"
    assert why(attrs.evolve(run, count=4)) == "4 times: it was late"
    assert why(attrs.evolve(run, count=None)) == "more than 1,000 times: it was late"


def test_reading_changes_nothing_and_joins_as_no_node(store: str, shell: Shell) -> None:
    before = shell("list", "--json").out

    assert shell("nodes").out == "There are no nodes: nobody runs these jobs now.\n"
    for command in (["show", "nightly"], ["runs"], ["simulate"], ["next", "nightly"], ["tail", "--seconds", "0"]):
        assert shell(*command).code == 0
    assert shell("nodes", "--json").json == {"nodes": []}
    assert shell("list", "--json").out == before


def test_nodes_are_listed_while_they_work(postgresql_database: str, shell: Shell) -> None:
    async def main() -> list[str]:
        async with AsyncScheduler(jobstores={"default": make_store(postgresql_database)}) as scheduler:
            done = await anyio.to_thread.run_sync(shell, "nodes", "--store", postgresql_database, "--json")
            return [scheduler.node, *(node["id"] for node in done.json["nodes"] if not node["is_dead"])]

    node, *listed = anyio.run(main)
    assert listed == [node]


def test_jobs_in_postgresql_are_listed(postgresql_database: str, shell: Shell) -> None:
    fill(postgresql_database)

    done = shell("list", "--store", postgresql_database, "--json")

    assert {job["id"] for job in done.json["jobs"]} == {"nightly", "weekly", "resting"}
    assert shell("trigger", "nightly", "--store", postgresql_database).code == 0
    assert shell("runs", "--outcome", "pending", "--ids", "--store", postgresql_database).out.startswith("nightly@")


def test_the_nearest_setting_wins(store: str, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text(f'[tool.apsched]\nstore = "{store}"\ntimezone = "Asia/Tokyo"\n')
    monkeypatch.delenv("APSCHED_TIMEZONE")
    assert "Asia/Tokyo (JST)" in shell("list").out
    monkeypatch.delenv("APSCHED_STORE")
    assert "3 jobs" in shell("list").out
    (tmp_path / "apsched.toml").write_text('store = "sqlite:///none.db"\n')
    assert "there is no job store 'none.db'" in shell("list").err
    monkeypatch.setenv("APSCHED_STORE", "sqlite:///other.db")
    assert "there is no job store 'other.db'" in shell("list").err
    assert "3 jobs" in shell("list", "--store", store).out


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('stroe = "sqlite:///jobs.db"', "apsched.toml has no setting 'stroe'; there are: store, table"),
        ("store = 3", "store in apsched.toml must be text, got 3"),
        ("store", "apsched.toml cannot be read"),
    ],
)
def test_a_bad_file_of_settings_is_told(text: str, problem: str, shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "apsched.toml").write_text(text)

    done = shell("list")

    assert done.code == 1
    assert problem in done.err


@pytest.mark.parametrize(("text", "name"), [("tool = 3", "tool"), ('tool.apsched = "x"', "apsched")])
def test_what_should_be_a_table_of_settings_and_is_none_is_told(
    text: str, name: str, shell: Shell, tmp_path: Path
) -> None:
    (tmp_path / "pyproject.toml").write_text(text)

    done = shell("list")

    assert (done.code, f"{name} in pyproject.toml must be a table" in done.err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["list"], 2, "no job store is named; give --store URL, set APSCHED_STORE, or write store = 'URL'"),
        (["list", "--store", "jobs.db"], 1, "a job store must be given by a URL"),
        (["list", "--store", "sqlite:///none.db"], 1, "there is no job store 'none.db'"),
        (["list", "--store", "postgresql://localhost:1/x"], 1, "cannot be used"),
        (["list", "--store", "redis://localhost:1"], 1, "cannot be reached"),
        (["list", "--timezone", "Moon/Sea", "--store", "redis://localhost:1"], 1, "Moon/Sea"),
        (["next", "nope"], 2, "'nope' is no schedule"),
        (["next", "61 * * * *"], 1, "higher than the maximum"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(arguments: list[str], code: int, problem: str, shell: Shell) -> None:
    done = shell(*arguments)

    assert done.code == code
    assert problem in done.err
    assert done.out == ""


def test_what_is_wrong_beside_the_store_is_said_too(store: str, shell: Shell) -> None:
    assert "--since must be text of the form" in shell("runs", "--since", "yesterday").err
    assert shell("list", "--tag", "x").code == 2
    assert shell("show", "nope").err == "apsched: No job by the id of nope was found\n"


def test_every_command_has_a_help_text_with_what_it_does(shell: Shell) -> None:
    commands = [line.split()[0] for line in shell("--help").out.partition("Commands:")[2].splitlines() if line]

    assert commands[:4] == ["list", "show", "runs", "next"]
    for name in commands:
        if name != "demo":  # whose help is that of the demo
            done = shell(name, "--help")
            assert done.code == 0
            assert f"Usage: apsched {name}" in done.out
            assert name == "import" or f"  apsched {name}" in done.out


def test_the_version_is_told(shell: Shell) -> None:
    assert shell("--version").out == f"apsched {apsched.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (("pasue",), 2, "No such command 'pasue'; did you mean 'pause'?"),
        (("list", "--store", "foo://user:secret@host"), 1, "redis://, rediss://, unix://, mongodb://, got 'foo://...'"),
        (("next", "* * *"), 1, "'* * *' is no schedule, such as '0 3 * * *' or 'every 5 minutes', nor the id of a job"),
        (("add", "--from", "none.json"), 1, "apsched: none.json: No such file or directory"),
        (
            ("runs", "--since", "yesterday"),
            1,
            "; now, -2h and +1d are understood too",
        ),
    ],
)
def test_what_is_wrong_is_said_in_the_words_of_the_command_line(
    arguments: tuple[str, ...], code: int, problem: str, store: str, shell: Shell
) -> None:
    done = shell(*arguments)

    assert done.code == code
    assert problem in done.err
