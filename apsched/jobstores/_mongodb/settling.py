"""Write closed runs to the history and let go of them in the documents of their jobs (layer 7).

Rule 1: history first. A closed run leaves its job's document when it is in the history and not before; so whoever reads
documents first and the history second misses none.
Rule 2: everything here may be done twice and by any node: a run that is in the history already is left there.
Rule 3: what a token marks is let go of by the process that made the token, and only when all of it is written. Anybody
else names each run.
Rule 4: a job that is gone goes for good with its last entry.
Rule 5: the jobs that follow come before all of that: see `following`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from bson import ObjectId
from pymongo import DeleteOne, UpdateOne
from pymongo.errors import BulkWriteError

from apsched._mongodb_clients import Document
from apsched.jobstores._mongodb.deciding import Collections
from apsched.jobstores._mongodb.documents import PRESENT, closed, record
from apsched.jobstores._mongodb.following import follow
from apsched.run import Run

DUPLICATE_KEY = 11000


async def settle_token(at: Collections, ended: Mapping[str, Sequence[Document]], token: ObjectId) -> None:
    """
    Settle what this process has marked by *token* and nothing has to follow any more.

    Args:
        at: Where.
        ended: Id of a job -> all its entries of that token; without any for a job that may be gone.
        token: The mark.
    """
    await _write(
        at, [record(job_id, run, names_keep_runs=job_id in at.naming) for job_id in ended for run in ended[job_id]]
    )
    others = {"$elemMatch": {"token": {"$ne": token}}}
    ids = list(ended)
    where: Document = {"_id": {"$in": ids}, "state": {"$ne": PRESENT}, "pending": [], "active": {"$not": others}}
    result = await at.link.call(at.tidy_jobs.delete_many, where)
    if result.deleted_count < len(ids):
        where = {"_id": {"$in": ids}, "active.token": token}
        await at.link.call(at.tidy_jobs.update_many, where, {"$pull": {"active": {"token": token}}})


async def settle_documents(at: Collections, documents: Collection[Document]) -> list[Run]:
    """
    Settle the closed runs of *documents*, whoever has closed them; those that are gone and empty go.

    Returns:
        The runs that follow these, as far as nobody else has made them.
    """
    entries = {document["_id"]: closed(document) for document in documents}
    followers = await follow(at, entries)
    await _write(
        at,
        [
            record(document["_id"], entry, names_keep_runs=document.get("keep_runs") is not None)
            for document in documents
            for entry in entries[document["_id"]]
        ],
    )
    tidying: list[DeleteOne | UpdateOne] = []
    for document in documents:
        job_id = document["_id"]
        if entries[job_id]:
            moments = [entry["nominal_time"] for entry in entries[job_id]]
            written = {"nominal_time": {"$in": moments}, "token": {"$exists": True}}
            tidying.append(UpdateOne({"_id": job_id}, {"$pull": {"active": written}}))
        if document.get("state") != PRESENT:
            tidying.append(DeleteOne({"_id": job_id, "state": {"$ne": PRESENT}, "pending": [], "active": []}))
    if tidying:
        await at.link.call(at.tidy_jobs.bulk_write, tidying)
    return followers


async def _write(at: Collections, records: list[Document]) -> None:
    if not records:
        return
    try:
        await at.link.call(at.tidy_runs.insert_many, records, ordered=False)
    except BulkWriteError as exc:
        errors = (exc.details or {}).get("writeErrors", [])
        if not errors or any(error["code"] != DUPLICATE_KEY for error in errors):
            raise
