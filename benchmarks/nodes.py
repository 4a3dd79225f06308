"""Measure what 1, 2 and 4 nodes, each a process, drain together from one store.

No-op coroutine functions with a date trigger that has passed are in the store when all nodes are told to begin; the
clock stops when the store has neither a job nor an open run left. Each nominal time must be there once.

    python benchmarks/nodes.py [--quick] [--rounds 3] [--json FILE]
"""

from __future__ import annotations

import asyncio
import platform
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import _peers
from _peers import OURS
from _servers import SERVERS, Databases, make_store

PASSED = datetime(2026, 1, 1, tzinfo=UTC)
COUNTS = (1, 2, 4)


async def noop() -> None:
    """Be a job."""


async def node(server: str, url: str) -> None:
    """Be a node: begin when a line comes, end with the next one."""
    from apsched.async_scheduler import AsyncScheduler

    stores = {"default": make_store(server, url)}
    async with AsyncScheduler(jobstores=stores, timezone="UTC", start_paused=True) as scheduler:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await scheduler.resume()
        await asyncio.to_thread(sys.stdin.readline)


def ours(server: str, nodes: int, jobs: int, url: str) -> dict[str, Any]:
    """Measure so many nodes."""
    from apsched.async_scheduler import AsyncScheduler
    from apsched.jobstores.base import RunFilter
    from apsched.run import Outcome

    async def main() -> dict[str, Any]:
        store = make_store(server, url)
        async with AsyncScheduler(jobstores={"default": store}, timezone="UTC", start_paused=True) as scheduler:
            await scheduler.add_jobs({"func": noop, "trigger": "date", "run_date": PASSED} for _ in range(jobs))
            command = [sys.executable, __file__, "node", server, url]
            processes = [_start(command) for _ in range(nodes)]
            for process in processes:
                assert process.stdout is not None
                await asyncio.to_thread(process.stdout.readline)
            began = time.perf_counter()
            _tell(processes)
            under_way = RunFilter(outcomes=[Outcome.PENDING, Outcome.RUNNING])
            while await store.next_run_time({"asyncio": 1}, "node") is not None or await store.runs(under_way, 1):  # noqa: ASYNC110  # others change it
                await asyncio.sleep(0.02)
            seconds = time.perf_counter() - began
            _tell(processes)
            for process in processes:
                if await asyncio.to_thread(process.wait):
                    raise RuntimeError(f"a node ended with {process.returncode}")
            runs = await store.runs(RunFilter(), jobs + 1)
            if len(runs) != jobs or {run.outcome.value for run in runs} != {"succeeded"}:
                raise RuntimeError(f"{len(runs)} runs of {jobs}")
            shares = sorted(sum(run.node == name for run in runs) for name in {run.node for run in runs})
            return {"python": platform.python_version(), "us": seconds / jobs * 1e6, "least_share": shares[0] / jobs}

    return asyncio.run(main())


def _start(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _tell(processes: list[subprocess.Popen[str]]) -> None:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()


def plan(options: Any) -> list[dict[str, Any]]:
    """Return what is to be measured."""
    jobs = 2000 if options.quick else 10_000
    return [
        {"product": OURS, "case": "ours", "server": server, "nodes": nodes, "jobs": jobs}
        for server in SERVERS
        for nodes in COUNTS
    ]


def judge(rows: list[dict[str, Any]]) -> list[str]:
    """Return the targets and what became of them."""
    lines = []
    for server in SERVERS:
        one = _peers.pick(rows, server=server, nodes=1)
        for nodes in COUNTS[1:]:
            more = _peers.pick(rows, server=server, nodes=nodes)
            if more is not None:
                faster = _peers.ratio(one, more, "us")
                name = f"{server}, {nodes} nodes, {more['us']:.0f} us a job: throughput as part of one node's"
                lines.append(_peers.verdict(name, faster, 1.0 if server == "postgresql" else 0.8, at_least=True))
    return lines


def main() -> None:
    """Measure and tell."""
    options = _peers.options("Measure what several nodes drain together.", rounds=3)
    with ExitStack() as stack:
        around = Databases(stack).database
        rows = _peers.interleave(__file__, plan(options), options.rounds, ("us", "least_share"), around=around)
    _peers.report(options.json, "nodes", rows, judge(rows))


if __name__ == "__main__":
    if sys.argv[1:2] == ["node"]:
        asyncio.run(node(*sys.argv[2:4]))
    elif not _peers.work({"ours": ours}):
        main()
