"""Keep the nodes, raise their beat, settle what the dead ones had (layer 7).

Rule 1: runs under way are read first and the nodes second. A node that claims has joined before; so whoever has runs
and is not found among the nodes has died or left.
Rule 2: that holds for claims that come late too. So a node that is dead is forgotten as soon as its runs are settled.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import Int64, ObjectId

from apsched._mongodb_clients import Document
from apsched.jobstores._codec import EPOCH, from_micros, to_micros
from apsched.jobstores._mongodb.deciding import Collections, read, swap_once
from apsched.jobstores._mongodb.documents import NEVER, PRESENT, REMOVED, closed, new_token, running
from apsched.jobstores._mongodb.finishing import returned
from apsched.jobstores._mongodb.settling import settle_documents
from apsched.jobstores.base import AfterCrash, Node
from apsched.run import Run

LEASE = 60.0  # seconds; of a node whose document is damaged
FORGOTTEN_AFTER = timedelta(seconds=60)  # a closed run that is not in the history by then is written by any node


async def join(at: Collections, node: str, lease: float, now: datetime) -> None:
    """Do what the port says of `join`."""
    moment = Int64(to_micros(now))
    fields = {"beat": 0, "lease": float(lease), "started_at": moment, "seen_at": moment, "is_dead": False}
    await at.link.call(at.nodes.replace_one, {"_id": node}, fields, upsert=True)
    waits = {"$gt": ["$follows", None]}
    is_due = {"$and": [{"$eq": ["$state", PRESENT]}, {"$isNumber": "$next_run_time"}, {"$not": waits}]}
    due = {"$cond": [is_due, "$next_run_time", NEVER]}
    released = [{"$set": {"quarantine": None, "due": due, "rev": new_token()}}]
    await at.link.call(at.jobs.update_many, {"quarantine": {"$gt": ""}}, released)
    await at.link.call(at.jobs.update_many, {"mark": {"$gt": ""}}, {"$set": {"mark": None}})


async def leave(at: Collections, node: str) -> None:
    """Do what the port says of `leave`."""
    await at.link.call(at.nodes.delete_one, {"_id": node})


async def beat(at: Collections, node: str, now: datetime) -> bool:
    """Raise the beat of *node*; False if it is not known or dead."""
    raised = {"$inc": {"beat": 1}, "$set": {"seen_at": Int64(to_micros(now))}}
    result = await at.link.call(at.nodes.update_one, {"_id": node, "is_dead": False}, raised)
    return bool(result.matched_count)


async def nodes(at: Collections) -> list[Node]:
    """Do what the port says of `nodes`."""
    return [
        Node(
            id=each["_id"],
            beat=_number(each.get("beat"), 0),
            lease=_number(each.get("lease"), LEASE),
            started_at=_moment(each.get("started_at")),
            seen_at=_moment(each.get("seen_at")),
            is_dead=bool(each.get("is_dead")),
        )
        for each in await at.link.find(at.nodes, {}, sort=[("_id", 1)])
    ]


def _number(value: Any, otherwise: Any) -> Any:
    """Return *value*, or *otherwise* where somebody has damaged it."""
    return value if isinstance(value, (int, float)) else otherwise


def _moment(value: object) -> datetime:
    """Return a time that is for people only; a damaged one is long ago."""
    try:
        return from_micros(value) if isinstance(value, int) else EPOCH
    except OverflowError:
        return EPOCH


async def reap(at: Collections, dead: Mapping[str, int], after_crash: AfterCrash, now: datetime) -> list[Run]:
    """Do what the port says of `reap`; writes besides what others have not written to the history."""
    for node, seen in dead.items():
        where = {"_id": node, "beat": seen, "is_dead": False}
        await at.link.call(at.nodes.update_one, where, {"$set": {"is_dead": True}})
    busy = set(await at.link.call(at.jobs.distinct, "active.by", {"active.by": {"$exists": True}}))
    known = {
        each["_id"]: bool(each.get("is_dead")) for each in await at.link.find(at.nodes, {}, projection={"is_dead": 1})
    }
    lost = sorted(node for node in busy if isinstance(node, str) and known.get(node, True))
    settled: list[Run] = []
    followers: list[Run] = []
    if lost:
        for each in await at.link.find(at.jobs, {"active.by": {"$in": lost}}, projection={"_id": 1}):
            of_job, follow_it = await _settle(at, each["_id"], lost, after_crash, now)
            settled += of_job
            followers += follow_it
    followers += await _settle_forgotten(at, now)
    for node, is_dead in known.items():
        if is_dead:
            await at.link.call(at.nodes.delete_one, {"_id": node, "is_dead": True})
    return settled + followers


async def _settle(
    at: Collections, job_id: str, lost: list[str], after_crash: AfterCrash, now: datetime
) -> tuple[list[Run], list[Run]]:
    """Settle what lost nodes have of one job, and return it and the runs that follow."""
    while (document := await read(at, job_id)) is not None and isinstance(document.get("active"), list):
        job = None if document["state"] == REMOVED else at.documents.job(document, resolve=False)
        under_way = [(entry, at.documents.held(job_id, entry)) for entry in running(document)]
        taken = [(entry, run) for entry, run in under_way if run is not None and run.node in lost]
        kept = [entry for entry in document["active"] if all(entry is not other for other, _ in taken)]
        successors = [after_crash(job, run) for _, run in taken]
        if not taken:
            return [], await settle_documents(at, [document]) if closed(document) else []
        fields = returned(at, document, kept, successors, now)
        if await swap_once(at, document, fields):
            for successor in successors:
                successor.cancel_reason = None
            return successors, await settle_documents(at, [{**document, **fields}])
    return [], []


async def _settle_forgotten(at: Collections, now: datetime) -> list[Run]:
    """Go on with what nodes have left half-done that are alive: a call of theirs was cut off."""
    long_ago = ObjectId.from_datetime((now - FORGOTTEN_AFTER).astimezone(UTC))
    unwritten: Document = {"active": {"$elemMatch": {"by": {"$exists": True}, "token": {"$lt": long_ago}}}}
    found = await at.link.find(at.jobs, {"active.by": {"$exists": True}, **unwritten})
    return await settle_documents(at, found) if found else []
