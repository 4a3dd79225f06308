"""Add, change, remove and find jobs (layer 7).

Rule 1: all that is checked is checked before anything is written: what is to be added is merged and encoded first.
Rule 2: of batches that are added at once and share ids, the one that comes first to the smallest of them wins: new jobs
are inserted in the order of their ids up to the first that is taken. The others undo what they have written.
Rule 3: a job that is removed, or finished, keeps its document until its last run has ended. A job that is added under
its id takes the document over, with these runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, cast

from bson import Int64, ObjectId
from pymongo import DeleteOne, UpdateOne
from pymongo.errors import BulkWriteError

from apsched._mongodb_clients import Document
from apsched.exceptions import ConflictingIdError, JobLookupError
from apsched.job import Job
from apsched.jobstores._mongodb.deciding import (
    Collections,
    Decision,
    breathe,
    decide,
    fresh,
    gone,
    is_present,
    read,
    swap,
    swap_once,
)
from apsched.jobstores._mongodb.documents import (
    NEVER,
    PRESENT,
    REMOVED,
    by_nominal_time,
    new_token,
    run_key,
    tag_key,
    waiting,
)
from apsched.jobstores._mongodb.finishing import returned
from apsched.jobstores._mongodb.following import raise_sign
from apsched.jobstores._mongodb.history import keep_fewer
from apsched.jobstores._mongodb.settling import DUPLICATE_KEY, settle_documents
from apsched.jobstores.base import Change, JobFilter, Merge
from apsched.run import Run

TRIES_AT_ONCE = 100  # nominal times that are looked up together when that of a run is taken
HEAVY = {"active": False, "pending": False}


async def add(at: Collections, jobs: Sequence[Job], merge: Merge | None) -> list[Job]:
    """Do what the port says of `add`."""
    for job in jobs:
        at.documents.check_texts(job)
    for attempt in range(1_000_000):
        found = await at.link.find(at.jobs, {"_id": {"$in": [job.id for job in jobs]}})
        documents = {document["_id"]: document for document in found}
        kept = [_merged(at, documents.get(job.id), job, merge) for job in jobs]
        fields = {job.id: at.documents.job_fields(job) for job in kept}
        await _prepare(at, fields.values())
        token = new_token()
        new = [fresh(job_id, fields[job_id], token) for job_id in sorted(fields.keys() - documents.keys())]
        taken = [Decision(documents[job_id], fields[job_id]) for job_id in fields.keys() & documents.keys()]
        if await _write(at, new, taken, token):
            for decision in taken:
                if fields[decision.document["_id"]]["keep_runs"] not in (None, decision.document.get("keep_runs")):
                    await keep_fewer(at, decision.document["_id"])
            return kept
        await breathe(attempt)
    raise AssertionError("unreachable")  # pragma: no cover


async def _prepare(at: Collections, written: Iterable[Document]) -> None:
    """Let what is about to be written find what it needs."""
    if any(fields["follows"] is not None for fields in written):
        await raise_sign(at)


def _merged(at: Collections, document: Document | None, job: Job, merge: Merge | None) -> Job:
    if document is None or not is_present(document):
        return job
    if merge is None:
        raise ConflictingIdError(job.id)
    return merge(at.documents.job(document), job)


async def _write(at: Collections, new: list[Document], taken: list[Decision], token: ObjectId) -> bool:
    """Write all or nothing; False if somebody else was faster with one of them."""
    is_whole = True
    try:
        if new:
            await at.link.call(at.jobs.insert_many, new)
    except BulkWriteError as exc:
        errors = (exc.details or {}).get("writeErrors", [])
        if not errors or errors[0]["code"] != DUPLICATE_KEY:
            raise
        is_whole = False
    if is_whole and taken:
        is_whole = await decide(at, taken, token) == len(taken)
    if not is_whole:
        undo: list[DeleteOne | UpdateOne] = [DeleteOne({"_id": each["_id"], "rev": token}) for each in new]
        for decision in taken:
            before = {name: decision.document.get(name) for name in decision.fields}
            undo.append(
                UpdateOne({"_id": decision.document["_id"], "rev": token}, {"$set": before | {"rev": new_token()}})
            )
        await at.link.call(at.jobs.bulk_write, undo, ordered=False)
    return is_whole


async def update(at: Collections, job_id: str, change: Change) -> Job:
    """Do what the port says of `update`."""
    for attempt in range(1_000_000):
        document = await read(at, job_id)
        if document is None or not is_present(document):
            raise JobLookupError(job_id)
        changed = change(at.documents.job(document))
        fields = at.documents.job_fields(changed)
        await _prepare(at, [fields])
        if await decide(at, [Decision(document, fields)], new_token()):
            if fields["keep_runs"] not in (None, document.get("keep_runs")):
                await keep_fewer(at, job_id)
            return changed
        await breathe(attempt)
    raise AssertionError("unreachable")  # pragma: no cover


async def remove(at: Collections, job_id: str, now: datetime) -> None:
    """Do what the port says of `remove`."""
    if not await _remove(at, job_id, now):
        raise JobLookupError(job_id)


async def _remove(at: Collections, job_id: str, now: datetime) -> bool:
    def leave(document: Document) -> Document | None:
        if not is_present(document):
            return None
        return gone(REMOVED) | _without_pending(at, document, now)

    changed = await swap(at, job_id, leave)
    if changed is None:
        return False
    await settle_documents(at, [changed])
    return True


def _without_pending(at: Collections, document: Document, now: datetime) -> Document:
    """Return the fields by which the pending runs of a document are cancelled."""
    pending = document.get("pending")
    if not isinstance(pending, list) or not isinstance(document.get("active"), list):
        return {"active": [], "pending": [], "waiting": NEVER}  # what was in there cannot be read anyhow
    runs = [
        run
        for entry in pending
        if (run := at.documents.listed(run_key(document["_id"], entry.get("nominal_time")), entry))
    ]
    emptied = {**document, "pending": [], "state": REMOVED}
    return returned(at, emptied, document["active"], runs, now)


async def clear(at: Collections, now: datetime) -> None:
    """Do what the port says of `clear`."""
    idle = {"state": PRESENT, "active": [], "pending": []}
    await at.link.call(at.jobs.delete_many, idle)
    for document in await at.link.find(at.jobs, {"state": PRESENT}, projection={"_id": 1}):
        await _remove(at, document["_id"], now)


async def get(at: Collections, job_id: str) -> Job | None:
    """Do what the port says of `get`."""
    document: Document | None = await at.link.call(at.jobs.find_one, {"_id": job_id}, HEAVY)
    return None if document is None or not is_present(document) else at.documents.job(document)


async def select(at: Collections, where: JobFilter, limit: int | None, after: str | None) -> list[Job]:
    """Do what the port says of `select`."""
    conditions: Document = {"state": PRESENT}
    if after is not None:
        last: Document | None = await at.link.call(at.jobs.find_one, {"_id": after}, HEAVY)
        if last is None or not is_present(last):
            raise JobLookupError(after)
        moment = last["next_run_time"]
        conditions["$or"] = [
            {"next_run_time": {"$gt": moment}},
            {"next_run_time": moment, "_id": {"$gt": after}},
        ]
    if where.tags:
        conditions["tags"] = {"$all": [tag_key(*tag) for tag in where.tags.items()]}
    if where.is_quarantined is not None:
        is_told = [{"quarantine": {"$gt": ""}}, {"mark": {"$gt": ""}}]
        conditions["$and"] = [{"$or" if where.is_quarantined else "$nor": is_told}]
    if where.expects_success is not None:
        conditions["expects_success"] = True if where.expects_success else None
    if limit == 0:
        return []
    found = await at.link.find(
        at.jobs, conditions, limit=limit or 0, sort=[("next_run_time", 1), ("_id", 1)], projection=HEAVY
    )
    return [at.documents.job(document) for document in found]


async def lanes(at: Collections) -> list[str]:
    """Return the lanes of the jobs; a step in an index each."""
    found: list[Any] = await at.link.call(at.jobs.distinct, "executor")
    return [lane for lane in found if isinstance(lane, str)]


async def add_run(at: Collections, run: Run) -> Run:
    """Do what the port says of `add_run`."""
    for attempt in range(1_000_000):
        document = await read(at, run.job_id)
        if document is None or not is_present(document):
            raise JobLookupError(run.job_id)
        entry = at.documents.entry(run)
        if not run.is_manual and (taken := await _taken(at, document, entry["nominal_time"])) is not None:
            return at.documents.listed(run_key(run.job_id, entry["nominal_time"]), taken) or run
        entry["nominal_time"] = await _free_time(at, document, entry["nominal_time"])
        pending = by_nominal_time([*document["pending"], entry])
        at.documents.check_room(run.job_id, pending)
        fields = {"pending": pending, "waiting": waiting(pending)}
        if await swap_once(at, document, fields):
            return at.documents.kept(run, entry)
        await breathe(attempt)
    raise AssertionError("unreachable")  # pragma: no cover


async def _taken(at: Collections, document: Document, nominal: int) -> Document | None:
    """Return the entry of the run that the job has at *nominal*, or its record in the history."""
    for entry in document["active"] + document["pending"]:
        if entry["nominal_time"] == nominal:
            return cast("Document", entry)
    found: Document | None = await at.link.call(at.runs.find_one, {"_id": run_key(document["_id"], nominal)})
    return found


async def _free_time(at: Collections, document: Document, nominal: int) -> Int64:
    """Return the first microsecond from *nominal* on of which the job has no run."""
    job_id = document["_id"]
    while True:
        moments = range(nominal, nominal + TRIES_AT_ONCE)
        keys = [run_key(job_id, moment) for moment in moments]
        found = await at.link.find(at.runs, {"_id": {"$in": keys}}, projection={"_id": 1})
        taken = {each["_id"]["nominal_time"] for each in found}
        taken |= {entry["nominal_time"] for entry in document["active"] + document["pending"]}
        for moment in moments:
            if moment not in taken:
                return Int64(moment)
        nominal += TRIES_AT_ONCE
