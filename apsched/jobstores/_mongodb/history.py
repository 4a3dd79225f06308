"""Read the history and forget what no rule keeps (layer 7).

Rule 1: open runs are in the documents of their jobs; these are read first, the history second.
Rule 2: a run is looked at for forgetting when it is old, or at once if its job says how many are kept. If it stays
because it is among the last ones of its job, it is not looked at again by itself: only together with a later one. So a
look costs what there is to forget, and not what there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bson import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey

from apsched._mongodb_clients import Document
from apsched.jobstores._codec import to_micros
from apsched.jobstores._mongodb.deciding import Collections
from apsched.jobstores._mongodb.documents import AT_ONCE, NEVER, PRESENT, run_key
from apsched.jobstores.base import RunFilter
from apsched.run import Run

LOOKED_AT = 500  # runs at a time


async def runs(at: Collections, where: RunFilter, limit: int, after: Run | None) -> list[Run]:
    """Do what the port says of `runs`."""
    if limit <= 0 or (where.outcomes is not None and not where.outcomes):
        return []
    pipeline: list[Document] = [
        {"$match": {"_id": where.job_id} if where.job_id is not None else {"$or": [HAS_ACTIVE, HAS_PENDING]}},
        {"$project": {"run": {"$concatArrays": [_list("$active"), _list("$pending")]}}},
        {"$unwind": "$run"},
        {"$match": _conditions(where, after, "run.", "run.nominal_time", "_id")},
        {"$sort": {"run.nominal_time": -1, "_id": -1}},
        {"$limit": limit},
    ]
    open_runs = await at.link.aggregate(at.jobs, pipeline)
    conditions = _conditions(where, after, "", "_id.nominal_time", "_id.job")
    order: list[tuple[str, int]] = [("_id.nominal_time", -1), ("_id.job", -1)]
    if where.job_id is not None:
        conditions = {"$and": [of_job(where.job_id), conditions]}
        order = [("_id", -1)]
    recorded = await at.link.find(at.runs, conditions, limit=limit, sort=order)
    found: dict[tuple[int, str], Document] = {}
    for each in open_runs:
        if "nominal_time" in each["run"]:
            found[each["run"]["nominal_time"], each["_id"]] = each["run"]
    for each in recorded:
        found[each["_id"]["nominal_time"], each["_id"]["job"]] = each
    latest = sorted(found, reverse=True)[:limit]
    listed = (at.documents.listed(run_key(job_id, moment), found[moment, job_id]) for moment, job_id in latest)
    return [run for run in listed if run is not None]


HAS_ACTIVE: Document = {"active.by": {"$exists": True}}
HAS_PENDING: Document = {"waiting": {"$lt": NEVER}}


def of_job(job_id: str) -> Document:
    """Return the condition of runs in the history that are of one job."""
    first, last = {"job": job_id, "nominal_time": MinKey()}, {"job": job_id, "nominal_time": MaxKey()}
    return {"_id": {"$gt": first, "$lt": last}}


def _conditions(where: RunFilter, after: Run | None, prefix: str, moment: str, job: str) -> Document:
    conditions: list[Document] = []
    if where.outcomes is not None:
        conditions.append({f"{prefix}outcome": {"$in": [outcome.value for outcome in where.outcomes]}})
    if where.node is not None:
        conditions.append({f"{prefix}node": where.node})
    if where.since is not None:
        conditions.append({moment: {"$gte": _moment(where.since)}})
    if where.until is not None:
        conditions.append({moment: {"$lte": _moment(where.until)}})
    if after is not None:
        last = _moment(after.nominal_time)
        conditions.append({"$or": [{moment: {"$lt": last}}, {moment: last, job: {"$lt": after.job_id}}]})
        conditions.append({moment: {"$lte": last}})  # says it to the index
    return {"$and": conditions} if conditions else {}


def _list(path: str) -> Document:
    return {"$cond": [{"$isArray": path}, path, []]}


def _moment(moment: datetime) -> Int64:
    return Int64(to_micros(moment))


async def keep_fewer(at: Collections, job_id: str) -> None:
    """Let all runs of a job be looked at, since it says now how many are kept."""
    await at.link.call(at.runs.update_many, of_job(job_id), {"$set": {"prune_at": AT_ONCE}})


async def prune(at: Collections, before: datetime, limit: int) -> int:
    """Do what the port says of `prune`."""
    moment = _moment(before)
    forgotten = 0
    while forgotten < limit:
        old = {"prune_at": {"$lt": moment}}
        candidates = await at.link.find(
            at.tidy_runs, old, limit=LOOKED_AT, sort=[("prune_at", 1)], projection={"_id": 1, "ended_at": 1}
        )
        if not candidates:
            break
        job_ids = list({each["_id"]["job"] for each in candidates})
        named = {"_id": {"$in": job_ids}, "state": PRESENT, "keep_runs": {"$ne": None}}
        keeps = {
            each["_id"]: each["keep_runs"] for each in await at.link.find(at.jobs, named, projection={"keep_runs": 1})
        }
        crowded = await _crowded(at, job_ids, keeps)
        for job_id in crowded:
            until = None if job_id in keeps else moment
            forgotten += await _forget(at, job_id, keeps.get(job_id, at.keep_runs), until, limit - forgotten)
            if forgotten >= limit:
                return forgotten
        await _let_be(at, candidates, keeps, moment)
    return forgotten


async def _crowded(at: Collections, job_ids: Sequence[str], keeps: dict[str, int]) -> list[str]:
    """Return the jobs that have more runs in the history than are always kept."""
    counts = await at.link.aggregate(
        at.tidy_runs,
        [
            {"$match": {"$or": [of_job(job_id) for job_id in job_ids]}},
            {"$project": {"_id": 1}},
            {"$group": {"_id": "$_id.job", "count": {"$sum": 1}}},
        ],
    )
    return [each["_id"] for each in counts if each["count"] > keeps.get(each["_id"], at.keep_runs)]


async def _forget(at: Collections, job_id: str, keep: int, until: Int64 | None, limit: int) -> int:
    """Forget runs of a job but its last *keep*, and of these only what ended before *until*."""
    latest = await at.link.find(
        at.tidy_runs, of_job(job_id), sort=[("_id", -1)], skip=keep, limit=1, projection={"_id": 1}
    )
    if not latest:
        return 0
    first = {"job": job_id, "nominal_time": MinKey()}
    conditions: Document = {"_id": {"$gt": first, "$lte": latest[0]["_id"]}}
    if until is not None:
        conditions["ended_at"] = {"$lt": until}
    found = await at.link.find(at.tidy_runs, conditions, sort=[("_id", 1)], limit=limit, projection={"_id": 1})
    if not found:
        return 0
    result = await at.link.call(at.runs.delete_many, {"_id": {"$in": [each["_id"] for each in found]}})
    return int(result.deleted_count)


async def _let_be(at: Collections, candidates: Sequence[Document], keeps: dict[str, int], moment: Int64) -> None:
    """Look at those of the candidates that stayed no more; or again when they are old."""
    young = [each["_id"] for each in candidates if each["_id"]["job"] not in keeps and each["ended_at"] >= moment]
    rest = [each["_id"] for each in candidates]
    later: Any = [{"$set": {"prune_at": "$ended_at"}}]
    if young:
        await at.link.call(at.tidy_runs.update_many, {"_id": {"$in": young}}, later)
    await at.link.call(
        at.tidy_runs.update_many, {"_id": {"$in": rest}, "prune_at": {"$lt": moment}}, {"$unset": {"prune_at": ""}}
    )
