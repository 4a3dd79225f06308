"""The bridge to job stores that were written for APScheduler 3."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

from apsched.exceptions import SchedulerNotRunningError
from apsched.job import Job
from apsched.jobstores._bridged import LOST, BridgedJobStore
from apsched.jobstores.base import JobFilter, RunFilter
from apsched.run import Outcome, Plan, Run
from apsched.triggers.interval import IntervalTrigger
from tests.users_stores import ColumnStore, DictStore

T0 = datetime(2026, 7, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def work() -> None: ...


def make_job(id: str = "job", **options: Any) -> Job:
    trigger = IntervalTrigger(hours=1, start_date=T0, timezone="UTC")
    values = {"id": id, "name": id, "func": work, "trigger": trigger, "next_run_time": T0, "next_nominal_time": T0}
    return Job(**{**values, **options})


def claim(job: Job, open_runs: Sequence[Run], now: datetime, owner: str) -> Plan:
    run = Run(job_id=job.id, nominal_time=T0, due_time=T0, outcome=Outcome.RUNNING, epoch=1, node=owner, claimed_at=now)
    return Plan(job=job, runs=(run,), next_nominal_time=T0 + HOUR, next_run_time=T0 + HOUR)


class Failing(DictStore):
    """Cannot add or update what is named."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = names

    def add_job(self, job: Job) -> None:
        if job.id in self.names:
            raise OSError("disk full")
        super().add_job(job)

    def update_job(self, job: Job) -> None:
        if job.id in self.names:
            raise OSError("disk full")
        super().update_job(job)


async def test_what_was_added_before_an_error_is_removed_again() -> None:
    async with BridgedJobStore(Failing("c")) as store:
        await store.add([make_job("a", name="old")])

        with pytest.raises(OSError, match="disk full"):
            await store.add([make_job("a"), make_job("b"), make_job("c")], lambda old, new: new)

        assert [(job.id, job.name) for job in await store.select(JobFilter())] == [("a", "old")]


async def test_a_job_that_cannot_be_moved_on_is_not_claimed_and_what_was_claimed_is_told() -> None:
    users = Failing()
    async with BridgedJobStore(users) as store:
        await store.join("node", 15.0, T0)
        await store.add([make_job("a"), make_job("b", next_run_time=T0 + HOUR / 2)])
        users.names = ("b",)

        plans = await store.take_due(T0 + HOUR, {"default": 9}, claim, "node")

        assert [plan.job.id for plan in plans] == ["a"]
        assert [run.job_id for run in await store.runs(RunFilter(), 9)] == ["a"]
        with pytest.raises(OSError, match="disk full"):
            await store.take_due(T0 + HOUR / 2, {"default": 9}, claim, "node")


async def test_a_job_that_others_remove_while_it_is_claimed_is_not_run() -> None:
    users = DictStore()

    def plan(job: Job, open_runs: Sequence[Run], now: datetime, owner: str) -> Plan:
        users.states.clear()
        return claim(job, open_runs, now, owner)

    async with BridgedJobStore(users) as store:
        await store.join("node", 15.0, T0)
        await store.add([make_job()])

        (made,) = await store.take_due(T0, {"default": 9}, plan, "node")

        assert made.runs == ()
        assert await store.runs(RunFilter(), 9) == []


async def test_a_run_whose_job_others_remove_is_cancelled() -> None:
    users = DictStore()
    async with BridgedJobStore(users) as store:
        await store.join("node", 15.0, T0)
        await store.add([make_job(next_run_time=None, next_nominal_time=None)])
        await store.add_run(Run(job_id="job", nominal_time=T0, due_time=T0, outcome=Outcome.PENDING, is_manual=True))
        users.states.clear()

        assert await store.take_due(T0, {"default": 9}, claim, "node") == []

        assert [run.outcome for run in await store.runs(RunFilter(), 9)] == [Outcome.CANCELLED]


async def test_runs_that_wait_at_the_end_are_cancelled_and_say_why() -> None:
    store = BridgedJobStore(DictStore())
    async with store:
        await store.join("node", 15.0, T0)
        await store.add([make_job()])
        (plan,) = await store.take_due(T0, {"default": 9}, claim, "node")
        await store.finish([attrs.evolve(plan.runs[0], outcome=Outcome.PENDING)])

    async with store:
        (run,) = await store.runs(RunFilter(), 9)
        assert (run.outcome, run.reason) == (Outcome.CANCELLED, LOST)


async def test_of_a_store_that_keeps_no_nominal_time_the_next_run_time_is_it(tmp_path: Any) -> None:
    async with BridgedJobStore(ColumnStore(str(tmp_path / "jobs.db"))) as store:
        (kept,) = await store.add([make_job(next_run_time=T0 + timedelta(seconds=5))])

        job = await store.get("job")

        assert kept.next_nominal_time == T0
        assert job is not None
        assert (job.next_run_time, job.next_nominal_time) == (T0 + timedelta(seconds=5),) * 2


async def test_a_store_of_something_else_than_jobs_is_told_so() -> None:
    class Wrong(DictStore):
        def get_all_jobs(self) -> list[Job]:
            return ["job"]  # type: ignore[list-item]

    async with BridgedJobStore(Wrong()) as store:
        with pytest.raises(TypeError, match=r"must give instances of apsched.job.Job, got 'job'"):
            await store.select(JobFilter())


async def test_a_store_that_does_not_start_is_not_open() -> None:
    class Broken(DictStore):
        def start(self, scheduler: Any, alias: str) -> None:
            raise OSError("no way there")

    store = BridgedJobStore(Broken())

    with pytest.raises(OSError, match="no way there"):
        await store.__aenter__()
    with pytest.raises(SchedulerNotRunningError, match="is not open"):
        await store.get("job")
