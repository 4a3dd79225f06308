"""Start a Dask scheduler and workers as processes of their own."""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.servers._process import HOST, Process, first_bytes, free_port, own_folder

ROOT = Path(__file__).resolve().parents[2]
THREADS = 2  # of a worker


class DaskCluster:
    """
    A scheduler and two workers.

    Attributes:
        address: That of the scheduler.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        port = free_port()
        self.address = f"tcp://{HOST}:{port}"
        self._scheduler = self._process("scheduler", "scheduler", port, ["--port", str(port)])
        self._workers: list[Process] = []

    def start(self) -> None:
        """Start all of it."""
        self._scheduler.start()
        for number in range(2):
            port = free_port()
            words = [self.address, "--worker-port", str(port), "--nthreads", str(THREADS), "--no-nanny"]
            worker = self._process(f"worker{number}", "worker", port, words)
            self._workers.append(worker)
            worker.start()

    def kill(self) -> None:
        """End all of it by SIGKILL, the scheduler first."""
        self._scheduler.kill()
        for worker in self._workers:
            worker.kill()
        self._workers.clear()

    def _process(self, name: str, part: str, port: int, words: Sequence[str]) -> Process:
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        command = [sys.executable, "-m", f"distributed.cli.dask_{part}", *words, "--host", HOST, "--no-dashboard"]
        environment = {"PYTHONPATH": str(ROOT)}
        return Process(command, folder, lambda _pid: bool(first_bytes(port)), environment=environment)


@contextmanager
def start_dask() -> Generator[DaskCluster]:
    """Run a cluster; takes some seconds."""
    with ExitStack() as stack:
        cluster = DaskCluster(stack.enter_context(own_folder("dask")))
        stack.callback(cluster.kill)
        cluster.start()
        yield cluster
