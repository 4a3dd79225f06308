"""Write down, outside of every store, which calls really started and ended.

Rule 1: each process has a file of its own; a line is one write, and is on the disk before the call goes on.
Rule 2: times are of the monotonic clock, which all processes of this machine share.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import anyio
import attrs

from apsched import current_run
from apsched.run import Run
from tests.cluster.ledger import Line, read

FOLDER = "APSCHED_CHAOS_LEDGER"
"""The environment variable that names the folder."""


@attrs.define
class Attempt:
    """
    One start of one run.

    Attributes:
        job_id: The job.
        run_id: The job and the nominal time.
        node: The node that had the claim.
        epoch: The fencing number of the claim.
        began: When the callable was entered, in seconds.
        ended: When it ended; None if its process did before.
        is_whole: Whether it ended by itself.
    """

    job_id: str
    run_id: str
    node: str
    epoch: int
    began: float
    ended: float | None = None
    is_whole: bool = False


async def in_loop(seconds: float) -> None:
    """Take a while in the event loop."""
    with noted(current_run()):
        await anyio.sleep(seconds)


def in_thread(seconds: float) -> None:
    """Take a while in a thread."""
    with noted(current_run()):
        time.sleep(seconds)


def in_process(seconds: float, *, run: Run) -> None:
    """Take a while in a worker process, which has to be told of the run."""
    with noted(run):
        time.sleep(seconds)


@contextmanager
def noted(run: Run) -> Generator[None]:
    """Note the start, and the end: `"end"`, or `"cut short"` by an exception."""
    path = Path(os.environ[FOLDER]) / str(os.getpid())
    _note(path, "start", run)
    try:
        yield
    except BaseException:
        _note(path, "cut short", run)
        raise
    _note(path, "end", run)


def _note(path: Path, what: str, run: Run) -> None:
    line = json.dumps([what, run.job_id, run.id, run.node, run.epoch, time.monotonic()])
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, f"{line}\n".encode())
        os.fsync(file)
    finally:
        os.close(file)


def read_attempts(folder: Path) -> list[Attempt]:
    """Return all attempts in the order of their starts."""
    return attempts_of([line for path in folder.iterdir() for line in read(path)])


def attempts_of(lines: list[Line]) -> list[Attempt]:
    """Put starts and ends together, in the order of the starts."""
    attempts: list[Attempt] = []
    under_way: dict[tuple[str, str, int], list[Attempt]] = {}
    for line in sorted(lines, key=lambda line: line.at):
        calls = under_way.setdefault((line.run_id, line.node, line.epoch), [])
        if line.what == "start":
            attempt = Attempt(line.job_id, line.run_id, line.node, line.epoch, line.at)
            attempts.append(attempt)
            calls.append(attempt)
        elif calls:
            attempt = calls.pop()
            attempt.ended, attempt.is_whole = line.at, line.what == "end"
    return attempts
