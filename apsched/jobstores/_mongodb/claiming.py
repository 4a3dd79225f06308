"""Claim due jobs and pending runs (layer 7).

A look and a claim take four statements, however many jobs are due:

1. one aggregate: the node, the due jobs and the pending runs of each executor, with the open runs of these jobs;
2. which of the nominal times that were planned are in the history already;
3. one update that holds for each job whose `rev` still holds. If it did not for some, one more to see which;
4. the node again: one that was taken for dead meanwhile starts nothing. What it has claimed is settled by `reap`.

Runs that are closed at once (missed, skipped, coalesced) are written to the history then, in three more.

Rule 1: a nominal time is recorded already if it is in the job's document or in the history. Documents are read first,
and runs go from them to the history; a new one changes `rev`. So what step 2 does not find is new if step 3 holds.
Rule 2: where nodes race for the same jobs, they do not all look at the earliest ones. That is a matter of speed.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import datetime

import attrs
from bson import Int64, ObjectId

from apsched._mongodb_clients import Document
from apsched.exceptions import LeaseLostError
from apsched.job import Job
from apsched.jobstores._codec import to_micros
from apsched.jobstores._mongodb.deciding import Collections, Decision, breathe, decide, gone
from apsched.jobstores._mongodb.documents import (
    FINISHED,
    MOST_PENDING,
    NEVER,
    REMOVED,
    RUNNING,
    by_nominal_time,
    new_token,
    run_key,
    running,
    valid,
    waiting,
)
from apsched.jobstores._mongodb.settling import settle_token
from apsched.jobstores._unfit import Unfit
from apsched.run import Outcome, Plan, Planner, Run

WINDOWS = 8  # among which nodes that race choose where to look
CROWDED = 0.25  # the share of lost claims from which on they do

UNLIMITED = 2**31  # instances
DAMAGED = (KeyError, TypeError, ValueError)  # what an entry raises that somebody has changed by hand

UNDER_WAY: Document = {
    "$filter": {
        "input": {"$cond": [{"$isArray": "$active"}, "$active", []]},
        "as": "run",
        "cond": {"$eq": ["$$run.outcome", RUNNING]},
    }
}
HAS_ROOM: Document = {"$lt": [{"$size": UNDER_WAY}, {"$ifNull": ["$max_instances", UNLIMITED]}]}


@attrs.define
class Crowd:
    """How many claims were lost to other nodes of late, as a share of all."""

    lost: float = 0.0

    def note(self, claims: int, lost: int) -> None:
        """Take account of one batch."""
        self.lost = 0.5 * self.lost + 0.5 * lost / claims

    def choose(self) -> int:
        """Return which of the windows to look at, the earliest one being 0."""
        return random.randrange(WINDOWS) if self.lost > CROWDED else 0  # noqa: S311  # no secret


@attrs.define(eq=False)
class _Draft:
    """
    What is being made of one document.

    Attributes:
        document: As it was read.
        job: The job.
        open_runs: Its runs that are pending or under way, those that are claimed here too.
        claimed: Its pending runs that are claimed.
        plan: What is to become of the due job.
    """

    document: Document
    job: Job
    open_runs: list[Run]
    claimed: list[Run] = attrs.Factory(list)
    plan: Plan | None = None

    @property
    def plans(self) -> list[Plan]:
        """What is returned for it."""
        return [Plan(job=self.job, runs=(run,)) for run in self.claimed] + ([] if self.plan is None else [self.plan])

    @property
    def is_claiming(self) -> bool:
        """Whether a run of it is to be started."""
        return any(run.outcome is Outcome.RUNNING for plan in self.plans for run in plan.runs)

    def drop(self, recorded: set[int]) -> None:
        """Leave the nominal times of *recorded* out of the plan."""
        if self.plan is not None:
            for run in self.plan.runs:
                if to_micros(run.nominal_time) in recorded:
                    kept = tuple(other for other in self.plan.runs if other is not run)
                    cancel = () if run.outcome is Outcome.RUNNING else self.plan.cancel
                    self.plan = attrs.evolve(self.plan, runs=kept, cancel=cancel)

    def decision(self, at: Collections, unfit: Unfit, token: ObjectId, owner: str) -> Decision:
        """Return what is to be stored."""
        plan, fields = self.plan, dict[str, object]()
        planned: Sequence[Run] = () if plan is None else plan.runs
        entries = []
        pending: list[Document] = []
        for run in (*self.claimed, *planned):
            if run.outcome is Outcome.RUNNING:
                entries.append(at.documents.entry(run, by=owner, claim=token))
            elif run.outcome is Outcome.PENDING:
                pending.append(at.documents.entry(run))
            else:
                entries.append(at.documents.entry(run, by=owner, token=token))
        if self.claimed or pending:
            claimed = {to_micros(run.nominal_time) for run in self.claimed}
            kept = [entry for entry in self.document["pending"] if entry["nominal_time"] not in claimed]
            fields["pending"] = by_nominal_time(kept + pending)
            fields["waiting"] = waiting(kept + pending)
        if plan is not None:
            mark = unfit.mark_of(plan.job, owner)
            fields |= _fields(plan) if mark is None else {"mark": mark}
        return Decision(self.document, fields, entries)


async def take_due(
    at: Collections, crowd: Crowd, unfit: Unfit, now: datetime, slots: Mapping[str, int], plan: Planner, owner: str
) -> list[Plan]:
    """Do what the port says of `take_due`."""
    attempt = 0
    while True:
        drafts = await _plan_all(at, crowd, unfit, now, slots, plan, owner)
        if not drafts:
            return []
        token = new_token()
        decisions = {draft.job.id: draft.decision(at, unfit, token, owner) for draft in drafts}
        held = await decide(at, list(decisions.values()), token)
        won = drafts if held == len(drafts) else await _won(at, drafts, token)
        crowd.note(len(drafts), len(drafts) - len(won))
        if won:
            break
        attempt += 1  # somebody else took or changed all of them: there may be others, or they may still be due
        await breathe(attempt)
    if any(draft.is_claiming for draft in won):
        await _check_node(at, owner)
    for draft in won:
        at.see(draft.job.id, draft.job.keep_runs)
    await _settle(at, [decisions[draft.job.id] for draft in won], token)
    plans = [made for draft in won for made in draft.plans]
    for made in plans:
        _move_on(made)
    return plans


async def _plan_all(
    at: Collections, crowd: Crowd, unfit: Unfit, now: datetime, slots: Mapping[str, int], plan: Planner, owner: str
) -> list[_Draft]:
    """Look, and decide what is to become of what is found."""
    free = {alias: number for alias, number in slots.items() if number > 0}
    moment = to_micros(now)
    window = crowd.choose()
    found = await _look(at, unfit, owner, free, moment, window)
    if window and not found:
        found = await _look(at, unfit, owner, free, moment, 0)
    drafts = [_draft(at, unfit, document, now, owner) for document in found]
    _claim_pending(drafts, free, now, owner)
    _plan_due(drafts, free, moment, now, plan, owner)
    drafts = [draft for draft in drafts if draft.plans]
    if drafts:
        await _drop_recorded(at, drafts)
    return drafts


async def claimed(at: Collections, owner: str) -> list[Plan]:
    """Do what the port says of `claimed`."""
    plans: list[Plan] = []
    for document in await at.link.find(at.jobs, {"active.by": owner, "state": {"$ne": REMOVED}}):
        job = at.documents.job(document, resolve=True)
        at.see(job.id, job.keep_runs)
        runs = [at.documents.held(job.id, entry) for entry in running(document) if entry.get("node") == owner]
        plans += [Plan(job=job, runs=(run,)) for run in runs if run is not None]
    return plans


async def next_moment(at: Collections, unfit: Unfit, slots: Mapping[str, int], owner: str) -> int | None:
    """Return the microsecond that `next_run_time` of the port returns."""
    aliases = [alias for alias, free in slots.items() if free > 0]
    if not aliases:
        return None
    is_fit = _is_fit(unfit, owner)
    conditions: dict[str, Document] = {"due": is_fit, "waiting": {"quarantine": None, "$expr": HAS_ROOM, **is_fit}}
    branches: list[list[Document]] = [
        [
            {"$match": {"executor": alias, name: {"$lt": NEVER}, **others}},
            {"$sort": {name: 1}},
            {"$limit": 1},
            {"$project": {"_id": 0, "moment": f"${name}"}},
        ]
        for alias in aliases
        for name, others in conditions.items()
    ]
    unions = [{"$unionWith": {"coll": at.jobs.name, "pipeline": branch}} for branch in branches[1:]]
    firsts = await at.link.aggregate(at.jobs, [*branches[0], *unions])
    return min((int(first["moment"]) for first in firsts if isinstance(first["moment"], int)), default=None)


def _is_fit(unfit: Unfit, owner: str) -> Document:
    """Return the condition that a job is none of those that *owner* has marked."""
    tried = unfit.of(owner)
    if not tried:
        return {}
    return {"$nor": [{"_id": {"$in": list(tried)}, "mark": {"$in": sorted(set(tried.values()))}}]}


async def _look(
    at: Collections, unfit: Unfit, owner: str, free: Mapping[str, int], moment: int, window: int
) -> list[Document]:
    """Return documents of what may be claimed: those of pending runs first, then due ones, the earliest first."""
    pipeline: list[Document] = [
        {"$match": {"_id": owner, "is_dead": False}},
        {"$project": {"is_node": {"$literal": 1}}},
    ]
    is_fit = _is_fit(unfit, owner)
    pending = {"waiting": {"$lte": Int64(moment)}, "quarantine": None, "$expr": HAS_ROOM, **is_fit}
    branches = [
        [{"$match": {"executor": alias, **pending}}, {"$sort": {"waiting": 1}}, {"$limit": number}]
        for alias, number in free.items()
    ] + [
        [
            {"$match": {"executor": alias, "due": {"$lte": Int64(moment)}, **is_fit}},
            {"$sort": {"due": 1}},
            {"$skip": window * number},
            {"$limit": number},
        ]
        for alias, number in free.items()
    ]
    pipeline += [{"$unionWith": {"coll": at.jobs.name, "pipeline": branch}} for branch in branches]
    found = await at.link.aggregate(at.nodes, pipeline)
    if not found or "is_node" not in found[0]:
        raise LeaseLostError(owner)
    return list({document["_id"]: document for document in found[1:]}.values())


def _draft(at: Collections, unfit: Unfit, document: Document, now: datetime, owner: str) -> _Draft:
    job = at.documents.job(document, resolve=True)
    unfit.note(job, owner, now, document.get("mark"))
    open_runs: list[Run] = []
    if job.quarantine is None:
        try:
            entries = running(document) + document["pending"]
            open_runs = [at.documents.run(job.id, entry) for entry in entries]
        except DAMAGED as exc:
            job.quarantine = f"its document is damaged: a run of it cannot be read ({type(exc).__name__}: {exc})"
    plan = None if job.quarantine is None else Plan(job=job, quarantine=job.quarantine)
    return _Draft(document, job, open_runs, plan=plan)


def _claim_pending(drafts: Sequence[_Draft], free: dict[str, int], now: datetime, owner: str) -> None:
    """Claim the earliest pending runs that are due and may start, within the free slots, which become fewer."""
    candidates: list[tuple[datetime, _Draft, Run]] = []
    for draft in drafts:
        due = [run for run in draft.open_runs if run.outcome is Outcome.PENDING and run.due_time <= now]
        if due and draft.plan is None:
            limit = draft.document.get("max_instances") or UNLIMITED
            room = max(0, limit - sum(run.outcome is Outcome.RUNNING for run in draft.open_runs))
            due.sort(key=lambda run: run.nominal_time)
            candidates += [(run.nominal_time, draft, run) for run in due[:room]]
    for _, draft, run in sorted(candidates, key=lambda candidate: candidate[0]):
        if free[draft.job.lane] > 0:
            free[draft.job.lane] -= 1
            taken = attrs.evolve(run, outcome=Outcome.RUNNING, epoch=run.epoch + 1, node=owner, claimed_at=now)
            draft.claimed.append(taken)
            draft.open_runs[draft.open_runs.index(run)] = taken


def _plan_due(
    drafts: Sequence[_Draft], free: dict[str, int], moment: int, now: datetime, plan: Planner, owner: str
) -> None:
    """Plan for the earliest due jobs, within the free slots, which become fewer."""
    due = [draft for draft in drafts if draft.plan is None and draft.document["due"] <= moment]
    for draft in sorted(due, key=lambda draft: draft.document["due"]):
        if free[draft.job.lane] > 0:
            free[draft.job.lane] -= 1
            draft.plan = _bounded(plan(draft.job, draft.open_runs, now, owner), len(draft.document["pending"]))


def _bounded(plan: Plan, waiting_already: int) -> Plan:
    """Return *plan*, or what becomes of the job if more of its runs would wait than fit in its document."""
    added = sum(run.outcome is Outcome.PENDING for run in plan.runs)
    if not added or waiting_already + added <= MOST_PENDING:
        return plan
    reason = f"{waiting_already} of its runs wait, and at most {MOST_PENDING} can; let more of them run at a time"
    return Plan(job=plan.job, quarantine=reason)


def _fields(plan: Plan) -> Document:
    """Return what a plan changes of its job."""
    if plan.quarantine is not None:
        return {"quarantine": valid(plan.quarantine), "due": NEVER}
    if plan.removes_job:
        return gone(FINISHED)
    due = NEVER if plan.next_run_time is None else Int64(to_micros(plan.next_run_time))
    nominal = None if plan.next_nominal_time is None else Int64(to_micros(plan.next_nominal_time))
    return {"next_run_time": due, "next_nominal_time": nominal, "due": due}


def _move_on(plan: Plan) -> None:
    """Let the job of a plan that holds show what comes next."""
    job = plan.job
    if plan.quarantine is not None:
        job.quarantine = plan.quarantine
    elif plan.next_run_time is not None or plan.removes_job:
        job.next_nominal_time, job.next_run_time = plan.next_nominal_time, plan.next_run_time


async def _drop_recorded(at: Collections, drafts: Sequence[_Draft]) -> None:
    """Leave nominal times out of the plans that are recorded already."""
    planned = [draft for draft in drafts if draft.plan is not None and draft.plan.runs]
    if not planned:
        return
    keys = [run_key(run.job_id, to_micros(run.nominal_time)) for draft in planned for run in draft.plan.runs]  # type: ignore[union-attr]  # all of these have one
    recorded: dict[str, set[int]] = {}
    for draft in planned:
        if draft.document["active"] or draft.document["pending"]:
            entries = draft.document["active"] + draft.document["pending"]
            recorded[draft.job.id] = {entry["nominal_time"] for entry in entries}
    for document in await at.link.find(at.runs, {"_id": {"$in": keys}}, projection={"_id": 1}):
        recorded.setdefault(document["_id"]["job"], set()).add(document["_id"]["nominal_time"])
    if recorded:
        for draft in planned:
            if draft.job.id in recorded:
                draft.drop(recorded[draft.job.id])


async def _won(at: Collections, drafts: Sequence[_Draft], token: ObjectId) -> list[_Draft]:
    """Return those of which what was decided is stored, although somebody may have decided anew since."""
    ids = [draft.job.id for draft in drafts]
    found = await at.link.find(at.jobs, {"_id": {"$in": ids}}, projection={"rev": 1, "active": 1})
    held = {
        document["_id"]
        for document in found
        if document.get("rev") == token
        or any(token in (entry.get("claim"), entry.get("token")) for entry in document["active"] or ())
    }
    return [draft for draft in drafts if draft.job.id in held]


async def _check_node(at: Collections, owner: str) -> None:
    where = {"_id": owner, "is_dead": False}
    if await at.link.call(at.nodes.find_one, where, {"_id": 1}) is None:
        raise LeaseLostError(owner)


async def _settle(at: Collections, decisions: Sequence[Decision], token: ObjectId) -> None:
    """Settle what is closed from the beginning, and jobs that are gone at once."""
    ended = {}
    for decision in decisions:
        entries = [entry for entry in decision.entries if "token" in entry]
        is_gone = decision.fields.get("state") == FINISHED and not decision.entries
        if entries or is_gone:
            ended[decision.document["_id"]] = entries
    if ended:
        await settle_token(at, ended, token)
