"""Compare the jobs that code declares with those in a store (layer 6)."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from apsched.engine.make_job import Draft
from apsched.job import Job

OWNER_TAG = "apsched.owner"  # tag of jobs that code declares; its value names the declaration


@attrs.frozen(kw_only=True)
class SyncReport:
    """
    What `sync` has changed, or would change: ids of jobs.

    Attributes:
        added: Declared and not in the store.
        changed: In the store, and declared otherwise.
        unchanged: In the store as declared.
        removed: In the store from an earlier declaration, and not declared any more.
    """

    added: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]
    removed: tuple[str, ...]


DECLARED = (
    "name",
    "args",
    "kwargs",
    "executor",
    "misfire_grace_time",
    "coalesce",
    "max_instances",
    "overlap",
    "tags",
    "keep_runs",
    "on_crash",
    "timeout",
    "retry",
    "expect_success_within",
    "priority",
    "requires",
)


def compare(drafts: Sequence[Draft], stored: Sequence[Job], prune: bool) -> SyncReport:
    """Return what becomes of *stored*, the jobs of the same owner, when *drafts* are declared."""
    known = {job.id: job for job in stored}
    declared = {draft.job.id: draft.job for draft in drafts}
    shared = [job_id for job_id in declared if job_id in known]
    changed = tuple(job_id for job_id in shared if _differs(known[job_id], declared[job_id]))
    return SyncReport(
        added=tuple(job_id for job_id in declared if job_id not in known),
        changed=changed,
        unchanged=tuple(job_id for job_id in shared if job_id not in changed),
        removed=tuple(job_id for job_id in known if job_id not in declared) if prune else (),
    )


def _differs(old: Job, new: Job) -> bool:
    return (
        not new.trigger.is_same_schedule(old.trigger)
        or (old.func_ref or old.func) != (new.func_ref or new.func)  # a lambda has no reference
        or any(getattr(old, name) != getattr(new, name) for name in DECLARED)
    )
