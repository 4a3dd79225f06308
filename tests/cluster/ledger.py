"""Write down, outside of every store, what really started and ended.

Rule 1: one line is one write to a file that is opened for appending, so that none is lost or torn, whoever is killed.
Rule 2: times are of the monotonic clock, which all processes of this machine share.
"""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import anyio
import attrs

from apsched import current_run


@attrs.frozen
class Line:
    """
    One line.

    Attributes:
        what: `"start"` or `"end"`; in sessions of chaos also `"failed"` and `"cut short"`.
        job_id: The job.
        run_id: The job and the nominal time.
        node: The node that had the claim.
        epoch: The fencing number of the claim.
        at: When, in seconds.
        number: That of the attempt.
    """

    what: str
    job_id: str
    run_id: str
    node: str
    epoch: int
    at: float
    number: int = 1


async def work(path: str, seconds: float) -> None:
    """Note the start, take a while, note the end: what the jobs of the cluster tests do."""
    note(path, "start")
    await anyio.sleep(seconds)
    note(path, "end")


def note(path: str, what: str) -> None:
    """Append a line about the current run."""
    run = current_run()
    line = json.dumps([what, run.job_id, run.id, run.node, run.epoch, time.monotonic()])
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, f"{line}\n".encode())
    finally:
        os.close(file)


def read(path: Path) -> list[Line]:
    """Return all lines; the last one may be on its way into the file."""
    if not path.exists():
        return []
    return [Line(*json.loads(line)) for line in path.read_text().split("\n")[:-1]]


def attempts(lines: Iterable[Line]) -> dict[str, list[tuple[Line, Line | None]]]:
    """Return the attempts at each run in the order of their starts: each a start, and its end if there is one."""
    ends = {(line.run_id, line.epoch): line for line in lines if line.what == "end"}
    found: dict[str, list[tuple[Line, Line | None]]] = defaultdict(list)
    for line in lines:
        if line.what == "start":
            found[line.run_id].append((line, ends.get((line.run_id, line.epoch))))
    return found
