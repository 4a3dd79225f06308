"""Let jobs follow runs that end (layer 7).

Rule 1: a closed run stays in its job's document until the jobs that follow it have their pending runs. So wherever a
node dies, whoever goes on with what it has left half-done sees to these too.
Rule 2: that may be done twice and by several at once. A job that has followed remembers the nominal time, besides that
of its run, which may have ended and been forgotten meanwhile.
Rule 3: the sign that jobs follow others is written before the first job that does, and stays.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from apsched._mongodb_clients import Document
from apsched.jobstores._codec import from_micros, to_micros
from apsched.jobstores._mongodb.deciding import Collections, Decision, breathe, decide
from apsched.jobstores._mongodb.documents import (
    MOST_PENDING,
    NEVER,
    PRESENT,
    SIGN,
    by_nominal_time,
    new_token,
    run_key,
    waiting,
)
from apsched.run import FOLLOWED, Outcome, Run, following

logger = logging.getLogger("apsched.jobstores")

REMEMBERED = 100  # nominal times; between two writes of one node, fewer runs of a job begin and are forgotten

Key: TypeAlias = tuple[str, int]
"""Id of a job, nominal time."""


async def raise_sign(at: Collections) -> None:
    """Let whoever ends runs know that a job is about to follow others."""
    await at.link.call(at.jobs.update_one, {"_id": SIGN}, {"$setOnInsert": {"state": "sign"}}, upsert=True)


async def follow(at: Collections, ended: Mapping[str, Sequence[Document]]) -> list[Run]:
    """
    Let the jobs that follow wait for a slot, and return their runs as far as they are new.

    Args:
        at: Where.
        ended: Id of a job -> closed entries, which are still in its document.
    """
    runs = {job_id: found for job_id, entries in ended.items() if (found := _followed(job_id, entries))}
    if not runs:
        return []
    tried: dict[Key, Run] = {}
    for attempt in range(1_000_000):
        where = {"follows": {"$in": list(runs)}, "state": PRESENT}
        documents = {document["_id"]: document for document in await at.link.find(at.jobs, where)}
        wanted = {key: run for document in documents.values() for key, run in _wanted(at, document, runs).items()}
        recorded = await _recorded(at, documents, wanted)
        queued = {key: run for key, run in wanted.items() if key not in recorded}
        decisions = _decisions(at, documents, queued)
        full = {decision.document["_id"] for decision in decisions if "quarantine" in decision.fields}
        made = {key: run for key, run in queued.items() if key[0] not in full}
        if not decisions or await decide(at, decisions, new_token()) == len(decisions):
            remembered = {(job_id, moment) for job_id in documents for moment in _remembered(documents[job_id])}
            return [*(tried[key] for key in tried.keys() & remembered), *made.values()]
        tried |= made  # as far as nobody else was faster; the next look tells
        await breathe(attempt)
    raise AssertionError("unreachable")  # pragma: no cover


def _followed(job_id: str, entries: Sequence[Document]) -> list[Run]:
    """Return what is to be known of those that may be followed."""
    runs = [_end_of(job_id, entry) for entry in entries if "is_orphaned" not in entry]
    return [run for run in runs if run is not None and run.outcome in FOLLOWED["any"]]


def _end_of(job_id: str, entry: Document) -> Run | None:
    """Return the run of a closed entry, without what it returned; None if somebody has damaged it."""
    try:
        return Run(
            job_id=job_id,
            nominal_time=from_micros(entry["nominal_time"]),
            due_time=from_micros(entry["nominal_time"]),
            outcome=Outcome(entry["outcome"]),
            finished_at=from_micros(entry["finished_at"]) if "finished_at" in entry else None,
        )
    except (KeyError, TypeError, ValueError, OverflowError) as exc:
        logger.warning("a run of job %r cannot be read and is not followed: %r", job_id, exc)
        return None


def _remembered(document: Document) -> list[int]:
    """Return the nominal times at which a job has followed."""
    moments = document.get("followed")
    return moments if isinstance(moments, list) else []


def _wanted(at: Collections, document: Document, runs: Mapping[str, Sequence[Run]]) -> dict[Key, Run]:
    """Return the runs by which the job of *document* follows *runs*."""
    job = at.documents.job({**document, "mark": None})  # what one node cannot run, others can
    found = (following(job, run) for run in runs[document["follows"]])
    return {(run.job_id, to_micros(run.nominal_time)): run for run in found if run is not None}


async def _recorded(at: Collections, documents: Mapping[str, Document], wanted: Mapping[Key, Run]) -> set[Key]:
    """Return which nominal times are taken already, or were."""
    if not wanted:
        return set()
    taken = {
        (job_id, moment)
        for job_id in {job_id for job_id, _ in wanted}
        for document in (documents[job_id],)
        for moment in (
            *_remembered(document),
            *(entry.get("nominal_time") for entry in (*document["active"], *document["pending"])),
        )
    }
    keys = [run_key(job_id, moment) for job_id, moment in wanted]
    for document in await at.link.find(at.runs, {"_id": {"$in": keys}}, projection={"_id": 1}):
        taken.add((document["_id"]["job"], document["_id"]["nominal_time"]))
    return taken


def _decisions(at: Collections, documents: Mapping[str, Document], queued: Mapping[Key, Run]) -> list[Decision]:
    added: dict[str, list[Document]] = {}
    for (job_id, _), run in queued.items():
        added.setdefault(job_id, []).append(at.documents.entry(run))
    decisions = []
    for job_id, entries in added.items():
        document = documents[job_id]
        pending = by_nominal_time([*document["pending"], *entries])
        followed = [*_remembered(document), *(entry["nominal_time"] for entry in entries)]
        fields: Document = {"pending": pending, "waiting": waiting(pending), "followed": followed[-REMEMBERED:]}
        if len(pending) > MOST_PENDING:
            reason = f"{len(document['pending'])} of its runs wait, and at most {MOST_PENDING} can"
            fields = {"quarantine": f"{reason}; let more of them run at a time", "due": NEVER}
        decisions.append(Decision(document, fields))
    return decisions
