"""The command `apsched dashboard`, in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import Shell, fill


@contextmanager
def dashboard(*arguments: str) -> Generator[str]:
    """Run the command until the end of the block, on a free port; give its address."""
    command = [sys.executable, "-m", "apsched.cli", "dashboard", "--port", "0", *arguments]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            address = re.search(r"http://\S+", process.stdout.readline())
            assert address is not None
            yield address[0]
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0


@pytest.mark.slow
def test_it_serves_a_store_to_this_machine_and_ends_at_ctrl_c(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    fill(url)
    with dashboard("--store", url, "--timezone", "UTC") as address:
        page = httpx.get(address).text
        assert "at 03:00 on Monday to Friday" in page
        assert "Times are of UTC." in page
        assert "Nobody works on this store now" in httpx.get(f"{address}nodes").text


@pytest.mark.slow
def test_where_others_can_come_it_asks_for_a_token_that_it_tells_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    fill(url)
    with dashboard("--store", url, "--host", "0.0.0.0", "--read-only") as address:  # noqa: S104  # what is tested
        at = httpx.URL(address).copy_with(host="127.0.0.1")
        assert len(at.params["token"]) >= 32
        assert httpx.get(at.copy_with(query=None)).status_code == 401
        page = httpx.get(at, follow_redirects=False)
        assert page.status_code == 303
        headers = {"authorization": f"Bearer {at.params['token']}"}
        assert "read-only" in httpx.get(at.copy_with(query=None), headers=headers).text


def test_what_cannot_be_served_is_said_in_one_line(shell: Shell) -> None:
    done = shell("dashboard", "--store", "sqlite:///none.db")
    assert (done.code, done.err) == (
        1,
        "apsched: there is no job store 'none.db'; a path after sqlite:/// begins in this folder\n",
    )
    assert "no job store is named" in shell("dashboard").err
    fill("sqlite:///jobs.db")
    done = shell("dashboard", "--store", "sqlite:///jobs.db", "--host", "192.0.2.1")
    assert "192.0.2.1 port 8600 cannot be listened at" in done.err
