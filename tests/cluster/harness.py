"""Start nodes as processes, break them, and look at what they have done.

Rule 1: every wait has an end; what takes longer fails with the ends of the nodes' logs.
Rule 2: no process outlives its cluster.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio

from apsched.job import Job
from apsched.jobstores.base import JobFilter, RunFilter
from apsched.run import Outcome, Run
from apsched.triggers.date import DateTrigger
from tests.cluster import ledger
from tests.cluster.stores import make_store

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 45.0  # seconds until something that must come is given up
START_LIMIT = 20.0  # seconds until a node must have started
PAGE = 2000
PAST = datetime(2026, 1, 1, tzinfo=UTC)


class Node:
    """One process."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log
        self.id: str = ""

    def wait_until_ready(self) -> None:
        """Wait until the scheduler has started."""
        assert self._process.stdout is not None
        self.id = self._process.stdout.readline().strip()
        assert self.id, f"a node did not start:\n{self.log}"

    def kill(self) -> None:
        """End it as if the power had failed."""
        self._process.kill()
        self._process.wait(PATIENCE)

    def freeze(self) -> None:
        """Let it stand still."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Ask it to end in good order."""
        self._process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Wait for its end, and return the exit status."""
        return self._process.wait(PATIENCE)

    @property
    def is_alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    @property
    def log(self) -> str:
        """The end of what it has logged."""
        return self._log.read_text(errors="replace")[-6000:]

    def close(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self._process.wait(PATIENCE)


class Cluster:
    """
    Nodes that share a store, and the ledger of what they did; leaving it ends all nodes.

    Args:
        url: Where the tests find the store.
        folder: Where the ledger and the logs are kept.
        lease: The lease of the nodes in seconds.
    """

    def __init__(self, url: str, folder: Path, *, lease: float = 15.0) -> None:
        self.url = url
        self.path = folder / "ledger"
        self._folder = folder
        self._lease = lease
        self._nodes: list[Node] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc is not None:
            for number, node in enumerate(self._nodes):
                exc.add_note(f"--- node {number} ({node.id}) ---\n{node.log}")
        for node in self._nodes:
            node.close()

    def start(self, count: int = 1) -> list[Node]:
        """Start nodes, alternately on asyncio and on trio."""
        return self.start_at(*[self.url] * count)

    def start_at(self, *urls: str) -> list[Node]:
        """Start nodes that reach the store at these URLs."""
        nodes = [self._launch(url) for url in urls]
        for node in nodes:
            node.wait_until_ready()
        return nodes

    def _launch(self, url: str) -> Node:
        number = len(self._nodes)
        backend = ("asyncio", "trio")[number % 2]
        log = self._folder / f"node-{number}.log"
        with log.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.cluster.node", url, str(self._lease), backend],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
            )
        node = Node(process, log)
        self._nodes.append(node)
        return node

    def stop(self) -> None:
        """End all nodes that are alive in good order."""
        alive = [node for node in self._nodes if node.is_alive]
        for node in alive:
            node.stop()
        for node in alive:
            assert node.wait() == 0, node.log

    # jobs and runs

    def job(self, job_id: str, seconds: float, **options: Any) -> Job:
        """Return a job that runs once, is due now and takes so long."""
        options = {"trigger": DateTrigger(PAST), "next_run_time": PAST, "next_nominal_time": PAST, **options}
        return Job(
            id=job_id, name=job_id, func=ledger.work, executor="asyncio", args=(str(self.path), seconds), **options
        )

    def add(self, jobs: Sequence[Job]) -> None:
        """Put jobs into the store."""

        async def add() -> None:
            async with make_store(self.url) as store:
                await store.add(jobs)

        anyio.run(add)

    def jobs(self) -> list[Job]:
        """Return the jobs that are left."""

        async def select() -> list[Job]:
            async with make_store(self.url) as store:
                return await store.select(JobFilter())

        return anyio.run(select)

    def history(self) -> list[Run]:
        """Return all runs that the store has."""

        async def read() -> list[Run]:
            async with make_store(self.url) as store:
                page = await store.runs(RunFilter(), PAGE)
                runs = page
                while len(page) == PAGE:
                    page = await store.runs(RunFilter(), PAGE, runs[-1])
                    runs = runs + page
                return runs

        return anyio.run(read)

    def live_nodes(self) -> set[str]:
        """Return the ids of the nodes that live, as the store knows them."""

        async def read() -> set[str]:
            async with make_store(self.url) as store:
                return {node.id for node in await store.nodes() if not node.is_dead}

        return anyio.run(read)

    def ledger(self) -> list[ledger.Line]:
        """Return what was written down so far."""
        return ledger.read(self.path)

    def starts(self) -> int:
        """Return how many runs have started so far."""
        return sum(line.what == "start" for line in self.ledger())

    def under_way(self, node: str) -> list[str]:
        """Return the ids of the runs that have started on a node and not ended."""
        tried = ledger.attempts(self.ledger())
        return [run_id for run_id, found in tried.items() if any(s.node == node and e is None for s, e in found)]

    def freeze_in_a_run(self, node: Node) -> None:
        """Let *node* stand still while it has a run under way."""

        def has_frozen() -> bool:
            node.freeze()
            if self.under_way(node.id):
                return True
            node.thaw()
            return False

        self.wait_for("a run under way", has_frozen)

    def most_at_once(self) -> int:
        """Return how many runs of one job were under way at a time at most."""
        under_way: Counter[str] = Counter()
        most = 0
        for line in sorted(self.ledger(), key=lambda line: line.at):
            under_way[line.job_id] += 1 if line.what == "start" else -1
            most = max(most, under_way[line.job_id])
        return most

    # waiting

    def wait_for(self, what: str, is_there: Callable[[], bool], patience: float = PATIENCE) -> None:
        """Wait until *is_there*."""
        until = time.monotonic() + patience
        while not is_there():
            assert time.monotonic() < until, f"{what} did not come within {patience:g} s"
            time.sleep(0.05)

    def wait_for_lines(self, what: str, count: int, patience: float = PATIENCE) -> None:
        """Wait until so many runs have started (`"start"`) or ended (`"end"`)."""
        is_there = lambda: sum(line.what == what for line in self.ledger()) >= count  # noqa: E731
        self.wait_for(f"{count} times {what!r}", is_there, patience)

    def wait_until_settled(self, count: int, patience: float = PATIENCE) -> list[Run]:
        """Wait until the store has so many runs and all have ended, and return them."""
        runs: list[Run] = []

        def is_settled() -> bool:
            nonlocal runs
            runs = self.history()
            return len(runs) >= count and all(run.outcome.is_final for run in runs)

        self.wait_for(f"the end of {count} runs", is_settled, patience)
        return runs


def outcomes(runs: Sequence[Run]) -> set[Outcome]:
    """Return which outcomes there are."""
    return {run.outcome for run in runs}
