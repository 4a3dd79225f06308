"""`apsched run` heeds signals that come while it starts, and a second one."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from apsched.jobstores.memory import MemoryJobStore
from apsched.schedulers.background import BackgroundScheduler
from tests.cli.conftest import Shell

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")

ended: list[str] = []


@pytest.fixture(autouse=True)
def unheeded() -> Iterator[list[int]]:
    """Collect the signals that the command does not heed, of which a program of its own would die."""
    ended.clear()
    numbers: list[int] = []
    handlers = {
        number: signal.signal(number, lambda number, frame: numbers.append(number))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    yield numbers
    for number, handler in handlers.items():
        signal.signal(number, handler)


class EarlySignal(BackgroundScheduler):
    """Gets SIGTERM in the moment in which it has started."""

    def start(self, paused: bool = False) -> None:
        super().start(paused)
        os.kill(os.getpid(), signal.SIGTERM)

    def shutdown(self, wait: bool | float = True) -> None:
        super().shutdown(wait)
        ended.append("in good order")


def make_early() -> BackgroundScheduler:
    return EarlySignal(timezone="UTC")


async def interrupt_twice() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    while signal.getsignal(signal.SIGINT) is not signal.default_int_handler:  # noqa: ASYNC110  # the command sets it
        await anyio.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)
    try:
        await anyio.sleep_forever()
    finally:
        ended.append("cancelled")


def make_long() -> BackgroundScheduler:
    scheduler = BackgroundScheduler(timezone="UTC", jobstores={"default": MemoryJobStore()})
    scheduler.add_job(interrupt_twice)
    return scheduler


def test_a_signal_that_comes_while_a_background_scheduler_starts_ends_it(shell: Shell, unheeded: list[int]) -> None:
    assert shell("run", f"{__name__}:make_early").code == 0
    assert (ended, unheeded) == (["in good order"], [])


def test_a_second_interrupt_cancels_the_runs_of_a_background_scheduler(shell: Shell) -> None:
    assert shell("run", f"{__name__}:make_long").code == 0
    assert ended == ["cancelled"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_signal_that_comes_while_a_schedule_file_is_read_into_the_store_ends_it(
    shell: Shell, unheeded: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    module = f"early_{backend}"
    (tmp_path / f"{module}.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\ndef work(): ...\n")
    (tmp_path / "schedule.toml").write_text(f"[job]\nfunc = '{module}:work'\ntrigger = {{type = 'cron', hour = 3}}\n")
    monkeypatch.syspath_prepend(tmp_path)

    assert shell("run", "schedule.toml", "--backend", backend).code == 0
    assert unheeded == []
