"""Where the file of a SQLite store is."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import anyio.to_thread
import pytest

from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore


async def test_a_relative_file_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    store = SQLAlchemyJobStore("sqlite:///jobs.db")
    async with store:
        await store.join("a", 15.0, datetime(2026, 1, 1, tzinfo=UTC))
        monkeypatch.chdir(tmp_path / "elsewhere")  # as programs do that go into the background

        assert await in_a_loop_of_its_own(store)
    assert list((tmp_path / "elsewhere").iterdir()) == []


async def in_a_loop_of_its_own(store: SQLAlchemyJobStore) -> bool:
    async def beat() -> bool:
        async with store.pulse("a") as beat_once:
            return await beat_once()

    return await anyio.to_thread.run_sync(asyncio.run, beat())
