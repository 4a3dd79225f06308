"""The port of job stores (layer 5)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeAlias

import attrs

from apsched.exceptions import ConflictingIdError, JobLookupError, TransientJobError
from apsched.job import NO_KWARGS, Job
from apsched.jobstores._base_of_3x import BaseJobStore
from apsched.notifiers.base import Notifier
from apsched.run import Outcome, Plan, Planner, Run

__all__ = [  # the errors and BaseJobStore are here too, as in APScheduler 3
    "AfterCrash",
    "BaseJobStore",
    "Beat",
    "Change",
    "ConflictingIdError",
    "JobFilter",
    "JobLookupError",
    "JobStore",
    "Merge",
    "Node",
    "RunFilter",
    "TransientJobError",
]

Merge: TypeAlias = Callable[[Job, Job], Job]
"""(job in the store, as `get` returns it; job to add) -> job to keep; pure."""

Change: TypeAlias = Callable[[Job], Job]
"""Job in the store -> job to keep, of the same id; pure, and gets a copy."""

AfterCrash: TypeAlias = Callable[[Job | None, Run], Run]
"""(job, or None if it is gone; run under way on a node that died) -> the run that takes its place, which has a higher
epoch: pending, or abandoned; pure."""

Beat: TypeAlias = Callable[[], Awaitable[bool]]
"""Raises the beat of a node; False if the node is not known, or was taken for dead."""


@attrs.frozen(kw_only=True)
class Node:
    """
    One start of a scheduler, as a store knows it.

    Attributes:
        id: Host, process id and a random part; never used again.
        beat: How often it has given a sign of life. It is dead when this stands still for a lease.
        lease: Seconds of silence after which others take it for dead.
        started_at: When it joined, aware UTC; for people.
        seen_at: When its beat was raised last, aware UTC; for people, since clocks may differ.
        is_dead: Whether another node has taken it for dead.
    """

    id: str
    beat: int
    lease: float
    started_at: datetime
    seen_at: datetime
    is_dead: bool = False


@attrs.frozen(kw_only=True)
class JobFilter:
    """
    Which jobs to select; all by default.

    Attributes:
        tags: Only jobs that have all of these tags with these values.
        expects_success: Only jobs with (True) or without (False) an `expect_success_within`.
        is_quarantined: Only quarantined jobs (True) or only others (False).
    """

    tags: Mapping[str, str] = NO_KWARGS
    is_quarantined: bool | None = None
    expects_success: bool | None = None

    def accepts(self, job: Job) -> bool:
        """Whether *job* is one of those."""
        if self.is_quarantined is not None and (job.quarantine is not None) != self.is_quarantined:
            return False
        if self.expects_success is not None and (job.expect_success_within is not None) != self.expects_success:
            return False
        return all(job.tags.get(name) == value for name, value in self.tags.items())


@attrs.frozen(kw_only=True)
class RunFilter:
    """
    Which runs to select; all by default.

    Attributes:
        job_id: Only runs of this job.
        outcomes: Only runs of these outcomes.
        since: Only nominal times at or after it, aware.
        until: Only nominal times at or before it, aware.
        node: Only runs that this node claimed.
    """

    job_id: str | None = None
    outcomes: Collection[Outcome] | None = None
    since: datetime | None = None
    until: datetime | None = None
    node: str | None = None

    def accepts(self, run: Run) -> bool:
        """Whether *run* is one of those."""
        return (
            (self.job_id is None or run.job_id == self.job_id)
            and (self.outcomes is None or run.outcome in self.outcomes)
            and (self.since is None or run.nominal_time.timestamp() >= self.since.timestamp())
            and (self.until is None or run.nominal_time.timestamp() <= self.until.timestamp())
            and (self.node is None or run.node == self.node)
        )


class JobStore(ABC):
    """
    Keeps jobs and runs.

    Every method is one transaction: all of it happens or nothing does, and of two that run at once the second sees what
    the first one did. Stores decide nothing: *plan*, *merge* and *change* are pure functions that they call inside the
    transaction and may call again when it has to be repeated.

    Instants are kept to the microsecond; those of a job come back in the zone of its trigger. A text of a job that
    cannot be kept as it is makes the job unfit for the store (`TransientJobError`). What a run brings is never refused:
    of a text or a return value that cannot be kept as it is, the store keeps what it can.

    Entered and left in the event loop; entering connects and creates what is missing, constructing does neither.

    Attributes:
        is_shared: Whether other processes may run what it keeps; decides how long the scheduler sleeps at most.
        is_persistent: Whether its jobs outlive it; then its methods may wait for something.
        batch: How many jobs one look takes at most for an executor, from 1 on. Large where a transaction costs much;
            the first run of a batch starts when all of it is claimed.
    """

    is_shared: bool = True
    is_persistent: bool = True
    batch: int = 500

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    @abstractmethod
    async def add(self, jobs: Sequence[Job], merge: Merge | None = None) -> list[Job]:
        """
        Add *jobs*, all or none.

        Args:
            jobs: The jobs; ids differ.
            merge: Decides where the id is taken; None: the id must be free.

        Returns:
            The jobs as they are kept, in the order of *jobs*.

        Raises:
            ConflictingIdError: An id is taken and *merge* is None.
            TransientJobError: A job cannot be stored here.
        """

    async def add_in(self, connection: Any, jobs: Sequence[Job], merge: Merge | None = None) -> list[Job]:
        """
        Add *jobs* as `add` does, inside a transaction of the caller's.

        Args:
            connection: Of the caller's client, to the server of this store; neither committed nor closed here.
            jobs: The jobs; ids differ.
            merge: Decides where the id is taken; None: the id must be free.

        Raises:
            TypeError: This store has no transactions that it could share, or *connection* is not of its client.
            Exception: What `add` raises.
        """
        raise TypeError(f"{type(self).__name__} cannot add jobs by a connection of yours; leave connection= out")

    @abstractmethod
    async def update(self, job_id: str, change: Change) -> Job:
        """
        Replace a job by what *change* makes of it, and return that.

        A job whose `next_run_time` comes back None is paused, not removed.

        Raises:
            JobLookupError: There is no such job.
            TransientJobError: The changed job cannot be stored here.
        """

    @abstractmethod
    async def remove(self, job_id: str) -> None:
        """
        Remove a job and its pending runs; its finished runs stay.

        Raises:
            JobLookupError: There is no such job.
        """

    @abstractmethod
    async def clear(self) -> None:
        """Remove all jobs and their pending runs; finished runs stay."""

    @abstractmethod
    async def get(self, job_id: str) -> Job | None:
        """Return the job of that id, or None."""

    @abstractmethod
    async def select(self, where: JobFilter, limit: int | None = None, after: str | None = None) -> list[Job]:
        """
        Return jobs by next run time and id; paused ones last.

        Args:
            where: Which ones.
            limit: At most so many.
            after: The id of a job: only those that come after it; from its present place in the order.

        Raises:
            JobLookupError: There is no job of the id *after*.
        """

    @abstractmethod
    async def next_run_time(self, slots: Mapping[str, int], owner: str) -> datetime | None:
        """
        Return when there will be something for `take_due` to do.

        Args:
            slots: What `take_due` will be given. Of lanes that have 0, and of those that it leaves to other nodes,
                nothing counts.
            owner: The node that asks; jobs whose callables it has not found do not count.

        Returns:
            The earliest `next_run_time`, or due time of a pending run that could be claimed then; a time in the past if
            one could be claimed now; None if there is nothing to come. Jobs that wait for others (`After`) do not
            count.
        """

    @abstractmethod
    async def take_due(self, now: datetime, slots: Mapping[str, int], plan: Planner, owner: str) -> list[Plan]:
        """
        Claim pending runs, from their due times on, and due jobs, and store what *plan* decides for each.

        For every job either its new next run time and all its runs are stored, or nothing is. No two owners ever get
        the same (job, nominal time): a run whose nominal time is recorded already is dropped from its plan.

        Args:
            now: Aware UTC; a job is due if its next run time is at or before it.
            slots: Lane (`Job.lane`) -> how many runs may be claimed for it; earliest jobs first. A lane with 0 is left
                alone. A job whose lane is not among them is left to other nodes by a shared store; any other store
                gives it to *plan*, which quarantines it.
            plan: What is to become of one job. Not called for pending runs, whose fate is decided, nor for a job that
                cannot be read or whose callable cannot be found: that is quarantined with the reason. A job whose
                callable *owner* does not find stays due for other nodes of a shared store, which run it although it is
                shown as quarantined; *owner* gets it again when it is changed or a node joins.
            owner: The node that claims.

        Returns:
            What was stored, in the order of run times. A pending run comes as a plan of that run alone.

        Raises:
            LeaseLostError: *owner* was taken for dead; nothing is claimed.
        """

    async def lanes(self) -> Collection[str]:
        """
        Return the lanes (`Job.lane`) of the jobs; some may be empty.

        Those that bear the alias of an executor and nothing else may be left out. Called every few seconds. By default
        none are named: a store that does not sort jobs by `Job.lane`, but by the alias alone, knows neither priorities
        nor requirements.
        """
        return ()

    @abstractmethod
    async def claimed(self, owner: str) -> list[Plan]:
        """
        Return the runs that *owner* has claimed and not finished, each as a plan of that run alone.

        For a node whose `take_due` has failed: its last claims may be stored although no answer came. A run whose
        arguments cannot be read has an `Unstorable` in their place, which tells why.
        """

    @abstractmethod
    async def add_run(self, run: Run) -> Run:
        """
        Queue a run that the schedule does not ask for: started by hand, or made up for.

        Args:
            run: Pending. Where its nominal time is taken and it is started by hand (`is_manual`), it moves on by a
                microsecond until it is not. Any other is not stored then.

        Returns:
            The run as it is kept; that which has taken its nominal time.

        Raises:
            JobLookupError: There is no such job.
            UnstorableError: An argument of the run cannot be stored; the message says which.
            TransientJobError: More runs of the job would wait than the store can keep.
        """

    @abstractmethod
    async def finish(self, runs: Sequence[Run]) -> list[Run]:
        """
        Store how claimed runs ended, and the pending runs of jobs that follow them (`apsched.run.following`).

        Args:
            runs: Final; or pending, which hands the claim back: the run waits for its due time, which may be a new one,
                and keeps its attempts, its report and its reason. A run that is pending in the store may be cancelled.

        Returns:
            Those that are stored now, the very objects; a run whose claim (its epoch) was lost is left out and changes
            nothing, and so is one that would be handed back although it is among the `asked_to_cancel`. Finishing a run
            again in the same way, to the same outcome under the same epoch, changes nothing and counts as stored; so
            does handing it back again, until it is claimed anew. After these the runs that follow, as far as their
            nominal times were not taken.
        """

    async def report(self, runs: Sequence[Run]) -> None:
        """
        Store what runs under way tell of themselves, their `report`; not of a run whose claim (its epoch) was lost.

        Args:
            runs: As they were claimed, but for that.
        """

    async def ask_to_cancel(self, run: Run, reason: str) -> bool:
        """
        Ask the node that has claimed *run* to cancel it: from now on it is among its `asked_to_cancel`.

        Args:
            run: Running.
            reason: Why; for people.

        Returns:
            Whether it was still claimed under its epoch.
        """
        return False

    async def asked_to_cancel(self, owner: str) -> list[Run]:
        """
        Return the runs that *owner* is asked to cancel, with their `cancel_reason`, until they have ended.

        Cost:
            Called each time that the loop goes to sleep while runs are under way: next to nothing where there are none.
        """
        return []

    @abstractmethod
    async def runs(self, where: RunFilter, limit: int, after: Run | None = None) -> list[Run]:
        """
        Return runs by nominal time and job id, the latest first.

        Args:
            where: Which ones.
            limit: At most so many.
            after: Only those that come after this one, that is, earlier ones.
        """

    @abstractmethod
    async def prune(self, before: datetime, limit: int) -> int:
        """
        Forget finished runs that no rule keeps; runs that have not ended are always kept.

        A job that names its own `keep_runs` keeps so many of its last runs. Of any other job, present or gone, the last
        ones are kept (how many is up to the store; 100 by default), and all that ended at or after *before*. A run that
        was never started counts as ended at its nominal time.

        Args:
            before: Aware.
            limit: At most so many are forgotten: call again until fewer were.

        Returns:
            How many were forgotten.
        """

    # nodes

    @abstractmethod
    async def join(self, node: str, lease: float, now: datetime) -> None:
        """
        Make *node* known, with a beat of 0; only a node that has joined may claim.

        Quarantined jobs are due again by that, since this node may be able to run them.

        Args:
            node: Its id.
            lease: Seconds of silence after which others may take it for dead.
            now: Aware UTC.
        """

    @abstractmethod
    async def leave(self, node: str) -> None:
        """Forget *node*, if it is known; runs that it still has are settled by the next `reap`, as if it had died."""

    @abstractmethod
    def pulse(self, node: str) -> AbstractAsyncContextManager[Beat]:
        """
        Open what raises the beat of *node*, with a connection of its own.

        To be entered in an asyncio event loop of another thread, while the store is open in the first one. Raising the
        beat also sets `Node.seen_at`. A beat raises an exception when the server cannot be reached.
        """

    @abstractmethod
    async def nodes(self) -> list[Node]:
        """Return the nodes that have joined; those that have died or left only while runs of theirs are not settled."""

    @abstractmethod
    async def reap(self, dead: Mapping[str, int], after_crash: AfterCrash) -> list[Run]:
        """
        Take nodes for dead and settle the runs of all nodes that are dead or have left.

        A node is dead from then on: it can neither beat nor claim. Whatever it claimed is given to *after_crash*, run
        by run, and what that returns is stored in its place. Safe to repeat.

        Args:
            dead: Node -> the beat at which it was seen for a whole lease; if its beat has gone on it lives.
            after_crash: What becomes of one run; gets its `cancel_reason` if it was to be cancelled, and may not let it
                wait again then.

        Returns:
            The runs as they are now; each is returned by one call only, whichever node makes it. After them the pending
            runs of jobs that follow those that were abandoned.
        """

    def notifier(self) -> Notifier | None:
        """Return what tells other nodes of changes in this store by its own server; None if there is nothing."""
        return None
