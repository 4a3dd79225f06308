"""Add, pause, resume, reschedule and remove jobs and cancel runs while nodes run them; keep account of what is owed.

Rule 1: what is owed is read inside the transaction that changes the job, so it is certain whoever runs it meanwhile.
Rule 2: a change that was not answered is made again; a tag with its number tells whether it had been made.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, TypeVar

import anyio
import attrs

from apsched.clock import SystemClock
from apsched.engine.desk import Desk, opened
from apsched.exceptions import ConflictingIdError, JobLookupError, JobStoreUnavailableError, RunLookupError
from apsched.job import Job
from apsched.jobstores.base import JobStore, RunFilter
from apsched.retry import Retry
from apsched.run import Outcome
from apsched.triggers.after import After
from apsched.triggers.base import BaseTrigger
from apsched.triggers.cron import CronTrigger
from apsched.triggers.date import DateTrigger
from apsched.triggers.interval import IntervalTrigger
from tests.chaos import ledger
from tests.chaos.courses import Course, Stretch
from tests.cluster.stores import make_store

T = TypeVar("T")

PAUSE = 2.0  # seconds between two changes, on average
AGAIN = 0.3  # seconds after which a change that failed is made again
KINDS: dict[str, Callable[..., Any]] = {
    "loop": ledger.in_loop,
    "threads": ledger.in_thread,
    "processes": ledger.in_process,
}
POLICIES = ("rerun", "abandon")
OPEN = (Outcome.PENDING, Outcome.RUNNING)
FEW = 50  # open runs, of which one is cancelled
FLAW = 0.5  # share of the attempts that fail, of jobs that are retried


class Editor:
    """
    Has a thread of its own, from `start` to `finish`.

    Args:
        url: The store.
        seed: What the changes depend on.
        lease: That of the nodes, in seconds.

    Attributes:
        courses: What it has decided, by job id.
        cancellations: Runs that it has tried to cancel -> the epoch in which they were; None: there was no answer.
        changes: How many changes it has made.
    """

    def __init__(self, url: str, seed: str, lease: float) -> None:
        self._url = url
        self._random = random.Random(seed)  # noqa: S311  # to be repeated, not to be secret
        self._lease = lease
        self._clock = SystemClock()
        self._numbers = count(1)
        self._paused: set[str] = set()
        self._has_begun = threading.Event()
        self._is_finishing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="editor")
        self._failure: BaseException | None = None
        self.courses: dict[str, Course] = {}
        self.cancellations: dict[str, int | None] = {}
        self.changes: int = 0

    def start(self) -> None:
        """Add the first jobs, and begin to change them; nothing may be broken before this returns."""
        self._thread.start()
        self._has_begun.wait()

    def finish(self) -> None:
        """Pause all jobs that go on for ever; the store must be there."""
        self._is_finishing.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _serve(self) -> None:
        try:
            anyio.run(self._edit)
        except BaseException as exc:  # raised by finish
            self._failure = exc
            self._has_begun.set()

    async def _edit(self) -> None:
        async with opened(make_store(self._url), UTC) as desk:
            store = desk.store
            for job in (*self._followers(), *self._recurring()):
                await self._add(store, job)
            self._has_begun.set()
            while not self._is_finishing.is_set():
                await anyio.sleep(min(self._random.expovariate(1 / PAUSE), 3 * PAUSE))
                await self._change(desk)
            for job_id in self._that_go_on():
                if self.courses[job_id].stretches[-1].until is None:
                    await self._pause(store, job_id)

    # jobs

    def _recurring(self) -> list[Job]:
        start = self._clock.now().replace(microsecond=0)
        second = CronTrigger(second="*", timezone="UTC")
        queue: dict[str, Any] = {"coalesce": False, "overlap": "queue_all"}
        one, two, three = (IntervalTrigger(seconds=seconds, timezone="UTC", start_date=start) for seconds in (1, 2, 3))
        short, long = 0.05, 1.5 * self._lease
        return [
            self._job("cron rerun", second, "loop", short, on_crash="rerun"),
            self._job("cron abandon", second, "threads", short, on_crash="abandon"),
            self._job("queue rerun", one, "loop", short, on_crash="rerun", **queue),
            self._job("queue abandon", one, "loop", short, on_crash="abandon", **queue),
            self._job("process rerun", two, "processes", 0.3, on_crash="rerun"),
            self._job("process abandon", three, "processes", 0.3, on_crash="abandon", overlap="queue_one"),
            self._job("thread rerun", two, "threads", 1.0, on_crash="rerun", overlap="queue_one"),
            self._job("long rerun", two, "loop", long, on_crash="rerun"),
            self._job("long abandon", two, "loop", long, on_crash="abandon"),
            self._job("several", one, "loop", 2.0, on_crash="rerun", max_instances=3),
            self._job("replaced", three, "loop", long, on_crash="rerun", overlap="cancel_running"),
            self._job("retry rerun", two, "loop", short, FLAW, on_crash="rerun", retry=Retry(3, 1.0)),
            self._job("retry abandon", three, "threads", 0.3, FLAW, on_crash="abandon", retry=Retry(3, 0.5), **queue),
            self._job("retry process", three, "processes", 0.3, FLAW, on_crash="rerun", retry=Retry(4, 0.0)),
        ]

    def _followers(self) -> list[Job]:
        """Return jobs that follow others of these, which stay for that."""
        return [
            self._job("after any", After("retry rerun", "any"), "loop", 0.05, on_crash="rerun"),
            self._job("after failure", After("retry abandon", "failure"), "threads", 0.05, on_crash="abandon"),
            self._job("after success", After("retry process", "success"), "loop", 0.3, on_crash="rerun"),
            self._job("after long", After("long abandon", "any"), "loop", 0.05, on_crash="abandon"),
            self._job("after after", After("after success", "any"), "processes", 0.05, on_crash="rerun"),
        ]

    def _that_go_on(self) -> list[str]:
        """Return the ids of the jobs that have nominal times of their own, for ever."""
        return [
            job_id
            for job_id, course in self.courses.items()
            if not course.is_removed and not isinstance(course.job.trigger, (DateTrigger, After))
        ]

    def _job(
        self, job_id: str, trigger: BaseTrigger, kind: str, seconds: float, flaw: float = 0.0, **options: Any
    ) -> Job:
        now = self._clock.now()
        first = trigger.get_next_fire_time(None, now)
        assert first is not None
        return Job(
            id=job_id,
            name=job_id,
            func=KINDS[kind],
            executor=kind,
            args=(seconds, flaw),
            trigger=trigger,
            next_run_time=first,
            next_nominal_time=first,
            **options,
        )

    def _date(self) -> Job:
        kind, policy = self._random.choice(list(KINDS)), self._random.choice(POLICIES)
        trigger = DateTrigger(self._clock.now() + timedelta(seconds=self._random.uniform(0, 4)))
        seconds = self._random.choice([0.0, 0.2, 1.0, self._lease])
        return self._job(f"date {next(self._numbers)} {policy}", trigger, kind, seconds, on_crash=policy)

    # changes

    async def _change(self, desk: Desk) -> None:
        store = desk.store
        job_id = self._random.choice(self._that_go_on())
        is_followed = any(course.job.follows == job_id for course in self.courses.values())
        match self._random.choice(["add", "add", "add", "cancel", "cancel", "pause", "reschedule", "replace"]):
            case "cancel":
                await self._cancel(desk)
            case "add":
                for job in [self._date() for _ in range(3)]:
                    await self._add(store, job)
            case _ if job_id in self._paused:
                await self._restart(store, job_id)
            case "pause":
                await self._pause(store, job_id)
            case "replace" if not is_followed:
                await self._remove(store, job_id)
                old = self.courses[job_id].job
                name = job_id.partition(" #")[0]
                new_id = f"{name} #{next(self._numbers)}"
                await self._add(store, self._job(new_id, old.trigger, old.executor, *old.args, **_options_of(old)))
            case _:
                await self._restart(store, job_id)
        self.changes += 1

    async def _add(self, store: JobStore, job: Job) -> None:
        first = job.next_nominal_time
        assert first is not None
        self.courses[job.id] = Course(job, [Stretch(job.trigger, first)])
        with suppress(ConflictingIdError):  # an earlier try had come through
            await _insist(lambda: store.add([job]))
        self.courses[job.id].added_at = self._clock.now()

    async def _pause(self, store: JobStore, job_id: str) -> None:
        until, _ = await self._update(store, job_id, None)
        self.courses[job_id].stretches[-1].until = until
        self._paused.add(job_id)

    async def _restart(self, store: JobStore, job_id: str) -> None:
        """Resume a job, or reschedule it, with another interval if it has one."""
        course = self.courses[job_id]
        trigger: BaseTrigger = course.stretches[-1].trigger
        if isinstance(trigger, IntervalTrigger):
            start = self._clock.now().replace(microsecond=0)
            least = 1 if course.job.retry is None else 3  # which costs several runs each time
            seconds = self._random.choice([least, least + 1, least + 2])
            trigger = IntervalTrigger(seconds=seconds, timezone="UTC", start_date=start)
        until, first = await self._update(store, job_id, trigger)
        if job_id not in self._paused:
            course.stretches[-1].until = until
        self._paused.discard(job_id)
        assert first is not None
        course.stretches.append(Stretch(trigger, first))

    async def _remove(self, store: JobStore, job_id: str) -> None:
        await self._pause(store, job_id)
        self.courses[job_id].is_removed = True
        with suppress(JobLookupError):  # an earlier try had come through
            await _insist(lambda: store.remove(job_id))

    async def _cancel(self, desk: Desk) -> None:
        """Cancel one of the latest runs that have not ended."""
        runs = await _insist(lambda: desk.store.runs(RunFilter(outcomes=OPEN), FEW))
        if runs:
            run_id = self._random.choice(runs).id
            self.cancellations[run_id] = None
            with suppress(RunLookupError):  # it has ended, or an earlier try had come through
                self.cancellations[run_id] = (await _insist(lambda: desk.cancel_run(run_id))).epoch

    async def _update(
        self, store: JobStore, job_id: str, trigger: BaseTrigger | None
    ) -> tuple[datetime | None, datetime | None]:
        """
        Let a job go on with *trigger*, or pause it.

        Returns:
            Which nominal time would have been next, and which one is.
        """
        number = str(next(self._numbers))
        until: datetime | None = None
        first: datetime | None = None

        def change(job: Job) -> Job:
            nonlocal until, first
            if job.tags.get("change") == number:
                return job
            until = job.next_nominal_time
            tags = {"change": number}
            if trigger is None:
                return attrs.evolve(job, next_run_time=None, tags=tags)
            first = trigger.get_next_fire_time(None, self._clock.now())
            return attrs.evolve(job, trigger=trigger, next_run_time=first, next_nominal_time=first, tags=tags)

        await _insist(lambda: store.update(job_id, change))
        return until, first


def _options_of(job: Job) -> dict[str, Any]:
    names = ("on_crash", "overlap", "coalesce", "max_instances", "retry")
    return {name: getattr(job, name) for name in names}


async def _insist(verb: Callable[[], Awaitable[T]]) -> T:
    """Do it until the store answers."""
    until = time.monotonic() + 120
    while True:
        try:
            return await verb()
        except JobStoreUnavailableError:
            if time.monotonic() > until:
                raise
            await anyio.sleep(AGAIN)
