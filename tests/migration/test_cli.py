"""The command `apsched import`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from apsched.cli.app import run
from tests.migration.recorded import EXPORT, jobs_of, state_of, write_table

NEWEST = "3.11.3-protocol-5"


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A SQLite file with some jobs of APScheduler 3."""
    return write_table(tmp_path / "jobs.db", {job_id: state_of(NEWEST, job_id) for job_id in ("paused", "missing")})


def test_it_imports_beside_the_old_jobs_and_says_what_it_did(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["import", "--from", url])

    out = capsys.readouterr().out
    assert code == 0
    assert "2 jobs found: 2 added." in out
    assert "paused   interval[1:00:00]  paused" in out
    assert "missing: its callable is not found here" in out
    assert run(["import", "--from", url]) == 0
    assert "2 jobs found: 2 kept." in capsys.readouterr().out
    assert run(["import", "--from", url, "--replace"]) == 0
    assert "2 jobs found: 2 replaced." in capsys.readouterr().out


def test_a_dry_run_says_that_it_is_one(url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code = run(["import", "--from", url, "--to", f"sqlite:///{tmp_path / 'new.db'}", "--dry-run", "--no-imports"])

    out = capsys.readouterr().out
    assert code == 0
    assert "Nothing was changed" in out
    assert "callable is not found" not in out
    assert not (tmp_path / "new.db").exists()


def test_it_prints_json(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["import", "--from", url, "--json"])

    document = json.loads(capsys.readouterr().out)
    assert code == 0
    assert document["dry_run"] is False
    assert [(job["id"], job["fate"], job["next_run_time"]) for job in document["jobs"]] == [
        ("missing", "added", jobs_of(NEWEST)["missing"]["times"][0]),
        ("paused", "added", None),
    ]


def test_jobs_that_are_refused_make_the_exit_code_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = write_table(tmp_path / "jobs.db", {"\x1b[31mbad": b"cos\nsystem\n(S'true'\ntR."})

    code = run(["import", "--from", url])

    out = capsys.readouterr().out
    assert code == 3
    assert "\\x1b[31mbad: refused: it needs os.system" in out  # and the terminal stays as it is
    assert "1 jobs found: 1 refused." in out


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["import", "--from", "sqlite:///none.db"], 1, "apsched: there is no database 'none.db'"),
        (["import", "--from", "redis://localhost:1"], 1, "apsched: Redis at localhost:1 cannot be read"),
        (["import", "--from", "oracle://host/db"], 1, "apsched: url must begin with one of sqlite://"),
        (["import", "--from", str(EXPORT)], 2, "--to is needed where --from is a file"),
        (["import", "--from", str(EXPORT), "--to", "nothing"], 1, "apsched: a job store must be given by a URL"),
        (["import"], 2, "Missing option '--from'"),
        (["imprt"], 2, "No such command 'imprt'"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    arguments: list[str], code: int, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == code

    err = capsys.readouterr().err
    assert problem in err
    assert "Traceback" not in err


def test_help_lists_the_commands_and_their_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    assert "import" in capsys.readouterr().out
    assert run(["import", "-h"]) == 0
    assert "--dry-run" in capsys.readouterr().out


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_a_missing_extra_gives_the_command_to_install_it(missing: str) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None; from apsched.cli import main; " + (
        "sys.argv[1:] = ['backfill', 'job', '--from', '-1d']; sys.exit(main())"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("pip install 'apsched[cli]'\n")
    assert done.stderr.count("\n") == 1


def test_modules_in_the_present_folder_are_found(url: str, tmp_path: Path) -> None:
    (tmp_path / "no_such_module.py").write_text("def job(): pass\n")

    done = subprocess.run(
        [sys.executable, "-c", "import sys; from apsched.cli import main; sys.path.remove(''); sys.exit(main())",
         "import", "--from", url],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "callable is not found" not in done.stdout
