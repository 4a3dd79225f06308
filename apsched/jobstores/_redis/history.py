"""List runs and forget old ones (layer 7)."""

from __future__ import annotations

from datetime import datetime

from apsched.exceptions import TransientJobError
from apsched.jobstores._codec import to_micros
from apsched.jobstores._redis.packing import rows_of
from apsched.jobstores._redis.rows import CODES, key_of, micros, read_named
from apsched.jobstores._redis.server import CHUNK, Server
from apsched.jobstores.base import RunFilter
from apsched.run import Outcome, Run


async def runs(at: Server, where: RunFilter, limit: int, after: Run | None) -> list[Run]:
    """Do what the port says of `runs`."""
    if where.job_id is not None or where.outcomes is None or Outcome.SUCCEEDED in where.outcomes:
        return await _runs_of(at, where, b"", limit, after)
    found = []
    for outcome in set(where.outcomes):
        if outcome is Outcome.RUNNING:
            found += await _runs_under_way(at, where, after)
        else:
            found += await _runs_of(at, where, CODES[outcome], limit, after)
    return sorted(found, key=_place, reverse=True)[:limit]


async def _runs_under_way(at: Server, where: RunFilter, after: Run | None) -> list[Run]:
    named = [read_named(at.codec, *row) for row in rows_of(await at.run("running"))]
    runs = [run for run in named if run is not None and where.accepts(run)]
    return runs if after is None else [run for run in runs if _place(run) < _place(after)]


async def _runs_of(at: Server, where: RunFilter, code: bytes, limit: int, after: Run | None) -> list[Run]:
    """Return runs from the index of one job, of one outcome (that has one), or of all."""
    try:
        key = b"" if where.job_id is None else key_of(where.job_id)
    except TransientJobError:
        return []
    latest = None if where.until is None else to_micros(where.until)
    earliest = b"-inf" if where.since is None else micros(where.since)
    last = b""
    if after is not None:
        last = b"%s:%s" % (micros(after.nominal_time), key_of(after.job_id))
        latest = to_micros(after.nominal_time) if latest is None else min(latest, to_micros(after.nominal_time))
    found: list[Run] = []
    while len(found) < limit:
        count = min(CHUNK, limit - len(found)) if where == RunFilter(job_id=where.job_id) else CHUNK
        bound = "+inf" if latest is None else latest
        rows = rows_of(await at.run("runs", key, code, bound, earliest, last, count))
        for name, row, notes, cancel_reason in rows:
            run = read_named(at.codec, name, row, notes, cancel_reason)
            if run is not None and where.accepts(run) and (after is None or _place(run) < _place(after)):
                found.append(run)
        if len(rows) < count or (where.since is not None and _nominal(rows[-1][0]) < to_micros(where.since)):
            break
        last = rows[-1][0]
    return found[:limit]


async def prune(at: Server, before: datetime, limit: int) -> int:
    """Do what the port says of `prune`."""
    forgotten = skip = is_last = 0
    while forgotten < limit and not is_last:
        count = min(CHUNK, limit - forgotten)
        some, skip, is_last = await at.run("prune", micros(before), at.keep_runs, count, skip)
        forgotten += some
    return forgotten


def _place(run: Run) -> tuple[int, str]:
    return (to_micros(run.nominal_time), run.job_id)


def _nominal(name: bytes) -> int:
    return int(name.partition(b":")[0])
