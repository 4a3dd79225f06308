"""What is asked of a scheduler or a store, and what it answers, a page at a time (layer 10)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import attrs

from apsched._documents import State, state_of
from apsched.job import NO_KWARGS, Job
from apsched.jobstores.base import Node, RunFilter
from apsched.run import Run
from apsched.triggers.base import BaseTrigger

logger: logging.Logger = logging.getLogger("apsched.web")


@attrs.frozen(kw_only=True)
class JobQuery:
    """
    Which jobs are wanted; all by default.

    Attributes:
        text: Only jobs that have this text in their id, name, callable or a tag, in whatever case.
        state: Only jobs in this state.
        tags: Only jobs that have all of these tags with these values.
        store: Only jobs of the store of this alias.
    """

    text: str = ""
    state: State | None = None
    tags: Mapping[str, str] = NO_KWARGS
    store: str | None = None

    def accepts(self, job: Job) -> bool:
        """Whether *job* is in the state and has the text."""
        if self.state is not None and state_of(job) != self.state:
            return False
        wanted = self.text.casefold()
        return not wanted or any(wanted in part.casefold() for part in _texts(job))


ALL_JOBS = JobQuery()
ALL_RUNS = RunFilter()


@attrs.frozen(kw_only=True)
class JobPage:
    """
    Some jobs, store by store, by next run time and id, paused ones last.

    Attributes:
        jobs: The jobs; `Job.jobstore` is the alias of their store.
        next: Where the next page begins; None if this is the last one.
        is_full: Whether as many were found as were asked for. If not and *next* is given, so many jobs were looked
            through (`SEARCHED`) that the search stopped; it goes on from *next*.
    """

    jobs: Sequence[Job]
    next: str | None
    is_full: bool


class StoredRun(NamedTuple):
    """
    A run and the alias of the store that has it; made a hundred thousand at a time.

    Attributes:
        store: The alias.
        run: The run.
    """

    store: str
    run: Run


@attrs.frozen(kw_only=True)
class RunPage:
    """
    Some runs, the latest nominal time first.

    Attributes:
        runs: The runs.
        next: Where the next page begins; None if this is the last one.
    """

    runs: Sequence[StoredRun]
    next: str | None


@attrs.frozen
class StoredNode:
    """
    A node and the store in which it is known.

    Attributes:
        store: The alias of the store.
        node: The node.
        running: How many runs it has under way.
    """

    store: str
    node: Node
    running: int


@attrs.frozen(kw_only=True)
class Upcoming:
    """
    The next nominal times of a job.

    Attributes:
        job: The job.
        times: The times, the next one first, aware.
        has_more: Whether there are more in the window than were asked for.
    """

    job: Job
    times: Sequence[datetime]
    has_more: bool


def upcoming_of(job: Job, until: datetime, limit: int) -> Upcoming:
    """Return the nominal times of *job* up to *until* (aware), at most so many, and none after its trigger fails."""
    times: list[datetime] = []
    moment = job.next_nominal_time or job.next_run_time
    end = until.timestamp()
    while moment is not None and moment.timestamp() <= end:
        if len(times) == limit:
            return Upcoming(job=job, times=times, has_more=True)
        times.append(moment)
        moment = next_time(job.trigger, moment, moment)
    return Upcoming(job=job, times=times, has_more=False)


def next_time(trigger: BaseTrigger, previous: datetime | None, now: datetime) -> datetime | None:
    """Return what `get_next_fire_time` does; None also if that fails, as a trigger of the user may."""
    try:
        return trigger.get_next_fire_time(previous, now)
    except Exception:
        logger.debug("%s fails", type(trigger).__qualname__, exc_info=True)
        return None


def come_together(job: Job, other: Job) -> bool:
    """Whether *job* and *other* have the same times to come."""
    return (job.next_nominal_time, job.next_run_time, job.trigger) == (
        other.next_nominal_time,
        other.next_run_time,
        other.trigger,
    )


def _texts(job: Job) -> Iterable[str]:
    yield from (job.id, job.name, job.func_ref or "")
    yield from (f"{name}={value}" for name, value in job.tags.items())
