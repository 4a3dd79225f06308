"""A real SQLite file with jobs and runs, and what runs a command on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest

from apsched import AsyncScheduler
from apsched.cli.app import run
from apsched.cli.stores import make_store
from tests.cli.jobs import bad, ok


@attrs.frozen
class Done:
    """How a command ended: its exit code, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Shell = Callable[..., Done]


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """Run a command in an empty folder, as a shell would."""
    monkeypatch.chdir(tmp_path)
    for name in ("STORE", "TABLE", "SCHEMA", "SERIALIZER"):
        monkeypatch.delenv(f"APSCHED_{name}", raising=False)
    monkeypatch.setenv("APSCHED_TIMEZONE", "UTC")

    def call(*arguments: str) -> Done:
        capsys.readouterr()
        code = run(arguments)
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return Done(code, printed.out, printed.err)

    return call


def fill(url: str) -> None:
    """Put three jobs into a store, and let two of them run once."""

    async def main() -> None:
        async with AsyncScheduler(jobstores={"default": make_store(url)}, timezone="UTC") as scheduler:
            tags = {"team": "billing"}
            await scheduler.add_job(ok, "cron", hour=3, day_of_week="mon-fri", id="nightly", args=[7], tags=tags)
            await scheduler.add_job(bad, "interval", weeks=1, id="weekly")
            await scheduler.add_job(ok, "cron", hour=4, id="resting", next_run_time=None)
            for job_id in ("nightly", "weekly"):
                await (await scheduler.run_job(job_id)).wait()

    anyio.run(main)


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What a SQLite file with jobs and runs holds."""
    path = tmp_path_factory.mktemp("cli") / "jobs.db"
    fill(f"sqlite:///{path}")
    return path.read_bytes()


@pytest.fixture
def store(filled: bytes, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a store with jobs and runs, which commands find in the environment."""
    path = tmp_path / "jobs.db"
    path.write_bytes(filled)
    monkeypatch.setenv("APSCHED_STORE", f"sqlite:///{path}")
    return f"sqlite:///{path}"
