"""Ask nodes to cancel runs that they have under way (layer 7).

Rule 1: the reason stands with the run in the document of its job, and goes with it. That there is one is told in the
document of the node besides, where to look costs nothing.
Rule 2: the reason is written first. So what a node is told of and finds no reason for has ended, and is taken out.
Rule 3: to write it is to decide about a run under way, so it gives the document a new `rev`: what would let the run
wait again, by what was read before, does not hold any more.
"""

from __future__ import annotations

from bson import Int64

from apsched._mongodb_clients import Document
from apsched.jobstores._codec import to_micros
from apsched.jobstores._mongodb.deciding import Collections
from apsched.jobstores._mongodb.documents import RUNNING, new_token, running, valid
from apsched.run import Run


async def ask(at: Collections, run: Run, reason: str) -> bool:
    """Do what the port says of `ask_to_cancel`."""
    claim = {"nominal_time": Int64(to_micros(run.nominal_time)), "epoch": run.epoch, "node": run.node}
    where = {"_id": run.job_id, "active": {"$elemMatch": {**claim, "outcome": RUNNING}}}
    asked = {"active.$.cancel_reason": valid(reason), "rev": new_token()}
    result = await at.link.call(at.jobs.update_one, where, {"$set": asked})
    if not result.matched_count:
        return False
    told = {"job": run.job_id, "token": new_token()}
    await at.link.call(at.nodes.update_one, {"_id": run.node}, {"$push": {"asked": told}})
    return True


async def asked(at: Collections, owner: str) -> list[Run]:
    """Do what the port says of `asked_to_cancel`."""
    told: Document | None = await at.link.call(at.nodes.find_one, {"_id": owner, "asked.0": {"$exists": True}})
    if told is None:
        return []
    found: list[Run] = []
    for document in await at.link.find(at.jobs, {"_id": {"$in": [each["job"] for each in told["asked"]]}}):
        entries = [each for each in running(document) if each.get("node") == owner and "cancel_reason" in each]
        found += [run for each in entries if (run := at.documents.held(document["_id"], each)) is not None]
    job_ids = {run.job_id for run in found}
    ended = [each["token"] for each in told["asked"] if each["job"] not in job_ids]
    if ended:
        await at.link.call(at.nodes.update_one, {"_id": owner}, {"$pull": {"asked": {"token": {"$in": ended}}}})
    return found
