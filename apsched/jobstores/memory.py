"""Keep jobs and runs in the memory of this process (layer 7).

Rule 1: no method suspends, so that a coroutine of this store can be driven by one `send(None)` where no loop runs.
Rule 2: due jobs stand in one heap an executor. A heap entry is believed only if it agrees with its job; whoever moves a
job adds an entry and leaves the old one to be dropped when it comes up.
"""

from __future__ import annotations

import bisect
import heapq
import itertools
import math
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from types import TracebackType
from typing import TypeAlias

import attrs

from apsched.exceptions import ConflictingIdError, JobLookupError, LeaseLostError
from apsched.job import Job
from apsched.jobstores._blocking import BlockingMethods
from apsched.jobstores.base import AfterCrash, Beat, Change, JobFilter, Merge, Node, RunFilter
from apsched.run import Outcome, Plan, Planner, Run, following

HeapEntry: TypeAlias = tuple[float, int, Job]
COMPACT_FROM = 1000  # outdated heap entries; fewer are not worth looking for
MICROSECOND = timedelta(microseconds=1)
EVERY_JOB = JobFilter()

RUNNING = Outcome.RUNNING
PENDING = Outcome.PENDING
CANCELLED = Outcome.CANCELLED


class MemoryJobStore(BlockingMethods):
    """
    A job store for one process and one life of it.

    Leaving it forgets the jobs and keeps the history. The history is bounded: the last *keep_runs* runs of each job,
    and those of the *keep_gone_jobs* jobs that finished or were removed last.

    Args:
        keep_runs: How many finished runs are kept of each job that does not name a number of its own, from 0 on.
        keep_gone_jobs: Of how many jobs that are gone the runs are kept, from 0 on.
    """

    is_shared = False
    is_persistent = False
    batch = 32  # so that what is made for a batch is gone before the garbage collector counts 700 new objects

    def __init__(self, *, keep_runs: int = 100, keep_gone_jobs: int = 100_000) -> None:
        for name, value in (("keep_runs", keep_runs), ("keep_gone_jobs", keep_gone_jobs)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise ValueError(f"{name} must be a whole number from 0 on, got {value!r}")
        self._keep_runs = keep_runs
        self._keep_gone_jobs = keep_gone_jobs
        self._jobs: dict[str, Job] = {}
        self._heaps: dict[str, list[HeapEntry]] = {}
        self._entries = itertools.count()
        self._outdated = 0
        self._runs: dict[str, dict[float, Run]] = {}  # job id -> nominal time -> run, in the order of insertion
        self._open: dict[str, list[Run]] = {}
        self._pending: dict[str, tuple[Job, deque[Run]]] = {}  # job id -> the job and its queue
        self._retired: dict[str, Job] = {}  # finished jobs whose last runs are still open
        self._removed: dict[str, Job] = {}  # removed jobs of which runs are still under way
        self._followers: dict[str, dict[str, None]] = {}  # job id -> ids of jobs that follow it, or did once
        self._expecting: dict[str, None] = {}  # ids of jobs that are to succeed within a time, or were once
        self._quarantined: dict[str, None] = {}  # ids of jobs that are quarantined, or were once: no heap has them
        self._nodes: dict[str, Node] = {}
        self._gone: OrderedDict[str, None] = OrderedDict()  # ids of jobs that are gone, in the order in which they went

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.clear()

    # jobs

    async def add(self, jobs: Sequence[Job], merge: Merge | None = None) -> list[Job]:
        merged: dict[str, Job] = {}
        for job in jobs:
            if (old := self._jobs.get(job.id)) is not None:
                if merge is None:
                    raise ConflictingIdError(job.id)
                merged[job.id] = merge(old.copy(), job)
        for job_id, job in merged.items():
            self._put(self._jobs[job_id], job)
        kept = [self._jobs.setdefault(job.id, job) for job in jobs]
        if self._retired:
            self._succeed(kept)
        self._schedule(kept)
        return kept

    async def update(self, job_id: str, change: Change) -> Job:
        job = self._get(job_id)
        changed = change(job.copy())
        self._put(job, changed)
        self._schedule((job,))
        return job

    async def remove(self, job_id: str) -> None:
        self._forget(self._get(job_id))

    async def clear(self) -> None:
        for job in list(self._jobs.values()):
            self._forget(job)
        for job_id in list(self._pending):
            self._cancel_pending(job_id)
        self._heaps.clear()
        self._outdated = 0

    async def get(self, job_id: str) -> Job | None:
        return self._jobs.get(job_id)

    async def select(self, where: JobFilter, limit: int | None = None, after: str | None = None) -> list[Job]:
        known: Iterable[Job] = self._jobs.values()
        if where.expects_success:
            known = [job for job_id in self._expecting if (job := self._jobs.get(job_id)) is not None]
        elif limit is not None and after is None and not where.tags and not where.is_quarantined:
            known = self._due_first(limit)
        jobs = known if where == EVERY_JOB else (job for job in known if where.accepts(job))
        if after is not None:
            place = _place(self._get(after))
            jobs = (job for job in jobs if _place(job) > place)
        return sorted(jobs, key=_place) if limit is None else heapq.nsmallest(limit, jobs, key=_place)

    # claims

    async def next_run_time(self, slots: Mapping[str, int], owner: str) -> datetime | None:
        counting = (alias for alias in self._heaps if slots.get(alias, 1) > 0)
        tops = [top for alias in counting if (top := self._top(alias)) is not None]
        moment = min(tops, key=_entry_time)[2].next_run_time if tops else None
        if self._pending:
            moments = [run.due_time for alias, free in slots.items() if free > 0 for run in self._may_start(alias)]
            if moment is not None:
                moments.append(moment)
            moment = min(moments, key=datetime.timestamp, default=None)
        return moment

    async def take_due(self, now: datetime, slots: Mapping[str, int], plan: Planner, owner: str) -> list[Plan]:
        if (node := self._nodes.get(owner)) is None or node.is_dead:
            raise LeaseLostError(owner)
        plans: list[Plan] = []
        try:
            for alias, free in slots.items():
                if free > 0:
                    claimed = self._claim_pending(alias, free, now, owner) if self._pending else ()
                    plans += claimed
                    if alias in self._heaps:
                        self._take_jobs(alias, free - len(claimed), now, plan, owner, plans)
            for alias in self._heaps.keys() - slots.keys():
                self._take_jobs(alias, len(self._heaps[alias]), now, plan, owner, plans)
        except Exception:
            if not plans:  # what is stored must be told; the error comes again when nothing stands before it
                raise
        return plans

    async def lanes(self) -> list[str]:
        return list(self._heaps)

    async def claimed(self, owner: str) -> list[Plan]:
        claims = self._claims_of(owner)
        return [Plan(job=job, runs=(run,)) for run in claims if (job := self._job_of(run)) is not None]

    async def add_run(self, run: Run) -> Run:
        job = self._get(run.job_id)
        runs = self._runs.setdefault(run.job_id, {})
        while (taken := runs.get(run.nominal_time.timestamp())) is not None:
            if not run.is_manual:
                return taken
            run = attrs.evolve(run, nominal_time=run.nominal_time + MICROSECOND)
        runs[run.nominal_time.timestamp()] = run
        self._enqueue(job, run)
        return run

    async def finish(self, runs: Sequence[Run]) -> list[Run]:
        stored = []
        followers: list[Run] = []
        for run in runs:
            known = self._runs.get(run.job_id, {})
            key = run.nominal_time.timestamp()
            current = known.get(key)
            if current is None or current.epoch != run.epoch:
                continue
            if current.outcome is run.outcome and current.outcome is not RUNNING:
                stored.append(run)  # once more
                continue
            if current.outcome is PENDING and run.outcome is CANCELLED:
                self._dequeue(current)
            elif current.outcome is not RUNNING:
                continue
            if run.outcome is PENDING and current.cancel_reason is not None:
                continue
            stored.append(run)
            if run.outcome is PENDING:
                self._hand_back(current, run)
            else:
                self._end(current, run, key, known)
                followers += self._follow(run)
        return stored + followers

    async def report(self, runs: Sequence[Run]) -> None:
        for run in runs:
            known = self._runs.get(run.job_id, {}).get(run.nominal_time.timestamp())
            if known is not None and known.outcome is RUNNING and known.epoch == run.epoch:
                known.report = run.report

    async def ask_to_cancel(self, run: Run, reason: str) -> bool:
        known = self._runs.get(run.job_id, {}).get(run.nominal_time.timestamp())
        if known is None or known.outcome is not RUNNING or known.epoch != run.epoch:
            return False
        known.cancel_reason = reason
        return True

    async def asked_to_cancel(self, owner: str) -> list[Run]:
        return [run for run in self._claims_of(owner) if run.cancel_reason is not None]

    # history

    async def runs(self, where: RunFilter, limit: int, after: Run | None = None) -> list[Run]:
        least = -math.inf if where.since is None else where.since.timestamp()
        most = math.inf if where.until is None else where.until.timestamp()
        outcomes, node = where.outcomes, where.node
        place = None if after is None else _recency(after)
        found: list[tuple[float, str, Run]] = []
        for moment, run in self._among(where):
            if (
                least <= moment <= most
                and (outcomes is None or run.outcome in outcomes)
                and (node is None or run.node == node)
                and (place is None or (moment, run.job_id) < place)
            ):
                found.append((moment, run.job_id, run))
                if len(found) > limit * 2:
                    found.sort(reverse=True)
                    least = found[limit - 1][0]  # so that of the rest most are left out at a glance
                    del found[limit:]
        found.sort(reverse=True)
        return [run for _, _, run in found[:limit]]

    async def prune(self, before: datetime, limit: int) -> int:
        return 0  # every history is kept within its bound as it grows

    # nodes: of this process, so only tests see one die

    async def join(self, node: str, lease: float, now: datetime) -> None:
        self._nodes[node] = Node(id=node, beat=0, lease=lease, started_at=now, seen_at=now)
        released = [job for job in self._jobs.values() if job.quarantine is not None]
        for job in released:
            job.quarantine = None
        self._schedule(released)

    async def leave(self, node: str) -> None:
        if (known := self._nodes.get(node)) is not None:
            self._nodes[node] = attrs.evolve(known, is_dead=True)
            self._forget_dead()

    def pulse(self, node: str) -> AbstractAsyncContextManager[Beat]:
        return self._pulse(node)

    @asynccontextmanager
    async def _pulse(self, node: str) -> AsyncGenerator[Beat]:
        async def beat() -> bool:
            known = self._nodes.get(node)
            if known is None or known.is_dead:
                return False
            self._nodes[node] = attrs.evolve(known, beat=known.beat + 1)
            return True

        yield beat

    async def nodes(self) -> list[Node]:
        return list(self._nodes.values())

    async def reap(self, dead: Mapping[str, int], after_crash: AfterCrash) -> list[Run]:
        for node, beat in dead.items():
            known = self._nodes.get(node)
            if known is not None and known.beat == beat:
                self._nodes[node] = attrs.evolve(known, is_dead=True)
        settled = [
            (run, after_crash(self._job_of(run), run))
            for known in self._nodes.values()
            if known.is_dead
            for run in self._claims_of(known.id)
        ]
        followers: list[Run] = []
        for run, successor in settled:
            successor.cancel_reason = None
            if successor.outcome is PENDING:
                self._hand_back(run, successor)
            else:
                self._end(run, successor, _moment(run), self._runs[run.job_id])
                followers += self._follow(successor)
        self._forget_dead()
        return [successor for _, successor in settled] + followers

    # the parts of the above

    def _due_first(self, limit: int) -> Iterable[Job]:
        """Return some of the jobs, among them the first *limit* by next run time, in no order."""
        entries = [entry for heap in self._heaps.values() for entry in heap]
        enough = limit + self._outdated
        if not 0 < enough < len(entries):
            return self._jobs.values()
        last = heapq.nsmallest(enough, map(_entry_time, entries))[-1]
        found = {job.id: job for moment, _, job in entries if moment <= last and self._jobs.get(job.id) is job}
        found.update((job_id, job) for job_id in self._quarantined if (job := self._jobs.get(job_id)) is not None)
        return found.values()

    def _among(self, where: RunFilter) -> Iterator[tuple[float, Run]]:
        """
        Return runs of the job of *where*, among which those of its outcomes are, with their nominal times.

        Where it asks for open ones only, these are not the whole history.
        """
        if where.outcomes is not None and not any(outcome.is_final for outcome in where.outcomes):
            runs = self._open.values() if where.job_id is None else (self._open.get(where.job_id, ()),)
            return ((_moment(run), run) for run in itertools.chain.from_iterable(runs))
        histories = self._runs.values() if where.job_id is None else (self._runs.get(where.job_id, {}),)
        return itertools.chain.from_iterable(map(dict.items, histories))

    def _claims_of(self, node: str) -> list[Run]:
        return [run for runs in self._open.values() for run in runs if run.outcome is RUNNING and run.node == node]

    def _job_of(self, run: Run) -> Job | None:
        """Return the job of an open run; None if it was removed."""
        return self._jobs.get(run.job_id) or self._retired.get(run.job_id)

    def _forget_dead(self) -> None:
        for node in [known.id for known in self._nodes.values() if known.is_dead and not self._claims_of(known.id)]:
            del self._nodes[node]

    def _get(self, job_id: str) -> Job:
        try:
            return self._jobs[job_id]
        except KeyError:
            raise JobLookupError(job_id) from None

    def _put(self, job: Job, changed: Job) -> None:
        job.become(changed)
        self._outdated += 1

    def _succeed(self, jobs: Iterable[Job]) -> None:
        """Let the runs that finished jobs have left be those of *jobs* of the same ids."""
        for job in jobs:
            if self._retired.pop(job.id, None) is not None and job.id in self._pending:
                _, queue = self._pending[job.id]
                self._pending[job.id] = (job, queue)

    def _forget(self, job: Job) -> None:
        del self._jobs[job.id]
        self._expecting.pop(job.id, None)
        self._quarantined.pop(job.id, None)
        self._outdated += 1
        if job.id in self._open:
            self._removed[job.id] = job
            self._cancel_pending(job.id)
        else:
            self._bury(job.id)

    def _cancel_pending(self, job_id: str) -> None:
        _, queue = self._pending.pop(job_id, (None, ()))
        for run in queue:
            self._end(run, _orphaned(run), run.nominal_time.timestamp(), self._runs[job_id])

    def _bury(self, job_id: str) -> None:
        """Let the history of a job that is gone, its last runs too, be forgotten in its turn."""
        self._gone[job_id] = None
        self._gone.move_to_end(job_id)
        while len(self._gone) > self._keep_gone_jobs:
            oldest, _ = self._gone.popitem(last=False)
            if oldest not in self._jobs and oldest not in self._open:  # no other job has come under its id
                self._runs.pop(oldest, None)

    def _schedule(self, jobs: Iterable[Job]) -> None:
        added: dict[str, list[HeapEntry]] = {}
        for job in jobs:
            if job.expect_success_within is not None:
                self._expecting[job.id] = None
            if job.quarantine is not None:
                self._quarantined[job.id] = None
            if job.follows is not None:
                self._note_follower(job)
            elif job.next_run_time is not None and job.quarantine is None:
                entry = (job.next_run_time.timestamp(), next(self._entries), job)
                added.setdefault(job.lane, []).append(entry)
        for alias, entries in added.items():
            heap = self._heaps.setdefault(alias, [])
            if len(entries) * 4 > len(heap):
                heap += entries
                heapq.heapify(heap)
            else:
                for entry in entries:
                    heapq.heappush(heap, entry)
        if self._outdated > COMPACT_FROM and self._outdated > len(self._jobs):
            self._compact()

    def _compact(self) -> None:
        for alias, heap in self._heaps.items():
            heap[:] = {entry[2].id: entry for entry in heap if self._is_valid(alias, entry)}.values()
            heapq.heapify(heap)
        self._outdated = 0

    def _is_valid(self, alias: str, entry: HeapEntry) -> bool:
        moment, _, job = entry
        return (
            job.next_run_time is not None
            and job.next_run_time.timestamp() == moment
            and job.lane == alias
            and job.quarantine is None
            and job.follows is None
            and self._jobs.get(job.id) is job
        )

    def _top(self, alias: str) -> HeapEntry | None:
        heap = self._heaps[alias]
        while heap:
            if self._is_valid(alias, heap[0]):
                return heap[0]
            heapq.heappop(heap)
        return None

    def _take_jobs(self, alias: str, limit: int, now: datetime, plan: Planner, owner: str, plans: list[Plan]) -> None:
        heap = self._heaps[alias]
        moment = now.timestamp()
        taken = 0
        while heap and heap[0][0] <= moment and taken < limit:
            entry = heapq.heappop(heap)
            if self._is_valid(alias, entry):
                try:
                    decided = plan(entry[2], self._open.get(entry[2].id, ()), now, owner)
                except BaseException:
                    heapq.heappush(heap, entry)
                    raise
                plans.append(self._carry_out(decided))
                taken += 1

    def _carry_out(self, plan: Plan) -> Plan:
        job = plan.job
        if plan.quarantine is not None:
            job.quarantine = plan.quarantine
            self._quarantined[job.id] = None
            return plan
        runs = self._runs.get(job.id)
        if runs is None:
            runs = self._runs[job.id] = {}
        for run in plan.runs:
            key = run.nominal_time.timestamp()
            if key in runs:
                cancel = () if run.outcome is RUNNING else plan.cancel  # nothing is replaced by a run that is dropped
                plan = attrs.evolve(plan, runs=tuple(other for other in plan.runs if other is not run), cancel=cancel)
                continue
            runs[key] = run
            if run.outcome is RUNNING:
                self._open.setdefault(job.id, []).append(run)
            elif run.outcome is PENDING:
                self._enqueue(job, run)
        if plan.removes_job:
            self._retire(job)
        else:
            job.next_nominal_time = plan.next_nominal_time
            job.next_run_time = next_run_time = plan.next_run_time
            if next_run_time is not None:
                heapq.heappush(self._heaps[job.lane], (next_run_time.timestamp(), next(self._entries), job))
        if len(runs) > 1 or job.keep_runs == 0 or not self._keep_runs:
            self._trim(job, job.id, runs)
        return plan

    def _retire(self, job: Job) -> None:
        del self._jobs[job.id]
        self._expecting.pop(job.id, None)
        self._quarantined.pop(job.id, None)
        job.next_run_time = job.next_nominal_time = None
        if job.id in self._open:
            self._retired[job.id] = job
        else:
            self._bury(job.id)

    def _enqueue(self, job: Job, run: Run) -> None:
        self._open.setdefault(job.id, []).append(run)
        self._line_up(job, run)

    def _line_up(self, job: Job, run: Run) -> None:
        """Let *run* wait before the later ones of its job."""
        _, queue = self._pending.setdefault(job.id, (job, deque()))
        if queue and _moment(run) < _moment(queue[-1]):
            queue.insert(bisect.bisect(queue, _moment(run), key=_moment), run)
        else:
            queue.append(run)

    def _dequeue(self, run: Run) -> None:
        _, queue = self._pending[run.job_id]
        queue.remove(run)
        if not queue:
            del self._pending[run.job_id]

    def _hand_back(self, claimed: Run, run: Run) -> None:
        """Let *run* wait again in the place of *claimed*; if its job is removed, for nothing: it is cancelled."""
        known, key = self._runs[run.job_id], run.nominal_time.timestamp()
        run.cancel_reason = None
        job = self._job_of(run)
        if job is None:
            self._end(claimed, _orphaned(run), key, known)
            return
        known[key] = run
        open_runs = self._open[job.id]
        open_runs[open_runs.index(claimed)] = run
        self._line_up(job, run)

    def _queues(self, alias: str) -> Iterator[tuple[Job, deque[Run], int]]:
        """Yield the jobs that have pending runs of which some may start, and how many of these."""
        for job, queue in self._pending.values():
            if job.lane == alias:
                running = sum(run.outcome is RUNNING for run in self._open[job.id])
                allowed = len(queue) if job.overlap == "allow" else job.max_instances - running
                if allowed > 0:
                    yield job, queue, allowed

    def _may_start(self, alias: str) -> Iterator[Run]:
        """Yield pending runs that may start at their due times."""
        for _, queue, _ in self._queues(alias):
            yield from queue

    def _claimable(self, alias: str, now: datetime) -> list[tuple[Job, deque[Run], Run]]:
        """Return the pending runs that may start now."""
        return [
            (job, queue, run)
            for job, queue, allowed in self._queues(alias)
            for run in itertools.islice((run for run in queue if run.due_time <= now), allowed)
        ]

    def _claim_pending(self, alias: str, limit: int, now: datetime, owner: str) -> list[Plan]:
        plans = []
        for job, queue, run in self._claimable(alias, now)[:limit]:
            queue.remove(run)
            claimed = attrs.evolve(run, outcome=RUNNING, epoch=run.epoch + 1, node=owner, claimed_at=now)
            open_runs = self._open[job.id]
            open_runs[open_runs.index(run)] = claimed
            self._runs[job.id][run.nominal_time.timestamp()] = claimed
            if not queue:
                del self._pending[job.id]
            plans.append(Plan(job=job, runs=(claimed,)))
        return plans

    def _end(self, current: Run, run: Run, key: float, known: dict[float, Run]) -> None:
        """Let the open run *current* be *run*, which is final."""
        known[key] = run
        job_id = run.job_id
        job = self._jobs.get(job_id) or self._retired.get(job_id) or self._removed.get(job_id)
        open_runs = self._open[job_id]
        open_runs.remove(current)
        if not open_runs:
            del self._open[job_id]
            if job_id not in self._jobs:
                self._retired.pop(job_id, None)
                self._removed.pop(job_id, None)
                self._bury(job_id)
        self._trim(job, job_id, known)

    def _note_follower(self, job: Job) -> None:
        if (followed := job.follows) is not None:
            self._followers.setdefault(followed, {})[job.id] = None

    def _follow(self, run: Run) -> list[Run]:
        """Let the jobs that follow wait for a slot, now that *run* has ended."""
        followers = self._followers.get(run.job_id) if self._followers else None
        made: list[Run] = []
        for job_id in list(followers or ()):
            job = self._jobs.get(job_id)
            if job is None or job.follows != run.job_id:
                self._followers[run.job_id].pop(job_id)
            elif (pending := following(job, run)) is not None:
                runs = self._runs.setdefault(job_id, {})
                if _moment(pending) not in runs:
                    runs[_moment(pending)] = pending
                    self._enqueue(job, pending)
                    made.append(pending)
        return made

    def _trim(self, job: Job | None, job_id: str, runs: dict[float, Run]) -> None:
        keep = self._keep_runs if job is None or job.keep_runs is None else job.keep_runs
        excess = len(runs) - len(self._open.get(job_id, ())) - keep
        if excess > 0:
            finished = (key for key, run in runs.items() if run.outcome.is_final)
            for key in list(itertools.islice(finished, excess)):
                del runs[key]


def _place(job: Job) -> tuple[float, str]:
    return (float("inf") if job.next_run_time is None else job.next_run_time.timestamp(), job.id)


def _recency(run: Run) -> tuple[float, str]:
    return (run.nominal_time.timestamp(), run.job_id)


def _moment(run: Run) -> float:
    return run.nominal_time.timestamp()


def _orphaned(run: Run) -> Run:
    return attrs.evolve(run, outcome=CANCELLED, reason="its job was removed before it could start")


def _entry_time(entry: HeapEntry) -> float:
    return entry[0]
