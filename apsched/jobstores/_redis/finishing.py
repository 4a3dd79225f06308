"""Store how runs ended, and what is said of them while they are under way (layer 7).

Rule 1: what a run under way becomes is stored while its claim holds: its nominal time, epoch, time and node.
Rule 2: the script that stores ends also stores the runs that follow, which Python makes; so it is told which jobs
follow as this store remembers them, and writes nothing where others do.
"""

from __future__ import annotations

from collections.abc import Sequence

import anyio.lowlevel

from apsched.jobstores._codec import JobCodec
from apsched.jobstores._notes import notes_to_text
from apsched.jobstores._redis.packing import Argument, rows_of
from apsched.jobstores._redis.rows import (
    is_retired,
    key_of,
    micros,
    name_of,
    read_job,
    read_named,
    write_run,
)
from apsched.jobstores._redis.server import ATTEMPTS, Followers, Server
from apsched.run import Run, following

FOLLOWED = 10_000  # jobs of which it is remembered who follows them
LONG = 256 * 1024  # bytes of results that are written at a time; it takes about 20 ms


async def finish(at: Server, runs: Sequence[Run]) -> list[Run]:
    """Do what the port says of `finish`."""
    answers, followers = await end(at, runs)
    return [run for run, answer in zip(runs, answers, strict=True) if answer] + followers


async def report(at: Server, runs: Sequence[Run]) -> None:
    """Do what the port says of `report`."""
    args: list[Argument] = []
    for run in runs:
        args += (key_of(run.job_id), micros(run.nominal_time), run.epoch, notes_to_text(run) or "")
    if args:
        await at.run("report", *args)


async def ask_to_cancel(at: Server, run: Run, reason: str) -> bool:
    """Do what the port says of `ask_to_cancel`."""
    why = reason.encode("utf-8", "backslashreplace")
    return bool(await at.run("ask", key_of(run.job_id), micros(run.nominal_time), run.epoch, why))


async def asked_to_cancel(at: Server, owner: str) -> list[Run]:
    """Do what the port says of `asked_to_cancel`."""
    named = [read_named(at.codec, *row) for row in rows_of(await at.run("asked", name_of(owner)))]
    return [run for run in named if run is not None and run.cancel_reason is not None]


async def end(at: Server, runs: Sequence[Run], claims: Sequence[bytes] | None = None) -> tuple[list[int], list[Run]]:
    """
    Store *runs*, each if its claim holds, and those that follow.

    Where other jobs follow than this store remembers, the script writes nothing and tells which, and is run again.

    Args:
        at: Where.
        runs: The runs.
        claims: Their claims, where *runs* tell no more of them.

    Returns:
        What became of each, and the runs that follow.
    """
    if not runs:
        return [], []
    keys = [key_of(run.job_id) for run in runs]
    nominals, own_claims, rows = zip(*await written(at.codec, runs), strict=True)
    noted = [number for number, run in enumerate(runs, 1) if run.attempts or run.report is not None]
    args: list[Argument] = [
        at.keep_runs,
        keys,
        nominals,
        own_claims if claims is None else claims,
        rows,
        [b"%d" % number for number in noted],
        [(notes_to_text(runs[number - 1]) or "").encode() for number in noted],
    ]
    known: Followers = {}
    if at.followers:
        known = {key: at.followers[key] for key in keys if key in at.followers}
    for _ in range(ATTEMPTS):
        followers, more = _follow(at, runs, keys, known) if known else ([], ())
        reply: bytes | list[bytes] = await at.run("finish", *args, *more)
        if isinstance(reply, bytes):
            answers = [digit - ord("0") for digit in reply]
            made = zip(followers, answers[len(runs) :], strict=True)
            return answers[: len(runs)], [run for run, answer in made if answer]
        known |= _read_followers(at, *reply)
        _remember(at, known)
    raise at.too_busy(runs[0].job_id)


async def written(codec: JobCodec, runs: Sequence[Run]) -> list[tuple[bytes, bytes, bytes]]:
    """Return what `write_run` does of each of *runs*; others have their turns while long results are written."""
    found = []
    size = 0
    for run in runs:
        found.append(write_run(codec, run))
        size += len(found[-1][2])
        if size >= LONG:
            await anyio.lowlevel.checkpoint()
            size = 0
    return found


def _read_followers(at: Server, marks: bytes, rows: bytes) -> Followers:
    found: Followers = {key: (mark, []) for key, mark in rows_of(marks)}
    for followed, key, state, definition, quarantine in rows_of(rows):
        if state and not is_retired(state):
            found[followed][1].append(read_job(at.codec, key, state, definition, quarantine).job)
    return found


def _remember(at: Server, known: Followers) -> None:
    if len(at.followers) > FOLLOWED:
        at.followers = {}
    at.followers = {key: each for key, each in (at.followers | known).items() if each[0]}


def _follow(
    at: Server, runs: Sequence[Run], keys: Sequence[bytes], known: Followers
) -> tuple[list[Run], Sequence[list[bytes]]]:
    """Return the runs that follow *runs*, of jobs with these *keys*, and what the script `finish` takes of them."""
    made: list[Run] = []
    origins: list[bytes] = []
    for number, (run, key) in enumerate(zip(runs, keys, strict=True), 1):
        for job in known.get(key, (b"", ()))[1]:
            if (follower := following(job, run)) is not None:
                made.append(follower)
                origins.append(b"%d" % number)
    marks = [mark for mark, _ in known.values()]
    rows = [write_run(at.codec, run)[2] for run in made]
    return made, (list(known), marks, origins, [key_of(run.job_id) for run in made], rows)
