"""Run the due jobs of one store: arm, look, sleep (layer 6).

Rule 1: the wake-up is armed before the store is looked at, so no change between looking and sleeping is lost.
Rule 2: every sleep is bounded by `max_idle`, so that a lost notification and a moved clock heal by themselves.
Rule 3: nothing but `end` ends the loop; an error is logged, told, and followed by a growing pause.
Rule 4: while the lease cannot be trusted nothing is claimed, and what was claimed is handed back.
Rule 5: after a look that failed the store is asked what it claimed, since only the answer may have been lost; and again
later, since the question may have overtaken the look.
"""

from __future__ import annotations

import logging
import math
import random
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta

import anyio
import anyio.lowlevel
from anyio.abc import TaskStatus

from apsched.clock import Clock, Wakeup
from apsched.engine.backoff import Backoff
from apsched.engine.bus import Bus
from apsched.engine.lanes import Lanes
from apsched.engine.lease import Lease
from apsched.engine.membership import Membership
from apsched.engine.outage import Outage
from apsched.engine.recorder import Recorder
from apsched.engine.results import Finished, Results
from apsched.engine.runner import Runner
from apsched.engine.slots import Slots
from apsched.events import (
    EVENT_CLOCK_JUMPED,
    EVENT_JOB_COALESCED,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    EVENT_JOB_QUARANTINED,
    EVENT_JOB_REMOVED,
    EVENT_JOB_SUBMITTED,
    JobEvent,
    JobExecutionEvent,
    JobSubmissionEvent,
    SchedulerEvent,
)
from apsched.exceptions import LeaseLostError
from apsched.job import Job
from apsched.jobstores.base import JobStore, RunFilter
from apsched.logs import of_job, of_run
from apsched.run import Outcome, Plan, Planner, Run
from apsched.serializers.base import unreadable_arguments

logger: logging.Logger = logging.getLogger("apsched.loop")

BREATH = timedelta(milliseconds=6)  # between two looks that nothing but time asks for; a busy loop then serves several
# due jobs at each, which halves what one costs, and the others are not late for it
TOGETHER = 50  # runs that are started before the first of them may run; the fewer objects are there at a time, the less
# often Python looks for garbage among them
LANES_REST = 0.25  # seconds between two questions for lanes at least
LATEST = 120.0  # seconds after which nothing arrives that was sent before; systems repeat what a closed connection lost
# for less than that
LATE_REST = 15.0  # seconds between two questions for what has arrived late
JUMP = 2.0  # seconds by which the wall clock may disagree with the monotonic one between two looks

MOST_REPLACED = 1000  # runs of one job under way
REPLACED = "the next run replaces it"

QUEUES = {"queue_one", "queue_all"}  # what `overlap` is where runs wait for each other

CLOSED_CODES = {Outcome.MISSED: EVENT_JOB_MISSED, Outcome.COALESCED: EVENT_JOB_COALESCED}


