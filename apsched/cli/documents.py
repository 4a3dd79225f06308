"""The JSON of jobs, runs and nodes, whose fields stay as they are from release to release (layer 10)."""

from __future__ import annotations

from typing import Any

from apsched.cli.output import document_of, instant
from apsched.job import Job
from apsched.jobstores.base import Node
from apsched.run import Run
from apsched.triggers.words import describe


def job_document(job: Job) -> dict[str, Any]:
    """Return what is told of a job."""
    return {
        "id": job.id,
        "name": job.name,
        "func": job.func_ref,
        "state": state_of(job),
        "trigger": str(job.trigger),
        "trigger_words": describe(job.trigger),
        "next_run_time": instant(job.next_run_time),
        "args": [document_of(value) for value in job.args],
        "kwargs": {name: document_of(value) for name, value in job.kwargs.items()},
        "executor": job.executor,
        "misfire_grace_time": job.misfire_grace_time,
        "coalesce": job.coalesce,
        "max_instances": job.max_instances,
        "overlap": job.overlap,
        "on_crash": job.on_crash,
        "timeout": job.timeout,
        "keep_runs": job.keep_runs,
        "tags": dict(job.tags),
        "quarantine": job.quarantine,
    }


def state_of(job: Job) -> str:
    """Return `scheduled`, `paused` or `quarantined`."""
    if job.quarantine is not None:
        return "quarantined"
    return "paused" if job.next_run_time is None else "scheduled"


def run_document(run: Run) -> dict[str, Any]:
    """Return what is told of a run."""
    return {
        "id": run.id,
        "job_id": run.job_id,
        "nominal_time": instant(run.nominal_time),
        "outcome": run.outcome.value,
        "reason": run.reason,
        "is_manual": run.is_manual,
        "attempt": run.attempt,
        "node": run.node,
        "due_time": instant(run.due_time),
        "claimed_at": instant(run.claimed_at),
        "started_at": instant(run.started_at),
        "finished_at": instant(run.finished_at),
        "lateness": run.lateness,
        "duration": run.duration,
        "first_nominal_time": instant(run.first_nominal_time),
        "count": run.count,
        "retval": document_of(run.retval),
        "error": run.error,
    }


def node_document(node: Node) -> dict[str, Any]:
    """Return what is told of a node."""
    return {
        "id": node.id,
        "started_at": instant(node.started_at),
        "seen_at": instant(node.seen_at),
        "beat": node.beat,
        "lease": node.lease,
        "is_dead": node.is_dead,
    }
