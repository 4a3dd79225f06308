"""
Examine a job store: find what no node will ever pick up, and what waits for somebody (layer 7).

Rule 1: nothing is changed.
Rule 2: the store is read in several steps while nodes work on it, so what looks wrong is read once more before it is
reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

import attrs

from apsched.job import Job
from apsched.jobstores.base import JobFilter, JobStore, Node, RunFilter
from apsched.run import Outcome, Run

PAGE = 500  # jobs or runs that one call reads
GRACE = timedelta(minutes=1)  # for which everything may wait for its turn

Ailment: TypeAlias = Literal["quarantined", "unreachable", "overdue", "orphaned", "stuck", "silent"]
"""
`"quarantined"`: a job that a node could not read or run. `"unreachable"`: a job that is due and that no look finds.
`"overdue"`: a job that nobody has taken. `"orphaned"`: a run under way on a node that is gone. `"stuck"`: a run that
waits and that nothing is in the way of. `"silent"`: a node that gives no sign of life.
"""


@attrs.frozen(kw_only=True)
class Finding:
    """
    One thing that is not as it should be.

    Attributes:
        what: Its kind.
        id: The id of the job, the run or the node.
        detail: What is wrong, one sentence.
        advice: What to do, one sentence.
    """

    what: Ailment
    id: str
    detail: str
    advice: str


async def examine(store: JobStore, now: datetime, *, grace: timedelta = GRACE) -> list[Finding]:
    """
    Return what is wrong in *store*: jobs first, then runs, then nodes.

    Reads all jobs, all open runs and all nodes; needs memory for all open runs.

    Args:
        store: Entered.
        now: Aware UTC.
        grace: How long a job or a run may wait for its turn.

    Raises:
        JobStoreUnavailableError: The server does not answer.
    """
    since = now - grace
    runs = await _open_runs(store)
    nodes = {node.id: node for node in await store.nodes()}
    findings = await _examine_jobs(store, since)
    findings += await _examine_runs(store, runs, nodes, since)
    if store.is_shared:
        findings += [_silent(node) for node in nodes.values() if node.seen_at < since - timedelta(seconds=node.lease)]
    return findings


# jobs


async def _examine_jobs(store: JobStore, since: datetime) -> list[Finding]:
    findings: list[Finding] = []
    after: str | None = None
    while True:
        jobs = await store.select(JobFilter(), PAGE, after)
        for job in jobs:
            if job.quarantine is not None:
                findings.append(_quarantined(job))
            elif job.next_run_time is not None and job.next_run_time < since:
                findings += await _examine_due(store, job.id, since)
        if len(jobs) < PAGE:
            return findings
        after = jobs[-1].id


async def _examine_due(store: JobStore, job_id: str, since: datetime) -> list[Finding]:
    """Look again at a job that should have been taken."""
    job = await store.get(job_id)
    if job is None or job.quarantine is not None or job.next_run_time is None or job.next_run_time >= since:
        return []
    due = job.next_run_time.isoformat()
    earliest = await store.next_run_time({job.lane: 1}, "")  # for a node that has tried nothing yet
    if earliest is None or earliest > job.next_run_time:
        found = "nothing" if earliest is None else f"{earliest.isoformat()} as the next time"
        detail = f"it is due since {due}, but looks for {job.lane!r} find {found}"
        return [Finding(what="unreachable", id=job.id, detail=detail, advice="pause and resume it, and report this")]
    detail = f"it is due since {due}, and no node has taken it"
    advice = f"start a node that has {_needs(job)}, or give it one with free slots"
    return [Finding(what="overdue", id=job.id, detail=detail, advice=advice)]


def _needs(job: Job) -> str:
    required = f" and the capabilities {', '.join(job.requires)}" if job.requires else ""
    return f"the executor {job.executor!r}{required}"


def _quarantined(job: Job) -> Finding:
    advice = "change or remove it, or start a node that can run it: each start looks at it again"
    return Finding(what="quarantined", id=job.id, detail=str(job.quarantine), advice=advice)


# runs


async def _examine_runs(
    store: JobStore, runs: Sequence[Run], nodes: Mapping[str, Node], since: datetime
) -> list[Finding]:
    findings: list[Finding] = []
    busy = {run.job_id for run in runs if run.outcome is Outcome.RUNNING}
    is_settled = any(not node.is_dead and node.seen_at >= since for node in nodes.values())
    for run in runs:
        finding: Finding | None = None
        if run.outcome is Outcome.RUNNING:
            if store.is_shared and (run.claimed_at is None or run.claimed_at < since):
                finding = _examine_running(run, nodes.get(run.node or ""), is_settled=is_settled)
        elif run.due_time < since and run.job_id not in busy:
            finding = await _examine_pending(store, run)
        if finding is not None and await _is_still_so(store, run):
            findings.append(finding)
    return findings


def _examine_running(run: Run, node: Node | None, *, is_settled: bool) -> Finding | None:
    if node is not None and not node.is_dead:
        return None
    what = "not known" if node is None else "dead"
    detail = f"it is under way on node {run.node}, which is {what}"
    if is_settled:
        advice = "nodes that live settle it within a lease; if it stays, report this"
    else:
        advice = "start a node: it settles what dead ones have left"
    return Finding(what="orphaned", id=run.id, detail=detail, advice=advice)


async def _examine_pending(store: JobStore, run: Run) -> Finding:
    job = await store.get(run.job_id)
    detail = f"it waits since {run.due_time.isoformat()}, and no run of its job is under way"
    if job is None:
        advice = "start a node that has the executor of its job, which is finished"
    else:
        advice = f"start a node that has {_needs(job)}, or give it one with free slots"
    return Finding(what="stuck", id=run.id, detail=detail, advice=advice)


async def _open_runs(store: JobStore) -> list[Run]:
    where = RunFilter(outcomes=(Outcome.PENDING, Outcome.RUNNING))
    runs: list[Run] = []
    page = await store.runs(where, PAGE)
    while page:
        runs += page
        page = await store.runs(where, PAGE, page[-1]) if len(page) == PAGE else []
    return runs


async def _is_still_so(store: JobStore, run: Run) -> bool:
    """Look again at a run: whether it is where it was."""
    moment = run.nominal_time
    where = RunFilter(job_id=run.job_id, since=moment, until=moment)
    return any((r.outcome, r.epoch) == (run.outcome, run.epoch) for r in await store.runs(where, 1))


# nodes


def _silent(node: Node) -> Finding:
    detail = f"its last sign of life came at {node.seen_at.isoformat()}, and its lease is {node.lease:g} s"
    if node.is_dead:
        advice = "start a node: it settles what this one has left"
    else:
        advice = "start a node: it takes this one for dead and gives its runs to others"
    return Finding(what="silent", id=node.id, detail=detail, advice=advice)
