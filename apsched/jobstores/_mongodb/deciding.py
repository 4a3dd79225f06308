"""Change the documents of jobs by compare-and-set (layer 7).

Rule 1: whatever is decided about a job and its open runs is one change of its one document. It holds if the document
still has the `rev` that was read; the new `rev` is an id that nobody has used.
Rule 2: a run that ends leaves the `rev` alone. It takes nothing from others but a place among those under way, so what
was decided meanwhile still holds. Whoever decides about runs under way compares `active` too.
Rule 3: whether any job follows another one is told by a document beside those of jobs, written before the first that
does. The statement that ends runs counts it, so that nothing is asked for where none does.
Rule 4: a batch is one statement, of updates of some documents each, by a pipeline that finds what is to become of them
in a table. That takes the server a third of the time of as many updates of one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio
import attrs
from bson import Int64, ObjectId
from pymongo import UpdateMany

from apsched._mongodb_clients import Document, MongoLink
from apsched.jobstores._mongodb.documents import NEVER, PRESENT, RUNNING, SIGN, Documents, new_token

PATIENT_UNTIL = 3  # lost races after which a while is waited
LARGEST_TABLE = 50  # documents of one update; the server seeks each of them in the table from its beginning


@attrs.frozen
class Collections:
    """
    What the parts of a store work with while it is open.

    Attributes:
        link: Calls the server.
        documents: Makes and reads documents.
        jobs: The jobs, with their open runs.
        runs: The history.
        nodes: The nodes.
        tidy_jobs, tidy_runs: The same, for what may be lost at a crash of the server: it is done again.
        keep_runs: How many finished runs are kept of a job that names no number.
        naming: Ids of jobs, of those seen here, that name how many of their runs are kept.
    """

    link: MongoLink
    documents: Documents
    jobs: Any
    runs: Any
    nodes: Any
    tidy_jobs: Any
    tidy_runs: Any
    keep_runs: int
    naming: set[str] = attrs.Factory(set)

    def see(self, job_id: str, keep_runs: int | None) -> None:
        """Remember whether a job names how many of its runs are kept."""
        if keep_runs is not None:
            self.naming.add(job_id)
        elif self.naming:
            self.naming.discard(job_id)


@attrs.frozen
class Decision:
    """
    What becomes of one document.

    Attributes:
        document: As it was read.
        fields: What is set.
        entries: What is added to `active`.
        leaving: Nominal times of what is taken out of it.
    """

    document: Document
    fields: Document
    entries: Sequence[Document] = ()
    leaving: Sequence[int] = ()


async def decide(at: Collections, decisions: Sequence[Decision], token: ObjectId) -> int:
    """Carry out *decisions*, whose documents differ, as far as their `rev` holds, and return how many did."""
    table = {
        each.document["_id"]: {
            "rev": each.document.get("rev"),
            "fields": {**each.fields, "rev": token},
            "entries": list(each.entries),
            "leaving": list(each.leaving),
        }
        for each in decisions
    }
    stays = {"$not": {"$in": ["$$run.nominal_time", "$$it.leaving"]}}
    kept = {"$filter": {"input": "$active", "as": "run", "cond": stays}}
    active = _if_list({"$concatArrays": [kept, "$$it.entries"]})
    decided = {"$mergeObjects": ["$$ROOT", "$$it.fields", {"active": active}]}
    holds = {"$eq": [{"$ifNull": ["$rev", None]}, "$$it.rev"]}
    result = await _change_each(at, table, {"$cond": [holds, decided, "$$ROOT"]})
    return int(result.modified_count)


async def end_runs(at: Collections, ended: Mapping[str, Sequence[Document]]) -> tuple[int, bool]:
    """
    Put entries in the place of those under way of the same nominal time, epoch and node.

    Args:
        at: Where.
        ended: Id of a job -> entries of closed runs.

    Returns:
        Of how many jobs one or more were; and whether any job of the store may follow another one, where all were.
    """
    new = _with_runs_under_way({"$ifNull": [_same_claim(), "$$run"]})
    result = await _change_each(at, {**ended, SIGN: []}, new)
    return int(result.modified_count), bool(result.matched_count > len(ended))


async def tell_notes(at: Collections, told: Mapping[str, Sequence[Document]]) -> None:
    """
    Set the notes of entries under way of the same nominal time, epoch and node.

    Args:
        at: Where.
        told: Id of a job -> those three and `notes`.
    """
    await _change_each(at, told, _with_runs_under_way({"$mergeObjects": ["$$run", _same_claim()]}))


def _same_claim() -> Document:
    """Return what finds the entry in `$$it` that is of the same claim as `$$run`."""
    is_it = [{"$eq": [f"$$run.{name}", f"$$entry.{name}"]} for name in ("nominal_time", "epoch", "node")]
    return {"$first": {"$filter": {"input": "$$it", "as": "entry", "cond": {"$and": is_it}}}}


def _with_runs_under_way(new: Document) -> Document:
    """Return what puts *new* in the place of each entry under way, `$$run`."""
    one = {"$cond": [{"$eq": ["$$run.outcome", RUNNING]}, new, "$$run"]}
    active = _if_list({"$map": {"input": "$active", "as": "run", "in": one}})
    return {"$mergeObjects": ["$$ROOT", {"active": active}]}


async def _change_each(at: Collections, table: Mapping[Any, Any], new: Document) -> Any:
    """Replace each document that *table*, which is not empty, names by *new*, in which `$$it` is its entry there."""
    ids, updates = list(table), []
    for first in range(0, len(ids), LARGEST_TABLE):
        some = ids[first : first + LARGEST_TABLE]
        entries = {"$literal": [table[each] for each in some]}
        entry = {"$arrayElemAt": [entries, {"$indexOfArray": [{"$literal": some}, "$_id"]}]}
        pipeline = [{"$replaceWith": {"$let": {"vars": {"it": entry}, "in": new}}}]
        updates.append(UpdateMany({"_id": {"$in": some}}, pipeline))
    return await at.link.call(at.jobs.bulk_write, updates, ordered=False)


def _if_list(new: Document) -> Document:
    """Return what gives *new*, and where somebody has damaged `active`, that as it is."""
    return {"$cond": [{"$isArray": "$active"}, new, "$active"]}


async def swap(at: Collections, job_id: str, change: Callable[[Document], Document | None]) -> Document | None:
    """
    Decide about one document, anew as often as somebody else was faster.

    Args:
        at: Where.
        job_id: The id of the job.
        change: What it is told -> the fields to set, `active` and `pending` wholly; None to leave it as it is.

    Returns:
        The document as it is now; None if there is none, or it was left.
    """
    for attempt in range(1_000_000):
        document = await read(at, job_id)
        fields = None if document is None else change(document)
        if document is None or fields is None:
            return None
        if await swap_once(at, document, fields):
            return {**document, **fields}
        await breathe(attempt)
    raise AssertionError("unreachable")  # pragma: no cover


async def swap_once(at: Collections, document: Document, fields: Document) -> bool:
    """Set *fields* of a document if it still is what was read."""
    where = {"_id": document["_id"], "rev": document.get("rev"), "active": document.get("active")}
    result = await at.link.call(at.jobs.update_one, where, {"$set": {**fields, "rev": new_token()}})
    return bool(result.matched_count)


async def read(at: Collections, job_id: str) -> Document | None:
    """Return the document of a job, present or gone."""
    found: Document | None = await at.link.call(at.jobs.find_one, {"_id": job_id})
    return found


async def breathe(attempt: int) -> None:
    """Let others end what they do, after some lost races."""
    if attempt >= PATIENT_UNTIL:
        await anyio.sleep(random.uniform(0, 0.02))  # noqa: S311  # no secret


def is_present(document: Document | None) -> bool:
    """Return whether it is that of a job in the list."""
    return document is not None and document.get("state", PRESENT) == PRESENT


def gone(state: str) -> Document:
    """Return the fields of a job that leaves the list."""
    return {"state": state, "due": NEVER, "next_run_time": NEVER, "next_nominal_time": None}


def fresh(job_id: str, fields: Document, token: ObjectId) -> Document:
    """Return the document of a new job."""
    return {"_id": job_id, **fields, "rev": token, "active": [], "pending": [], "waiting": Int64(NEVER)}
