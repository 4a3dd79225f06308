"""How ends of runs are written for Redis."""

from __future__ import annotations

from datetime import UTC, datetime

import anyio
import anyio.lowlevel

from apsched.jobstores._codec import JobCodec
from apsched.jobstores._redis.finishing import LONG, written
from apsched.run import Outcome, Run

T0 = datetime(2026, 7, 1, tzinfo=UTC)


async def test_others_have_their_turns_while_long_results_are_written() -> None:
    run = Run(job_id="job", nominal_time=T0, due_time=T0, outcome=Outcome.SUCCEEDED, epoch=1, retval="x" * (LONG // 8))
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take_turns)
        rows = await written(JobCodec(), [run] * 80)
        assert len(rows) == 80
        assert turns >= 9
        tasks.cancel_scope.cancel()
