"""A node: `python -m tests.cluster.node URL LEASE BACKEND`.

Prints its id when it has started. Ends in good order by SIGTERM, and at once when whoever started it has gone.
"""

from __future__ import annotations

import logging
import os
import sys
import threading

import anyio

from apsched import AsyncScheduler
from apsched.events import EVENT_SCHEDULER_STARTED
from apsched.executors.asyncio import AsyncIOExecutor
from tests.cluster.stores import make_store

AT_ONCE = 10  # runs; few enough for every node to get some
MAX_IDLE = 0.5  # seconds; the tests add jobs without telling the nodes


async def serve(url: str, lease: float) -> None:
    """Run the jobs of the store until SIGTERM."""
    stores, executors = {"default": make_store(url)}, {"asyncio": AsyncIOExecutor(max_concurrent=AT_ONCE)}
    scheduler = AsyncScheduler(jobstores=stores, executors=executors, lease=lease, max_idle=MAX_IDLE)
    await scheduler.add_listener(lambda event: print(scheduler.node, flush=True), EVENT_SCHEDULER_STARTED)  # noqa: T201  # talks to its parent
    await scheduler.run()


def end_with_parent() -> None:
    """Wait for the end of the input, which comes when nobody has the other end any more."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    threading.Thread(target=end_with_parent, daemon=True).start()
    anyio.run(serve, sys.argv[1], float(sys.argv[2]), backend=sys.argv[3])
