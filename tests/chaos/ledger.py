"""Write down, outside of every store, which calls really started and ended.

Rule 1: each process has a file of its own; a line is one write, and is on the disk before the call goes on.
Rule 2: times are of the monotonic clock, which all processes of this machine share.
Rule 3: whether an attempt fails depends on the run and the number of the attempt, so that every node does the same.
"""

from __future__ import annotations

import json
import os
import random
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


class FlawError(Exception):
    """What a call raises that is meant to fail."""


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
        how: `"end"` if it returned, `"failed"` if it raised what it was meant to, else `"cut short"`.
        number: That of the attempt, from 1 on.
    """

    job_id: str
    run_id: str
    node: str
    epoch: int
    began: float
    ended: float | None = None
    how: str = "cut short"
    number: int = 1


async def in_loop(seconds: float, flaw: float = 0.0) -> None:
    """Take a while in the event loop."""
    with noted(current_run(), flaw):
        await anyio.sleep(seconds)


def in_thread(seconds: float, flaw: float = 0.0) -> None:
    """Take a while in a thread."""
    with noted(current_run(), flaw):
        time.sleep(seconds)


def in_process(seconds: float, flaw: float = 0.0, *, run: Run) -> None:
    """Take a while in a worker process, which has to be told of the run."""
    with noted(run, flaw):
        time.sleep(seconds)


@contextmanager
def noted(run: Run, flaw: float) -> Generator[None]:
    """Note the start, and the end; raise `FlawError` in that share of all attempts."""
    path = Path(os.environ[FOLDER]) / str(os.getpid())
    _note(path, "start", run)
    try:
        yield
        if is_to_fail(run.id, run.attempt, flaw):
            raise FlawError(f"attempt {run.attempt} is meant to fail")
    except FlawError:
        _note(path, "failed", run)
        raise
    except BaseException:
        _note(path, "cut short", run)
        raise
    _note(path, "end", run)


def is_to_fail(run_id: str, number: int, flaw: float) -> bool:
    """Tell whether that attempt is one of the share *flaw* that fails."""
    return random.Random(f"{run_id} {number}").random() < flaw  # noqa: S311  # to be repeated, not to be secret


def _note(path: Path, what: str, run: Run) -> None:
    line = json.dumps([what, run.job_id, run.id, run.node, run.epoch, time.monotonic(), run.attempt])
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
            attempt = Attempt(line.job_id, line.run_id, line.node, line.epoch, line.at, number=line.number)
            attempts.append(attempt)
            calls.append(attempt)
        elif calls:
            attempt = calls.pop()
            attempt.ended, attempt.how = line.at, line.what
    return attempts
