"""Keep the nodes, and settle the runs of those that are dead or have left (layer 7)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import attrs

from apsched.jobstores._codec import from_micros
from apsched.jobstores._redis.finishing import end
from apsched.jobstores._redis.packing import Argument, rows_of
from apsched.jobstores._redis.rows import ORPHANED_REASON, claim_of, micros, name_of, node_of, read_job, read_named
from apsched.jobstores._redis.server import CHUNK, Server
from apsched.jobstores.base import AfterCrash, Node
from apsched.run import Outcome, Run

STORED = 1  # what the script `finish` answers if a run is stored as it came


async def join(at: Server, node: str, lease: float, now: datetime) -> None:
    """Do what the port says of `join`."""
    await at.run("join", name_of(node), repr(float(lease)), micros(now))
    at.unfit.forget()


async def leave(at: Server, node: str) -> None:
    """Do what the port says of `leave`."""
    await at.run("leave", name_of(node))


async def nodes(at: Server) -> list[Node]:
    """Do what the port says of `nodes`."""
    return [
        Node(
            id=node_of(name) or "",
            beat=int(beat),
            lease=float(lease),
            started_at=from_micros(int(started)),
            seen_at=from_micros(int(seen)),
            is_dead=dead == b"1",
        )
        for name, beat, lease, started, seen, dead in rows_of(await at.run("nodes"))
    ]


async def reap(at: Server, dead: Mapping[str, int], after_crash: AfterCrash) -> list[Run]:
    """Do what the port says of `reap`."""
    doomed: list[Argument] = [part for node, beat in dead.items() for part in (name_of(node), beat)]
    settled: list[Run] = []
    followers: list[Run] = []
    while rows := rows_of(await at.run("reap", CHUNK, *doomed)):
        doomed = []
        claims, successors = [], []
        for key, state, definition, nominal, row, notes, cancel_reason in rows:
            stored = read_job(at.codec, key, state, definition) if state else None
            run = read_named(at.codec, b"%s:%s" % (nominal, key), row, notes, cancel_reason)
            if run is not None:
                claims.append(claim_of(run))
                successor = after_crash(None if stored is None else stored.job, run)
                successor.cancel_reason = None
                successors.append(successor)
        answers, made = await end(at, successors, claims)
        followers += made
        settled += [_settled(run, answer) for run, answer in zip(successors, answers, strict=True) if answer]
        if not any(answers):  # what is left is damaged
            break
    return settled + followers


def _settled(run: Run, answer: int) -> Run:
    """Return *run* as it is stored: cancelled if it was to wait and its job is gone."""
    return run if answer == STORED else attrs.evolve(run, outcome=Outcome.CANCELLED, reason=ORPHANED_REASON)
