"""Remember which jobs the nodes of this process cannot run, since they do not find their callables (layer 7).

Rule 1: such a job stays due, with a mark in the store that says why, and other nodes run it. The mark stays until the
job is changed or a node joins. It is that of the first node that fails, with the time; others that fail keep it.
Rule 2: a node passes over the jobs that it remembers as long as they bear the mark that it remembers. So it tries again
what was changed, and passes over nothing that it has not tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from apsched.job import Job
from apsched.jobstores._codec import UNREADABLE

MOST = 1000  # jobs that a node passes over, each of which costs a step at every look
LONGEST_MARK = 500  # characters

NOTHING: Mapping[str, str] = {}


class Unfit:
    """The jobs that nodes cannot run, by node."""

    def __init__(self) -> None:
        self._of: dict[str, dict[str, str]] = {}

    def of(self, node: str) -> Mapping[str, str]:
        """Return job id -> mark of the jobs that *node* has tried in vain."""
        return self._of.get(node, NOTHING)

    def note(self, job: Job, node: str, now: datetime, mark: str | None) -> None:
        """Remember *job*, which *node* has read to be run and which bears *mark*, if the node lacks its callable."""
        if _is_lost(job):
            marks = self._of.setdefault(node, {})
            if job.id in marks or len(marks) < MOST:
                job.quarantine = _storable(
                    f"node {node} could not run it at {now.isoformat(sep=' ')}: {job.quarantine}"
                )
                marks[job.id] = mark or job.quarantine

    def mark_of(self, job: Job, node: str) -> str | None:
        """Return the mark of *job*, which was noted; None if the job can be run here, or is for no node."""
        return self.of(node).get(job.id) if _is_lost(job) else None

    def forget(self) -> None:
        """Forget all, since a node has joined and so taken all marks away."""
        self._of.clear()


def _is_lost(job: Job) -> bool:
    """Whether *job* can be read and cannot be run for want of its callable."""
    return job.quarantine is not None and isinstance(job.func, str) and job.func != UNREADABLE


def _storable(text: str) -> str:
    """Return *text* as every store keeps it unchanged, so that marks can be compared."""
    text = text.replace("\0", "\\x00").encode(errors="backslashreplace").decode()
    return text if len(text) <= LONGEST_MARK else text[: LONGEST_MARK - 4] + " ..."
