"""Where the file of a SQLite store is, and what becomes of a store whose file is taken away."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import anyio.to_thread
import pytest

from apsched.exceptions import JobStoreUnavailableError
from apsched.jobstores.base import JobFilter
from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore
from apsched.testing.contract._values import ids_of, make_job


async def test_a_relative_file_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    store = SQLAlchemyJobStore("sqlite:///jobs.db")
    async with store:
        await store.join("a", 15.0, datetime(2026, 1, 1, tzinfo=UTC))
        monkeypatch.chdir(tmp_path / "elsewhere")  # as programs do that go into the background

        assert await in_a_loop_of_its_own(store)
    assert list((tmp_path / "elsewhere").iterdir()) == []


async def test_a_file_that_was_removed_is_not_written_any_more(tmp_path: Path) -> None:
    async with SQLAlchemyJobStore(f"sqlite:///{tmp_path}/jobs.db") as store:
        await store.add([make_job("a")])
        remove(tmp_path / "jobs.db")
        with pytest.raises(JobStoreUnavailableError, match="was removed while it was open; put it back"):
            await store.add([make_job("b")])


async def test_a_file_that_took_the_place_of_another_is_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with SQLAlchemyJobStore(f"sqlite:///{tmp_path}/backup.db") as backup:
        await backup.add([make_job("kept")])
    async with SQLAlchemyJobStore(f"sqlite:///{tmp_path}/jobs.db") as store:
        await store.add([make_job("lost")])
        remove(tmp_path / "jobs.db")
        (tmp_path / "backup.db").rename(tmp_path / "jobs.db")
        await store.add([make_job("new")])
        assert ids_of(await store.select(JobFilter())) == ["kept", "new"]
    assert "jobs.db was replaced while it was open" in caplog.text


def remove(file: Path) -> None:
    for each in file.parent.glob(f"{file.name}*"):
        each.unlink()


async def in_a_loop_of_its_own(store: SQLAlchemyJobStore) -> bool:
    async def beat() -> bool:
        async with store.pulse("a") as beat_once:
            return await beat_once()

    return await anyio.to_thread.run_sync(asyncio.run, beat())
