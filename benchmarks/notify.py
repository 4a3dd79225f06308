"""Measure how soon a node acts on what another process has changed, where the server of the store carries hints.

Two processes share a store on a real server, on one machine; one adds a job that is due at once, and the other one,
which sleeps for a minute if nobody wakes it, runs it. The time is that from the call of `add_job` to the first line of
the callable, so it holds two transactions and the hint. Nothing else goes on.

    python benchmarks/notify.py [--quick] [--rounds 3] [--json FILE]
"""

from __future__ import annotations

import asyncio
import json
import platform
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import _peers
from _peers import OURS

MAX_IDLE = 60.0  # seconds
PAUSE = 0.02  # seconds between two changes, so that each finds the other node asleep
PATIENCE = 5.0  # seconds after which a hint counts as lost


async def tell(port: int) -> None:
    """Say when it was called; the monotonic clock is that of the machine."""
    now = time.monotonic_ns()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(str(now).encode(), ("127.0.0.1", port))


def make_scheduler(url: str, **options: Any) -> Any:
    """Return a node on the store at *url*."""
    from apsched import AsyncScheduler
    from tests.cluster.stores import make_store

    return AsyncScheduler(jobstores={"default": make_store(url)}, max_idle=MAX_IDLE, timezone="UTC", **options)


def node(url: str) -> dict[str, Any]:
    """Run what the other process adds, until its input ends."""

    async def main() -> None:
        async with make_scheduler(url):
            print("ready", flush=True)
            await asyncio.to_thread(sys.stdin.read)

    asyncio.run(main())
    return {}


def changes(server: str, url: str, count: int) -> dict[str, Any]:  # it is a name for the figures
    """Measure *count* changes."""
    from notify import tell  # by the name under which the other process finds it

    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind(("127.0.0.1", 0))
            receiver.setblocking(False)  # that is its only parameter
            port = receiver.getsockname()[1]
            found = []
            async with make_scheduler(url, start_paused=True) as scheduler:
                for number in range(count + 10):  # the first ones warm both up
                    began = time.monotonic_ns()
                    await scheduler.add_job(tell, args=[port], id=f"job {number}")
                    told = int(await asyncio.wait_for(loop.sock_recv(receiver, 100), PATIENCE))
                    found.append((told - began) / 1e6)
                    await asyncio.sleep(PAUSE)
            return found[10:]

    command = [sys.executable, __file__, "worker", "node", json.dumps({"url": url})]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        found = asyncio.run(main())
        other.communicate()
    return {"python": platform.python_version(), "median_ms": statistics.median(found), "max_ms": max(found)}


WORK = {"changes": changes, "node": node}


def plan(options: Any) -> list[dict[str, Any]]:
    """Return what is to be measured."""
    count = 20 if options.quick else 200
    return [
        {"product": OURS, "case": "changes", "server": server, "count": count}
        for server in ("postgresql", "redis", "mongodb")
    ]


class Databases:
    """Gives each measurement an empty database of the server that it names; a server starts when it is asked for."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._servers: dict[str, Any] = {}

    @contextmanager
    def database(self, measurement: Mapping[str, Any]) -> Generator[dict[str, Any]]:
        """Give further arguments of the worker."""
        kind = measurement["server"]
        if kind not in self._servers:
            start = getattr(__import__("tests.servers", fromlist=["servers"]), f"start_{kind}")
            self._servers[kind] = self._stack.enter_context(start())
        with self._servers[kind].database() as url:
            yield {"url": url}


def judge(rows: list[dict[str, Any]]) -> list[str]:
    """Return the targets and what became of them."""
    return [
        _peers.verdict(f"{row['server']}, {name} of {row['count']} changes: ms until another acts", row[key], 100)
        for row in rows
        for name, key in (("median", "median_ms"), ("longest", "max_ms"))
    ]


def main() -> None:
    """Measure and tell."""
    options = _peers.options("Measure how soon a node acts on what another process has changed.", rounds=3)
    with ExitStack() as stack:
        keys = ("median_ms", "max_ms")
        rows = _peers.interleave(__file__, plan(options), options.rounds, keys, around=Databases(stack).database)
    _peers.report(options.json, "notify", rows, judge(rows))


if __name__ == "__main__" and not _peers.work(WORK):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    main()
