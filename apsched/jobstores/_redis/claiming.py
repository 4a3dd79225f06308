"""Claim due jobs and pending runs (layer 7).

Rule 1: the first script claims pending runs and holds due jobs; `plan` decides about these; the second stores that for
each job whose state still is the one that was read. Every state has a revision, which any change of the job, and any
open run that is added, replaces.
Rule 2: a node that plans for jobs holds them for `HOLD`, so that others do not plan for them in vain. Nothing depends
on that: a hold that is lost or outlived costs a plan.
Rule 3: whoever is cancelled between the two scripts gives back what the first one claimed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import anyio.lowlevel
import attrs

from apsched.exceptions import JobStoreUnavailableError, LeaseLostError
from apsched.job import Job
from apsched.jobstores._codec import from_micros
from apsched.jobstores._redis.finishing import end
from apsched.jobstores._redis.packing import Argument, rows_of
from apsched.jobstores._redis.rows import (
    StoredJob,
    key_of,
    micros,
    name_of,
    read_job,
    read_run,
    state_after,
    write_runs,
)
from apsched.jobstores._redis.server import ATTEMPTS, Server
from apsched.run import Outcome, Plan, Planner, Run
from apsched.serializers.base import unreadable_arguments

logger: logging.Logger = logging.getLogger("apsched.jobstores")

HOLD = timedelta(seconds=2)  # by the clock of the server; long for a plan, short for what a dead node held
MICROSECOND = timedelta(microseconds=1)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
LARGEST_COMMIT = 2000  # jobs and runs of one script; more comes where many jobs catch up with many nominal times


async def next_run_time(at: Server, slots: Mapping[str, int], owner: str) -> datetime | None:
    """Do what the port says of `next_run_time`."""
    args = _unfit_args(at, owner)
    args += [alias.encode("utf-8", "surrogatepass") for alias, free in slots.items() if free > 0]
    moment = await at.run("next", *args)
    if moment is None:
        return None
    return LONG_AGO if moment == b"now" else from_micros(int(moment))


async def claimed(at: Server, owner: str) -> list[Plan]:
    """Do what the port says of `claimed`."""
    reply = await at.run("claimed", name_of(owner))
    return [Plan(job=stored.job, runs=(run,)) for stored, run in _read_claims(at, reply)]


async def take_due(at: Server, now: datetime, slots: Mapping[str, int], plan: Planner, owner: str) -> list[Plan]:
    """Do what the port says of `take_due`."""
    taken: list[Plan] = []
    free = dict(slots)
    try:
        for _ in range(ATTEMPTS):
            some, is_complete = await _take(at, now, free, plan, owner, may_raise=not taken)
            taken += some
            if is_complete:
                break
            for each in some:
                if each.quarantine is None:
                    free[each.job.lane] -= 1
    except anyio.get_cancelled_exc_class():  # after any other error the node asks what it has claimed
        await _undo(at, [run for each in taken for run in each.runs], owner)
        raise
    return taken


async def _take(
    at: Server, now: datetime, slots: Mapping[str, int], plan: Planner, owner: str, *, may_raise: bool
) -> tuple[list[Plan], bool]:
    """Claim once; return what was stored, and whether no job was changed by others meanwhile."""
    look: list[Argument] = [name_of(owner), micros(now), HOLD // MICROSECOND]
    look += _unfit_args(at, owner)
    for alias, free in slots.items():
        if free > 0:
            look += (alias.encode("utf-8", "surrogatepass"), str(free))
    reply: list[Any] | None = None
    with anyio.CancelScope(shield=True):  # to know what was claimed
        reply = await at.run("look", *look)
    if reply is None:
        raise LeaseLostError(owner)
    claims = _read_claims(at, reply[0])
    held = [read_job(at.codec, *row, resolve=True) for row in rows_of(reply[1])]
    marks: dict[Any, bytes] = dict(rows_of(reply[3]))  # type: ignore[arg-type]  # they are pairs
    for each in [known for known, _ in claims] + held:
        at.unfit.note(each.job, owner, now, marks.get(each.key, b"").decode(errors="replace"))
    if not claims and not held:
        return [], True
    planned: list[tuple[StoredJob, Plan]] = []
    stored: list[Plan] = []
    try:
        await anyio.lowlevel.checkpoint_if_cancelled()
        sound = await _sort_out(at, claims, owner)
        _plan(held, _read_open(at, held, reply[2]), plan, now, owner, planned, may_raise and not claims)
        with anyio.CancelScope(shield=True):
            stored = await _commit(at, planned, owner)
        await anyio.lowlevel.checkpoint_if_cancelled()
        if held and not planned:
            await at.run("release", name_of(owner))
    except BaseException:
        await _undo(at, [*(run for _, run in claims), *(run for _, each in planned for run in each.runs)], owner)
        raise
    return [*sound, *stored], len(stored) == len(planned)


def _read_claims(at: Server, reply: bytes) -> list[tuple[StoredJob, Run]]:
    found = []
    for key, state, definition, nominal, row, notes in rows_of(reply):
        stored = read_job(at.codec, key, state, definition, resolve=True)
        run = read_run(at.codec, stored.job.id, nominal, row, notes)
        if run is not None:
            found.append((stored, run))
    return found


def _read_open(at: Server, held: Sequence[StoredJob], reply: bytes) -> dict[int, list[Run]]:
    """Return the open runs of each held job by its place."""
    found: dict[int, list[Run]] = {}
    for place, nominal, row in rows_of(reply):
        run = read_run(at.codec, held[int(place)].job.id, nominal, row)
        if run is not None:
            found.setdefault(int(place), []).append(run)
    return found


def _unfit_args(at: Server, owner: str) -> list[Argument]:
    """Return which jobs *owner* has tried in vain, for a script."""
    unfit = at.unfit.of(owner)
    return [len(unfit), *(part for job_id, mark in unfit.items() for part in (key_of(job_id), mark.encode()))]


async def _sort_out(at: Server, claims: Sequence[tuple[StoredJob, Run]], owner: str) -> list[Plan]:
    """Return plans of pending runs that were claimed; give back those of jobs that cannot run here."""
    plans = []
    unfit: dict[bytes, Plan] = {}
    back: list[Run] = []
    for stored, run in claims:
        if stored.job.quarantine is not None:
            unfit[stored.key] = Plan(job=stored.job, quarantine=stored.job.quarantine)
            back.append(attrs.evolve(run, outcome=Outcome.PENDING))
        elif unreadable_arguments(run) is not None:
            back.append(attrs.evolve(run, outcome=Outcome.FAILED, finished_at=run.claimed_at, args=None))
        else:
            plans.append(Plan(job=stored.job, runs=(run,)))
    if unfit:
        rows = [(key, _reason(each), at.unfit.mark_of(each.job, owner) or "") for key, each in unfit.items()]
        await at.run("quarantine", *[part for row in rows for part in row])
    if back:
        await end(at, back)
    return [*plans, *unfit.values()]


def _plan(
    held: Sequence[StoredJob],
    open_runs: Mapping[int, Sequence[Run]],
    plan: Planner,
    now: datetime,
    owner: str,
    planned: list[tuple[StoredJob, Plan]],
    may_raise: bool,
) -> None:
    """Add to *planned*; an error of *plan* ends it, and is raised if there is nothing to tell before it."""
    for place, stored in enumerate(held):
        job = stored.job
        if job.quarantine is not None:
            planned.append((stored, Plan(job=job, quarantine=job.quarantine)))
            continue
        try:
            planned.append((stored, plan(job, open_runs.get(place, ()), now, owner)))
        except Exception:
            if may_raise and not planned:
                raise
            return


async def _commit(at: Server, planned: Sequence[tuple[StoredJob, Plan]], owner: str) -> list[Plan]:
    """Store plans, each for itself, in as many scripts as let the server do something else in between."""
    stored: list[Plan] = []
    some: list[tuple[StoredJob, Plan]] = []
    size = 0
    for each in planned:
        some.append(each)
        size += 1 + len(each[1].runs)
        if size >= LARGEST_COMMIT:
            stored += await _commit_some(at, some, owner)
            some, size = [], 0
    return stored + await _commit_some(at, some, owner)


async def _commit_some(at: Server, planned: Sequence[tuple[StoredJob, Plan]], owner: str) -> list[Plan]:
    if not planned:
        return []
    answers = await at.run(
        "commit",
        name_of(owner),
        [stored.key for stored, _ in planned],
        [stored.state for stored, _ in planned],
        [_change(at, stored, plan, owner) for stored, plan in planned],
        [micros(plan.next_run_time) for _, plan in planned],
        [stored.executor for stored, _ in planned],
        [b"%d" % _limit(at, plan.job) for _, plan in planned],
        [b"%d" % len(plan.runs) for _, plan in planned],
        *write_runs(at.codec, [run for _, plan in planned for run in plan.runs]),
    )
    if answers is None:
        raise LeaseLostError(owner)
    return [_as_stored(plan, bits) for (_, plan), bits in zip(planned, answers.split(b","), strict=True) if bits]


def _limit(at: Server, job: Job) -> int:
    return at.keep_runs if job.keep_runs is None else job.keep_runs


def _change(at: Server, stored: StoredJob, plan: Plan, owner: str) -> bytes:
    """Return what the script `commit` makes of the state of a job."""
    if plan.quarantine is None:
        return state_after(stored.state, plan)
    mark = at.unfit.mark_of(plan.job, owner)
    return b"Q|" + _reason(plan) if mark is None else b"M|" + mark.encode()


async def _undo(at: Server, claims: Sequence[Run], owner: str) -> None:
    """Give back what *owner* has claimed, or may have, and what it plans for: nobody will be told of it."""
    runs = [attrs.evolve(run, outcome=Outcome.PENDING) for run in claims if run.outcome is Outcome.RUNNING]
    try:
        with anyio.move_on_after(at.timeout, shield=True):
            await end(at, runs)
            await at.run("release", name_of(owner))
    except JobStoreUnavailableError:
        logger.debug("claims on Redis at %s could not be given back", at.place, exc_info=True)


def _reason(plan: Plan) -> bytes:
    return (plan.quarantine or "").encode("utf-8", "backslashreplace")


def _as_stored(plan: Plan, bits: bytes) -> Plan:
    """Return *plan* without the runs that were recorded before, which *bits* tells, and bring its job up to date."""
    if plan.quarantine is not None:
        return plan
    plan.job.next_nominal_time, plan.job.next_run_time = plan.next_nominal_time, plan.next_run_time
    if b"0" not in bits:
        return plan
    dropped = [run for run, bit in zip(plan.runs, bits[1:], strict=True) if bit == ord("0")]
    kept = tuple(run for run in plan.runs if run not in dropped)
    is_replaced = any(run.outcome is Outcome.RUNNING for run in dropped)  # nothing is replaced by a run that is dropped
    return attrs.evolve(plan, runs=kept, cancel=() if is_replaced else plan.cancel)