class StoreLoop:
    """
    Looks for due jobs in one store and starts them.

    Args:
        store: The store.
        alias: Its alias.
        seconds: After how long without a sign of life others take this node for dead.
        clock: Time.
        plan: Decides what becomes of a due job.
        slots: How many runs may be claimed for which executor.
        runner: Starts the runs.
        bus: Gets the events.
        results: Gets the finished runs.
        hint: Tells other nodes that there is something for them in the store.
        max_idle: Seconds that the loop sleeps at most.
        capabilities: What this node has, of what jobs may require.

    Attributes:
        membership: Whose lease keeps what is claimed.
        recorder: Stores how the runs end; runs in a task of its own.
        last_look: When the store last answered, aware UTC; None if it never did.
        outage: How many looks in a row have failed.
        attempt: Since when (monotonic) it has been at the present look and its repetitions; None while it sleeps.
        is_unsure: Whether there may be claims of which it does not know.
        on_recorded: Called with each batch of runs that were stored as they ended.
    """

    def __init__(
        self,
        store: JobStore,
        alias: str,
        *,
        seconds: float,
        clock: Clock,
        plan: Planner,
        slots: Slots,
        runner: Runner,
        bus: Bus,
        results: Results,
        hint: Callable[[], None],
        max_idle: float,
        capabilities: frozenset[str] = frozenset(),
    ) -> None:
        self._store = store
        self._alias = alias
        self._clock = clock
        self._plan = plan
        self._slots = slots
        self._runner = runner
        self._bus = bus
        self.recorder: Recorder = Recorder(store, alias, clock, bus, results, self._note_recorded)
        self._put = self.recorder.put  # made once, not for each run
        self.membership: Membership = Membership(
            store,
            alias,
            seconds,
            clock,
            bus,
            attempt=lambda: self.attempt,
            on_trusted=self._retry_all,
            on_lost=lambda lease: runner.forfeit(lease, f"node {lease.node} was taken for dead"),
        )
        self._hint = hint
        self._max_idle = timedelta(seconds=max_idle)
        self._is_shared = store.is_shared
        self._is_watchful = store.is_shared or clock.is_real  # may something change without waking this loop?
        self._wakeup = Wakeup()
        self._retry = Wakeup()
        self._scope = anyio.CancelScope()
        self._lanes = Lanes(capabilities)
        self._learnt = -math.inf  # when (monotonic) the store was last asked for its lanes
        self._is_paused = False
        self._is_ending = False
        self._sleeps_until: datetime | None = None  # None while it does not sleep, and where it would sleep for ever
        self._is_starved = False
        self._waiting: set[str] = set()  # ids of jobs of which runs wait for another attempt
        self._queued: set[str] = set()  # ids of jobs that may have pending runs waiting for another run to end
        self._replaced: list[Run] = []  # under way on other nodes, which are to be asked to cancel them
        self._failed = -math.inf  # when (monotonic) a look last failed that may have claimed something
        self._adopted = -math.inf  # when (monotonic) the store was last asked what this node has claimed
        self._offset: float | None = None  # wall clock minus monotonic clock at the last look
        self.outage: Outage = Outage(bus, alias)
        self.last_look: datetime | None = None
        self.attempt: float | None = None
        self.is_unsure: bool = False
        self.on_recorded: Callable[[Sequence[Finished]], object] | None = None

    def wake(self) -> None:
        """Look at the store soon, because something in it has changed."""
        self._wakeup.set()

    def wake_for(self, moment: datetime | None) -> None:
        """Look at the store soon if *moment*, when something new is due, comes before the next look."""
        if moment is not None and (self._sleeps_until is None or moment < self._sleeps_until):
            self._wakeup.set()

    def note_lanes(self, jobs: Sequence[Job] | None = None) -> None:
        """Know of the lanes of *jobs*, which are new; None: ask the store, since it has changed."""
        if jobs is None:
            self._lanes.is_stale = True
        else:
            self._lanes.note(jobs)

    def await_turn(self, job_id: str) -> None:
        """Look at the store when a run of that job has ended here, since another one may wait for that."""
        self._queued.add(job_id)

    def wake_if_starved(self) -> None:
        """Look at the store soon if due jobs were left for want of slots."""
        if self._is_starved:
            self._wakeup.set()

    def pause(self) -> None:
        """Claim nothing until `resume`."""
        self._is_paused = True

    def resume(self) -> None:
        """Claim again."""
        self._is_paused = False
        self._wakeup.set()

    def end(self) -> None:
        """Claim nothing any more, for good; what a look that is under way still claims is handed back."""
        self._is_ending = True
        self._wakeup.set()
        self._retry.set()

    def abort(self) -> None:
        """End without waiting for the store."""
        self._scope.cancel()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Look and start until `end`."""
        backoff = Backoff()
        self._clock.work_began()
        task_status.started()
        try:
            with self._scope:
                while not self._is_ending:
                    self._retry.arm()
                    try:
                        await self._look_and_sleep()
                    except Exception as exc:
                        self._note_failure(exc)
                        if not self._is_ending:
                            await backoff.sleep(self._clock, self._retry)
                    else:
                        backoff.reset()
        finally:
            self._clock.work_ended()

    async def adopt(self) -> None:
        """Start, or hand back, what the store says this node has claimed and what is not known here."""
        lease = self.membership.lease
        known = self._runner.claims() | self.recorder.claims()
        for plan in await self._store.claimed(lease.node):
            unknown = [run for run in plan.runs if (run.id, run.epoch) not in known]
            sound = tuple(run for run in unknown if unreadable_arguments(run) is None)
            for run in unknown:
                if (reason := unreadable_arguments(run)) is not None:
                    self.recorder.fail(run, reason)
            for run in sound:
                self._replace(await self._replaced_by(plan.job, run))
            if sound:
                self._start(plan, sound, lease)
        self.is_unsure = False
        self._adopted = self._clock.monotonic()

    async def _look_and_sleep(self) -> None:
        self._wakeup.arm()
        now = self._clock.now()
        self._watch_clock(now)
        lease = self.membership.lease
        if self._is_ending:
            return
        if self._is_paused or not lease.is_trusted:
            await self._wait_for_leave_to_claim()
            return
        if self.attempt is None:
            self.attempt = self._clock.monotonic()
        if self.is_unsure or self._may_be_late():
            await self.adopt()
        await self._learn_lanes()
        free = self._slots.free(self._store.batch)
        plans = await self._claim(now, free, lease)
        if plans is None:
            return
        taken = Counter(plan.job.executor for plan in plans)
        await self._carry_out_all(plans, lease)
        await self._cancel_replaced()
        left = self._slots.free(1)
        busy = [alias for alias, slots in left.items() if not slots]
        if _more_may_be_due(taken, free, busy):
            self.attempt = None
            if not self._store.is_persistent:  # of one that waits for answers, the next look lets in what was started
                await anyio.lowlevel.checkpoint()
            return
        self._is_starved = bool(busy)
        until = self._bound(now, await self._store.next_run_time(self._by_lane(left), lease.node))
        await self._sleep(until)

    def _may_be_late(self) -> bool:
        """Whether a look that failed may have been carried out since the store was asked, which was a while ago."""
        return self._adopted < self._failed + LATEST and self._clock.monotonic() >= self._adopted + LATE_REST

    async def _learn_lanes(self) -> None:
        """Ask the store for its lanes, if that was not done for long, or it has changed; not for every small change."""
        now = self._clock.monotonic()
        if now >= self._learnt + (LANES_REST if self._lanes.is_stale else self._max_idle.total_seconds()):
            self._lanes.learn(await self._store.lanes())
            self._lanes.is_stale = False
            self._learnt = now

    def _by_lane(self, free: Mapping[str, int]) -> Mapping[str, int]:
        return self._lanes.slots(free) if self._lanes.are_special else free

    async def _claim(self, now: datetime, free: Mapping[str, int], lease: Lease) -> list[Plan] | None:
        """Return what was claimed, the most urgent lanes first; None if the lease was lost."""
        if not self._lanes.are_special:
            return await self._take_due(now, free, lease)
        left, nothing = dict(free), dict.fromkeys(self._lanes.slots(free), 0)
        plans: list[Plan] = []
        for lanes in self._lanes.rounds(free):
            slots = nothing | {lane.name: left[lane.alias] for lane in lanes}
            if any(slots.values()):
                try:
                    made = await self._take_due(now, slots, lease)
                except Exception:
                    if not plans:
                        raise
                    break  # what was claimed before is started; the error comes again when nothing stands before it
                if made is None:
                    return plans or None
                for plan in made:
                    claimed = sum(run.outcome is Outcome.RUNNING for run in plan.runs)
                    left[plan.job.executor] = max(0, left[plan.job.executor] - claimed)
                plans += made
        return plans

    async def _take_due(self, now: datetime, free: Mapping[str, int], lease: Lease) -> list[Plan] | None:
        """Return what was claimed; None if the lease was lost."""
        self.is_unsure = self._store.is_persistent  # until there is an answer
        try:
            plans = await self._store.take_due(now, free, self._plan, lease.node)
        except LeaseLostError:
            if not self._store.is_shared:
                raise
            self.is_unsure = False
            self.attempt = None
            self.membership.lose(lease)
            return None
        except Exception:
            self._failed = self._clock.monotonic()
            raise
        self.is_unsure = False
        self._note_success(now)
        return plans

    async def _wait_for_leave_to_claim(self) -> None:
        if not self._is_paused:
            self.membership.ask_for_beat()
        await self._sleep(None)

    async def _sleep(self, until: datetime | None) -> None:
        self.attempt = None
        if not self.recorder.expected and not self.recorder.backlog:
            self._queued.clear()  # nothing will end here
        self._sleeps_until = until
        try:
            await self._clock.wait(self._wakeup, until)
        finally:
            self._sleeps_until = None

    def _retry_all(self) -> None:
        """Do what could not be done for want of the lease, or of the store."""
        self._wakeup.set()
        self._retry.set()
        self.recorder.retry()

    def _bound(self, now: datetime, until: datetime | None) -> datetime | None:
        """Return when to look again: at *until*, but neither at once nor after too long."""
        if until is not None and self._clock.is_real:
            until = max(until, now + BREATH)
        if self._is_watchful:
            longest = now + (self._max_idle * random.uniform(0.8, 1.0) if self._is_shared else self._max_idle)  # noqa: S311  # so that nodes do not look in step
            until = longest if until is None else min(until, longest)
        return until

    async def _carry_out_all(self, plans: list[Plan], lease: Lease) -> None:
        """Empty *plans*, of many a few at a time, so that what their runs need is not all there at once."""
        plans.reverse()
        with self.recorder.gathering() if len(plans) > TOGETHER else nullcontext():
            while plans:
                for _ in range(min(TOGETHER, len(plans))):
                    self._carry_out(plans.pop(), lease)
                if plans:
                    await anyio.lowlevel.cancel_shielded_checkpoint()

    def _carry_out(self, plan: Plan, lease: Lease) -> None:
        self._replace(plan.cancel)
        if plan.next_nominal_time is None and not plan.removes_job:  # a pending run; more of the job may wait behind it
            self._queued.add(plan.job.id)
        started = plan.runs
        if len(started) != 1 or started[0].outcome is not Outcome.RUNNING:
            started = self._sort_out(plan)
        if started:
            self._start(plan, started, lease)
        elif plan.removes_job and self._bus.wants(EVENT_JOB_REMOVED):
            self._bus.publish(JobEvent(EVENT_JOB_REMOVED, job_id=plan.job.id, jobstore=self._alias))

    def _replace(self, runs: Sequence[Run]) -> None:
        """Cancel *runs* if they are under way here; other nodes are asked to by `_cancel_replaced`."""
        for run in runs:
            if not self._runner.cancel(run, REPLACED) and self._is_shared:
                self._replaced.append(run)

    async def _replaced_by(self, job: Job, run: Run) -> Sequence[Run]:
        """Return the runs that *run* replaces, as its plan has said, which got lost with the answer."""
        if job.overlap != "cancel_running":
            return ()
        where = RunFilter(job_id=job.id, outcomes=[Outcome.RUNNING], until=run.nominal_time)
        earlier = [each for each in await self._store.runs(where, MOST_REPLACED) if each.id != run.id]
        return earlier if len(earlier) >= job.max_instances else ()

    async def _cancel_replaced(self) -> None:
        while self._replaced:
            if await self._store.ask_to_cancel(self._replaced[-1], REPLACED):
                self._hint()
            self._replaced.pop()

    def _sort_out(self, plan: Plan) -> tuple[Run, ...]:
        """Tell what does not run now, and return what does."""
        for run in plan.runs:
            if run.outcome is Outcome.PENDING:
                self._queued.add(plan.job.id)
            elif run.outcome is not Outcome.RUNNING:
                self._tell_closed(run)
        if plan.quarantine is not None:
            self._tell_quarantined(plan.job.id, plan.quarantine)
        return tuple(run for run in plan.runs if run.outcome is Outcome.RUNNING)

    def _start(self, plan: Plan, runs: tuple[Run, ...], lease: Lease) -> None:
        if self._is_ending or not lease.is_trusted:
            why = "it ended" if self._is_ending else "it could not be sure of its lease"
            self.recorder.hand_back(runs, f"node {lease.node} did not start it: {why}")
            return
        if plan.job.jobstore is None:
            plan.job.jobstore = self._alias
        if self._bus.wants(EVENT_JOB_SUBMITTED):
            self._bus.publish(self._submission(EVENT_JOB_SUBMITTED, runs))
        if (self._is_shared and plan.job.overlap in QUEUES) or plan.job.id in self._waiting:
            # others may put runs into the queue meanwhile, and what waits for its next attempt comes into it
            self._queued.add(plan.job.id)
        self.recorder.expected += len(runs)
        for run in runs:
            removes_job = plan.removes_job and run is runs[-1]
            self._runner.start(
                plan.job, run, self._put, removes_job=removes_job, lease=lease if self._is_shared else None
            )

    def _tell_quarantined(self, job_id: str, reason: str) -> None:
        logger.error("job %r is quarantined: %s", job_id, reason, extra=of_job(job_id, self._alias))
        self._bus.publish(JobEvent(EVENT_JOB_QUARANTINED, job_id=job_id, jobstore=self._alias, detail=reason))

    def _tell_closed(self, run: Run) -> None:
        logger.warning("run %s was %s: %s", run.id, run.outcome.value, run.reason, extra=of_run(run, self._alias))
        if run.outcome is Outcome.SKIPPED:
            if self._bus.wants(EVENT_JOB_MAX_INSTANCES):
                self._bus.publish(self._submission(EVENT_JOB_MAX_INSTANCES, [run]))
            return
        code = CLOSED_CODES[run.outcome]
        if self._bus.wants(code):
            self._bus.publish(
                JobExecutionEvent(
                    code, job_id=run.job_id, jobstore=self._alias, scheduled_run_time=run.nominal_time, run=run
                )
            )

    def _note_recorded(self, batch: Sequence[Finished], are_followed: bool) -> None:
        """Look at the store soon if an ended run makes way for a pending one, and let other nodes do so too."""
        if self.on_recorded is not None:
            self.on_recorded(batch)
        if are_followed:
            self._wakeup.set()
            self._hint()
        for finished in batch:
            run = finished.run
            job_id = run.job_id
            if finished.is_retried:
                self._waiting.add(job_id)
            elif run.attempts and run.outcome.is_final:
                self._waiting.discard(job_id)
            if run.outcome is Outcome.PENDING or job_id in self._queued:
                self._queued.discard(job_id)
                self._wakeup.set()
                self._hint()

    def _submission(self, code: int, runs: Sequence[Run]) -> JobSubmissionEvent:
        return JobSubmissionEvent(
            code,
            job_id=runs[0].job_id,
            jobstore=self._alias,
            scheduled_run_times=[run.nominal_time for run in runs],
            runs=tuple(runs),
        )

    def _watch_clock(self, now: datetime) -> None:
        """Tell if the wall clock was moved since the last look; what is due is asked anew at each look anyway."""
        offset = now.timestamp() - self._clock.monotonic()
        if self._offset is not None and abs(jump := offset - self._offset) > JUMP:
            detail = f"the wall clock was moved by {jump:+.3f} s"
            logger.warning("%s", detail)
            self._bus.publish(SchedulerEvent(EVENT_CLOCK_JUMPED, self._alias, detail=detail))
        self._offset = offset

    def _note_failure(self, exc: Exception) -> None:
        logger.error("job store %r cannot be used; the loop goes on after a pause", self._alias, exc_info=exc)
        self.outage.note_failure(exc)

    def _note_success(self, now: datetime) -> None:
        self.last_look = now
        self.outage.note_success()


def _more_may_be_due(taken: Mapping[str, int], free: Mapping[str, int], busy: Container[str]) -> bool:
    """Whether an executor that is not *busy* got as much as was asked for."""
    return any(0 < free.get(alias, 0) <= count and alias not in busy for alias, count in taken.items())
