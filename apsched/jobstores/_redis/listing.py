"""Add, change and list jobs, and queue runs of them (layer 7).

A change is two scripts, since Python decides in between: the second one writes only what still stands as the first one
read it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import TypeAlias

import anyio.lowlevel
import attrs

from apsched.exceptions import ConflictingIdError, JobLookupError, TransientJobError
from apsched.job import Job
from apsched.jobstores._codec import from_micros
from apsched.jobstores._redis.packing import rows_of
from apsched.jobstores._redis.rows import (
    StoredJob,
    followed_key_of,
    is_retired,
    key_of,
    micros,
    read_job,
    read_run,
    state_of,
    write_run,
)
from apsched.jobstores._redis.server import ATTEMPTS, CHUNK, Server
from apsched.jobstores.base import Change, JobFilter, Merge
from apsched.run import Run

Put: TypeAlias = tuple[Job, bytes]
"""A job to store, and the state that it must have; empty if it must be new."""


async def add(at: Server, jobs: Sequence[Job], merge: Merge | None) -> list[Job]:
    """Do what the port says of `add`."""
    puts: list[Put] = [(job, b"") for job in jobs]
    rows = [row async for row in _encoded(at, puts)]
    refused: list[int] = await _put(at, rows)
    if refused and merge is None:
        raise ConflictingIdError(jobs[refused[0]].id)
    for _ in range(ATTEMPTS):
        if not refused or merge is None:
            return [job for job, _ in puts]
        for place, stored in zip(refused, await _fetch(at, [key_of(jobs[i].id) for i in refused]), strict=True):
            puts[place] = _merged(jobs[place], stored, merge)
        for place, row in zip(refused, [row async for row in _encoded(at, [puts[i] for i in refused])], strict=True):
            rows[place] = row
        refused = await _put(at, rows)
    raise at.too_busy(puts[refused[0]][0].id)


async def update(at: Server, job_id: str, change: Change) -> Job:
    """Do what the port says of `update`."""
    key = _known_key(job_id)
    for _ in range(ATTEMPTS):
        (stored,) = await _fetch(at, [key])
        if stored is None:
            raise JobLookupError(job_id)
        changed = change(stored.job)
        if not await _put(at, [row async for row in _encoded(at, [(changed, stored.state)])]):
            return changed
    raise at.too_busy(job_id)


async def _encoded(at: Server, puts: Iterable[Put]) -> AsyncGenerator[tuple[bytes, ...]]:
    """Give what the script `put` takes of each job."""
    for number, (job, expected) in enumerate(puts, 1):
        if number % CHUNK == 0:
            await anyio.lowlevel.checkpoint()  # thousands take a while
        yield (
            key_of(job.id),
            expected,
            state_of(job),
            micros(job.next_run_time),
            at.codec.encode(job),
            (job.quarantine or "").encode("utf-8", "backslashreplace"),
            job.lane.encode(),
            followed_key_of(job),
            b"" if job.expect_success_within is None else b"1",
        )


async def _put(at: Server, rows: Sequence[tuple[bytes, ...]]) -> list[int]:
    """Store jobs; return the places of those whose state is not what it must be, in which case none is stored."""
    if not rows:
        return []
    refused: list[int] = await at.run("put", *[value for row in rows for value in row])
    return refused


async def _fetch(at: Server, keys: Sequence[bytes]) -> list[StoredJob | None]:
    """Return the jobs in the list that have these keys."""
    rows = rows_of(await at.run("fetch", *keys))
    return [
        read_job(at.codec, key, *row) if row[0] and not is_retired(row[0]) else None
        for key, row in zip(keys, rows, strict=True)
    ]


async def select(at: Server, where: JobFilter, limit: int | None, after: str | None) -> list[Job]:
    """Do what the port says of `select`."""
    last, score = b"", b""
    if after is not None:
        last = _known_key(after)
        if await _fetch(at, [last]) == [None]:
            raise JobLookupError(after)
    if where.expects_success:
        return await _select_indexed(at, "expecting", where, limit, last)
    if where.is_quarantined:
        return await _select_indexed(at, "quarantined", where, limit, last)
    found: dict[bytes, Job] = {}  # a job that moves on while pages are read may come twice
    is_plain = where == JobFilter()
    while limit is None or len(found) < limit:
        count = min(CHUNK, limit - len(found)) if is_plain and limit is not None else CHUNK
        rows = rows_of(await at.run("select", count, last, score))
        for key, _, state, definition, quarantine in rows:
            job = read_job(at.codec, key, state, definition, quarantine).job
            if where.accepts(job) and (limit is None or len(found) < limit):
                found.setdefault(key, job)
        if len(rows) < count:
            break
        last, score = rows[-1][:2]
    return list(found.values())


async def get(at: Server, job_id: str) -> Job | None:
    """Do what the port says of `get`."""
    try:
        key = key_of(job_id)
    except TransientJobError:
        return None
    (stored,) = await _fetch(at, [key])
    return None if stored is None else stored.job


async def remove(at: Server, job_id: str) -> None:
    """Do what the port says of `remove`."""
    if not await at.run("remove", _known_key(job_id)):
        raise JobLookupError(job_id)


async def clear(at: Server) -> None:
    """Do what the port says of `clear`."""
    while await at.run("clear", CHUNK):
        pass


async def lanes(at: Server) -> list[str]:
    """Do what the port says of `lanes`."""
    found: list[bytes] = await at.run("lanes")
    return [name.decode("utf-8", "replace") for name in found]


async def _select_indexed(at: Server, index: str, where: JobFilter, limit: int | None, after: bytes) -> list[Job]:
    """Return jobs that *index* names."""
    score, reply = await at.run("indexed", index, after)
    places = sorted({(float(place), key) for key, place in rows_of(reply) if place})
    keys = [key for place, key in places if not after or (place, key) > (float(score or "inf"), after)]
    found: list[Job] = []
    for first in range(0, len(keys), CHUNK):
        some = await _fetch(at, keys[first : first + CHUNK])
        found += [stored.job for stored in some if stored is not None and where.accepts(stored.job)]
        if limit is not None and len(found) >= limit:
            break
    return found[:limit]


async def add_run(at: Server, run: Run) -> Run:
    """Do what the port says of `add_run`."""
    nominal, _, row = write_run(at.codec, run)
    key, moves = _known_key(run.job_id), int(run.is_manual)
    reply = await at.run("add_run", key, nominal, row, at.keep_runs, moves)
    if reply is None:
        raise JobLookupError(run.job_id)
    ((nominal, taken, notes),) = rows_of(reply)
    if taken:
        return read_run(at.codec, run.job_id, nominal, taken, notes) or run
    moment = from_micros(int(nominal))
    return run if moment == run.nominal_time else attrs.evolve(run, nominal_time=moment)


def _known_key(job_id: str) -> bytes:
    """Return the key of a job that is looked for."""
    try:
        return key_of(job_id)
    except TransientJobError:
        raise JobLookupError(job_id) from None


def _merged(job: Job, stored: StoredJob | None, merge: Merge) -> Put:
    """Return what is to be stored where *stored* stands."""
    if stored is None:
        return job, b""
    return merge(stored.job, job), stored.state
