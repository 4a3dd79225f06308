"""A node with executors of every kind: `python -m tests.chaos.node URL LEASE BACKEND`.

Prints its id when it has started. Ends in good order by SIGTERM, and at once when whoever started it has gone.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from typing import Any

import anyio

from apsched import AsyncScheduler
from apsched.events import EVENT_SCHEDULER_STARTED
from apsched.executors.asyncio import AsyncIOExecutor
from apsched.executors.base import Call, Ending
from apsched.executors.pool import ProcessPoolExecutor, ThreadPoolExecutor
from tests.cluster.node import end_with_parent
from tests.cluster.stores import make_store

MAX_IDLE = 1.0  # seconds; who edits the jobs does not tell the nodes


class TellingProcessPool(ProcessPoolExecutor):
    """Tells callables which run they are, since `current_run` does not work in worker processes."""

    async def execute(self, call: Call) -> Any:
        call.kwargs = {**call.kwargs, "run": call.run}
        return await super().execute(call)

    def submit(self, call: Call, end: Ending) -> Callable[[], bool]:
        call.kwargs = {**call.kwargs, "run": call.run}
        return super().submit(call, end)


async def serve(url: str, lease: float) -> None:
    """Run the jobs of the store until SIGTERM."""
    executors = {
        "loop": AsyncIOExecutor(max_concurrent=8),
        "threads": ThreadPoolExecutor(4),
        "processes": TellingProcessPool(2),
    }
    stores = {"default": make_store(url)}
    scheduler = AsyncScheduler(jobstores=stores, executors=executors, lease=lease, max_idle=MAX_IDLE)
    await scheduler.add_listener(lambda event: print(scheduler.node, flush=True), EVENT_SCHEDULER_STARTED)  # noqa: T201  # talks to its parent
    await scheduler.run()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    threading.Thread(target=end_with_parent, daemon=True).start()
    anyio.run(serve, sys.argv[1], float(sys.argv[2]), backend=sys.argv[3])
