"""Completion in shells, as `docs/cli.md` says to switch it on."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from apsched.cli import completion
from apsched.cli.app import app
from tests.cli.conftest import Shell

pytestmark = pytest.mark.usefixtures("patience")


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the store answer late, as it does on a busy machine."""
    monkeypatch.setattr(completion, "PATIENCE", 60.0)


def offered(line: str) -> dict[str, str | None]:
    """Return what is offered when *line* has been typed and the Tab key comes: words, with what is said of each."""
    *words, last = line.split(" ")
    items = ShellComplete(app, {}, words[0], "_APSCHED_COMPLETE").get_completions(words[1:], last)
    return {item.value: item.help for item in items}


def test_the_ids_of_jobs_and_open_runs_are_completed(store: str, shell: Shell) -> None:
    (run,) = shell("trigger", "weekly", "--json").json["runs"]

    assert offered("apsched show ni") == {"nightly": "at 03:00 on Monday to Friday"}
    assert offered("apsched next we") == {"weekly": "every 7 days"}
    assert offered("apsched cancel ") == {run["id"]: None}


def test_where_there_is_no_store_nothing_is_completed_and_nothing_said(
    shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    assert offered("apsched show ") == {}
    assert offered("apsched show --store sqlite:///none.db ") == {}
    assert capsys.readouterr() == ("", "")


def test_logs_are_on_again_after_a_completion(store: str) -> None:
    offered("apsched show ")

    assert logging.getLogger("apsched").isEnabledFor(logging.ERROR)


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_when_the_line_of_the_documentation_is_in_its_start_up_file() -> None:
    line = 'eval "$(_APSCHED_COMPLETE=bash_source apsched)"'
    assert line in (Path(__file__).resolve().parents[2] / "docs/cli.md").read_text(encoding="utf-8")
    typed = "COMP_WORDS=(apsched si); COMP_CWORD=1; _apsched_completion apsched; echo ${COMPREPLY[@]}"
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))

    done = subprocess.run(
        ["bash", "--norc", "-c", f"{line}; {typed}"],  # noqa: S607
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout, done.stderr) == ("simulate\n", "")
