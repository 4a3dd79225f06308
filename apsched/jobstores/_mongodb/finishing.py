"""Store how runs ended, or hand them back (layer 7).

A batch of runs that ended takes four statements: one update that closes each run whose claim holds, one insert into the
history, one delete of jobs that are gone by that, and one update that lets go of the runs in the documents of the
others. If a claim did not hold for some, two more see for which. Where jobs follow others, one more looks for them.

Rule 1: the first of them decides. What comes after it may be done by anybody, so an outcome is neither lost nor doubled
wherever this node dies.
Rule 2: a run that ended and is recorded with that epoch, node and outcome is stored: the answer was lost, not the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import attrs
from bson import Int64

from apsched._mongodb_clients import Document
from apsched.jobstores._codec import to_micros
from apsched.jobstores._mongodb.deciding import Collections, Decision, decide, end_runs, swap, tell_notes
from apsched.jobstores._mongodb.documents import (
    REMOVED,
    RUNNING,
    by_nominal_time,
    new_token,
    run_key,
    running,
    waiting,
)
from apsched.jobstores._mongodb.following import follow
from apsched.jobstores._mongodb.settling import settle_documents, settle_token
from apsched.jobstores._notes import notes_to_text
from apsched.run import Outcome, Run

LARGEST_PART = 4 * 1024 * 1024  # bytes of what users' runs returned or raised


async def finish(at: Collections, runs: Sequence[Run], now: datetime) -> list[Run]:
    """Do what the port says of `finish`; *now* is when what cannot be handed back is cancelled."""
    stored: set[int] = set()
    followers: list[Run] = []
    token = new_token()
    ended = [(run, at.documents.entry(run, by=run.node, token=token)) for run in runs if run.outcome.is_final]
    for part in _parts(ended):
        held, made = await _end(at, part)
        stored.update(map(id, held))
        followers += made
    handed_back = [run for run in runs if run.outcome is Outcome.PENDING]
    if handed_back:
        stored.update(map(id, await _hand_back(at, handed_back, now)))
    return [run for run in runs if id(run) in stored] + followers


async def report(at: Collections, runs: Sequence[Run]) -> None:
    """Do what the port says of `report`."""
    told: dict[str, list[Document]] = {}
    size = 0
    for run in runs:
        claim = {"nominal_time": Int64(to_micros(run.nominal_time)), "epoch": run.epoch, "node": run.node}
        notes = notes_to_text(run)
        size += len(notes or "")
        if told and size > LARGEST_PART:
            await tell_notes(at, told)
            told, size = {}, len(notes or "")
        told.setdefault(run.job_id, []).append({**claim, "notes": notes})
    if told:
        await tell_notes(at, told)


def _parts(ended: Sequence[tuple[Run, Document]]) -> Iterator[Sequence[tuple[Run, Document]]]:
    """Part runs and their entries so that each part fits into one statement, and into one document."""
    part: list[tuple[Run, Document]] = []
    size = 0
    for run, entry in ended:
        weight = len(entry.get("retval") or b"") + 4 * (len(entry.get("error") or "") + len(entry.get("reason") or ""))
        weight += _noted(entry)
        if part and size + weight > LARGEST_PART:
            yield part
            part, size = [], 0
        part.append((run, entry))
        size += weight
    if part:
        yield part


async def _end(at: Collections, ended: Sequence[tuple[Run, Document]]) -> tuple[Sequence[Run], Sequence[Run]]:
    """Return which of *ended* are stored, and the runs that follow."""
    token = ended[0][1]["token"]
    runs = [run for run, _ in ended]
    entries: dict[str, list[Document]] = {}
    for run, entry in ended:
        entries.setdefault(run.job_id, []).append(entry)
    changed, may_be_followed = await end_runs(at, entries)
    if changed == len(runs):
        followers = await follow(at, entries) if may_be_followed else []
        await settle_token(at, entries, token)
        return runs, followers
    documents = {each["_id"]: each for each in await at.link.find(at.jobs, {"_id": {"$in": list(entries)}})}
    history = await _history(at, runs)
    stored = []
    for run in runs:
        document = documents.get(run.job_id)
        if _is_recorded(run, document, history) or await _cancel_pending(at, run, documents):
            stored.append(run)
    settled = [each for each in documents.values() if isinstance(each.get("active"), list)]
    return stored, await settle_documents(at, settled)


async def _history(at: Collections, runs: Sequence[Run]) -> Mapping[tuple[str, int], Document]:
    keys = [run_key(run.job_id, to_micros(run.nominal_time)) for run in runs]
    fields = {"epoch": 1, "node": 1, "outcome": 1}
    found = await at.link.find(at.runs, {"_id": {"$in": keys}}, projection=fields)
    return {(each["_id"]["job"], each["_id"]["nominal_time"]): each for each in found}


def _is_recorded(run: Run, document: Document | None, history: Mapping[tuple[str, int], Document]) -> bool:
    """Return whether the outcome of *run* is stored, be it in the history or on the way there."""
    nominal = to_micros(run.nominal_time)
    known = history.get((run.job_id, nominal))
    if known is None and document is not None:
        entries = document.get("active") or ()
        known = next((each for each in entries if each["nominal_time"] == nominal and "token" in each), None)
    return known is not None and (known["epoch"], known.get("node"), known["outcome"]) == (
        run.epoch,
        run.node,
        run.outcome.value,
    )


async def _cancel_pending(at: Collections, run: Run, documents: dict[str, Document]) -> bool:
    """Cancel a run that waits; the document is then in *documents* as it is now."""
    if run.outcome is not Outcome.CANCELLED or run.job_id not in documents:
        return False
    nominal = to_micros(run.nominal_time)

    def cancel(document: Document) -> Document | None:
        kept = [
            entry for entry in document["pending"] if (entry["nominal_time"], entry["epoch"]) != (nominal, run.epoch)
        ]
        if len(kept) == len(document["pending"]):
            return None
        entry = at.documents.entry(run, by=run.node, token=new_token())
        return {"pending": kept, "waiting": waiting(kept), "active": [*document["active"], entry]}

    changed = await swap(at, run.job_id, cancel)
    if changed is None:
        return False
    documents[run.job_id] = changed
    return True


async def _hand_back(at: Collections, runs: Sequence[Run], now: datetime) -> Sequence[Run]:
    """Let claimed runs wait again that nobody wants cancelled; those of jobs that were removed are cancelled."""
    wanted: dict[str, dict[tuple[int, int, str | None], Run]] = {}
    for run in runs:
        wanted.setdefault(run.job_id, {})[to_micros(run.nominal_time), run.epoch, run.node] = run
    decisions = []
    found = 0
    for document in await at.link.find(at.jobs, {"_id": {"$in": list(wanted)}}):
        claims = wanted[document["_id"]]
        claimed = [claims[_claim(each)] for each in running(document) if _claim(each) in claims and not _is_asked(each)]
        found += len(claimed)
        fields = returned(at, document, (), claimed, now)
        closed = fields.pop("active")
        decisions.append(Decision(document, fields, closed, [to_micros(run.nominal_time) for run in claimed]))
    if found == len(runs) and await decide(at, decisions, new_token()) == len(decisions):
        removed = [each for each in decisions if each.entries]
        if removed:
            await settle_documents(at, [{**each.document, "active": list(each.entries)} for each in removed])
        return runs
    return [run for run in runs if await _hand_back_one(at, run, now)]


async def _hand_back_one(at: Collections, run: Run, now: datetime) -> bool:
    """Hand one run back; True too if it waits again already."""
    claim = (to_micros(run.nominal_time), run.epoch, run.node)
    waits_again = False

    def hand_back(document: Document) -> Document | None:
        nonlocal waits_again
        kept = [
            each
            for each in document["active"]
            if _claim(each) != claim or each["outcome"] != RUNNING or _is_asked(each)
        ]
        if len(kept) == len(document["active"]):
            waits_again = any(_claim(each) == claim for each in document["pending"])
            return None
        return returned(at, document, kept, [run], now)

    changed = await swap(at, run.job_id, hand_back)
    if changed is not None and changed["state"] == REMOVED:
        await settle_documents(at, [changed])
    return changed is not None or waits_again


def _claim(entry: Document) -> tuple[int, int, str | None]:
    return entry.get("nominal_time", 0), entry.get("epoch", -1), entry.get("node")


def _is_asked(entry: Document) -> bool:
    """Whether somebody wants the run of that entry cancelled."""
    return "cancel_reason" in entry


def returned(
    at: Collections, document: Document, kept: Sequence[Document], runs: Sequence[Run], now: datetime
) -> Document:
    """
    Return the fields of a document whose *runs* are no longer under way: pending ones wait, others are closed.

    Args:
        at: Where.
        document: As it was read.
        kept: Its entries that stay active.
        runs: The runs; pending ones of a job that was removed are cancelled.
        now: When that is.
    """
    token = new_token()
    active, pending = [*kept], [*document["pending"]]
    size = sum(map(_noted, pending))
    for run in runs:
        if run.outcome is not Outcome.PENDING:
            active.append(at.documents.entry(run, by=run.node, token=token))
        elif document["state"] == REMOVED:
            active.append(at.documents.entry(_orphaned(run, now), by=run.node, token=token, is_orphaned=True))
        else:
            entry = at.documents.entry(run)
            if size + _noted(entry) > LARGEST_PART:
                entry = at.documents.entry(_briefly(run))
            size += _noted(entry)
            pending.append(entry)
    return {"active": active, "pending": by_nominal_time(pending), "waiting": waiting(pending)}


def _noted(entry: Document) -> int:
    """Return how much room the notes of an entry take."""
    notes = entry.get("notes")
    return len(notes) if isinstance(notes, str) else 0


def _briefly(run: Run) -> Run:
    """Return a run that waits with its last attempt only, for a document that many of them fill."""
    attempts = tuple(attrs.evolve(attempt, error=None) for attempt in run.attempts[-1:])
    return attrs.evolve(run, attempts=attempts, report=None)


def _orphaned(run: Run, now: datetime) -> Run:
    """Return what becomes of a pending run whose job is removed."""
    reason = "its job was removed before it could start"
    return attrs.evolve(run, outcome=Outcome.CANCELLED, finished_at=now, reason=reason)
