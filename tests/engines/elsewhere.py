"""State what holds for every executor whose calls run on other machines."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import anyio
import pytest

from apsched import AsyncScheduler, Outcome
from apsched.executors.base import Executor
from apsched.testing import _callables as these
from apsched.testing.contract import ExecutorContract
from apsched.testing.contract.executor import make_call
from tests.engines import calls


class ElsewhereTests(ExecutorContract):
    """
    What holds for every executor, and what for those besides.

    A subclass has a fixture `description`: what a scheduler is given for such an executor.

    Attributes:
        busy: How many calls fill the engine.
    """

    is_in_this_process = False
    busy: int

    async def test_an_error_has_the_traceback_on_the_worker(self, executor: Executor) -> None:
        with pytest.raises(LookupError, match="nothing there") as caught:
            await executor.execute(make_call(these.fail, "nothing there"))

        assert "in fail" in caught.value.__notes__[0]

    async def test_an_error_that_cannot_be_made_again_is_told_by_its_text(self, executor: Executor) -> None:
        with pytest.raises(RuntimeError, match=r"UnusualError: 7: no luck"):
            await executor.execute(make_call(these.fail_unusually))

    async def test_a_call_that_is_given_up_before_it_is_entered_never_is(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        busy, late = tmp_path / "busy", tmp_path / "late"
        async with anyio.create_task_group() as group:
            for _ in range(self.busy):
                group.start_soon(executor.execute, make_call(calls.note_and_wait, str(busy)))
            await calls.until(lambda: len(calls.notes(busy)) == self.busy)
            call = make_call(calls.note, str(late))

            with anyio.move_on_after(0.5) as scope:
                await executor.execute(call)
            busy.unlink()

        assert scope.cancelled_caught
        assert call.started_at is None
        for _ in range(self.busy):  # they come after it
            await executor.execute(make_call(these.add_one, 1))
        assert not late.exists()

    async def test_a_job_runs_elsewhere(self, description: dict[str, Any]) -> None:
        async with AsyncScheduler(executors={"cluster": {**description, "max_concurrent": "4"}}) as scheduler:
            await scheduler.add_job(calls.process_id, "cron", hour=3, executor="cluster", id="where")
            handle = await scheduler.run_job("where")

            assert await handle.result() != os.getpid()

    async def test_a_job_that_takes_too_long_is_ended(self, description: dict[str, Any], tmp_path: Path) -> None:
        path = tmp_path / "notes"
        async with AsyncScheduler(executors={"cluster": description}) as scheduler:
            job = await scheduler.add_job(
                calls.note_and_wait_for_cancel, "cron", hour=3, args=[str(path)], executor="cluster", timeout=1
            )
            handle = await scheduler.run_job(job.id)

            run = await handle.wait()

            assert run.outcome is Outcome.TIMED_OUT
            await calls.until(lambda: len(calls.notes(path)) == 2)
