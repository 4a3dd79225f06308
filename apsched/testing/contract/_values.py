"""Make and compare what the contract of job stores is about (layer 10)."""
# ruff: noqa: S101  # assert is how pytest works

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from apsched.job import Job
from apsched.jobstores.base import JobStore, RunFilter
from apsched.run import Outcome, Plan, Planner, Run
from apsched.triggers.interval import IntervalTrigger

T0 = datetime(2026, 7, 1, 12, tzinfo=UTC)
FAR = T0 + timedelta(days=365)
TICK = timedelta(microseconds=1)
ALL = 1000  # more jobs and runs than a test makes
OWNERS = ("a", "b", "c", "d", "node")
LEASE = 15.0  # seconds
FREE = {"default": 1}  # slots; the jobs are for that executor if nothing else is said

RUNNING, PENDING, SUCCEEDED = Outcome.RUNNING, Outcome.PENDING, Outcome.SUCCEEDED
FAILED, CANCELLED, MISSED = Outcome.FAILED, Outcome.CANCELLED, Outcome.MISSED
ABANDONED = Outcome.ABANDONED

UNKEPT = ("func", "is_pending", "jobstore", "_face")  # attributes of jobs that a store need not keep as they are


def noop(*args: object, **kwargs: object) -> None:
    """Do nothing; what the jobs of the contract call."""


def make_job(id: str = "job", *, due: datetime | None = T0, **options: Any) -> Job:
    options = {"name": "noop", "tags": {}, **options}
    trigger = IntervalTrigger(seconds=10, start_date=T0, timezone="UTC")
    return Job(id=id, func=noop, trigger=trigger, next_run_time=due, next_nominal_time=due, **options)


def make_run(job_id: str = "job", *, at: datetime = T0, outcome: Outcome = PENDING, **options: Any) -> Run:
    """Return a run that was started by hand, and may be claimed from `T0` on."""
    values: dict[str, Any] = {"due_time": T0, "is_manual": True, **options}
    return Run(job_id=job_id, nominal_time=at, outcome=outcome, **values)


def ended(run: Run, outcome: Outcome = SUCCEEDED) -> Run:
    """Return a claimed run as it comes from the engine: as it ended, or to be handed back."""
    return attrs.evolve(run, outcome=outcome, finished_at=run.nominal_time + TICK if outcome.is_final else None)


def claim(job: Job, open_runs: Sequence[Run], now: datetime, owner: str) -> Plan:
    """Claim the next nominal time of *job*, whatever is under way."""
    return _plan(job, Run(**_next(job), outcome=RUNNING, epoch=1, node=owner, claimed_at=now))


def queue(job: Job, open_runs: Sequence[Run], now: datetime, owner: str) -> Plan:
    """Let the next nominal time of *job* wait for its turn."""
    return _plan(job, Run(**_next(job), outcome=PENDING))


def claim_last(job: Job, open_runs: Sequence[Run], now: datetime, owner: str) -> Plan:
    """Claim the next nominal time of *job*, which is its last."""
    plan = claim(job, open_runs, now, owner)
    return attrs.evolve(plan, next_nominal_time=None, next_run_time=None, removes_job=True)


def quarantine(job: Job, open_runs: Sequence[Run], now: datetime, owner: str) -> Plan:
    return Plan(job=job, quarantine="it cannot run")


def miss(count: int) -> Planner:
    """Return what records the next *count* nominal times of a job as missed, at once, and goes on after `FAR`."""

    def plan(job: Job, open_runs: Sequence[Run], now: datetime, owner: str) -> Plan:
        first = _next(job)["nominal_time"]
        moments = [first + timedelta(seconds=10 * number) for number in range(count)]
        runs = tuple(
            Run(job_id=job.id, nominal_time=moment, due_time=moment, outcome=MISSED, finished_at=now)
            for moment in moments
        )
        return Plan(job=job, runs=runs, next_nominal_time=FAR + TICK, next_run_time=FAR + TICK)

    return plan


def fail(job: Job, open_runs: Sequence[Run], now: datetime, owner: str) -> Plan:
    raise ZeroDivisionError


def _next(job: Job) -> dict[str, Any]:
    return {"job_id": job.id, "nominal_time": job.next_nominal_time, "due_time": job.next_run_time}


def _plan(job: Job, run: Run) -> Plan:
    following = job.trigger.get_next_fire_time(run.nominal_time, run.nominal_time)
    return Plan(job=job, runs=(run,), next_nominal_time=following, next_run_time=following)


def take_new(old: Job, new: Job) -> Job:
    return new


def setting(**changes: Any) -> Callable[[Job], Job]:
    """Return a change that sets attributes of the job that it gets."""

    def change(job: Job) -> Job:
        for name, value in changes.items():
            setattr(job, name, value)
        return job

    return change


async def take(
    store: JobStore,
    now: datetime = T0,
    slots: Mapping[str, int] | None = None,
    plan: Planner = claim,
    owner: str = "a",
) -> list[Plan]:
    return await store.take_due(now, {"default": ALL} if slots is None else slots, plan, owner)


async def take_one(store: JobStore, now: datetime = T0, plan: Planner = claim, owner: str = "a") -> Run:
    """Take the one run that is due or pending."""
    (made,) = await take(store, now, {"default": 1}, plan, owner)
    (run,) = made.runs
    return run


async def queue_runs(store: JobStore, count: int) -> None:
    await store.add([make_job(due=FAR)])
    for moment in range(count):
        await store.add_run(make_run(at=T0 + timedelta(seconds=moment)))


async def get_job(store: JobStore, job_id: str) -> Job:
    job = await store.get(job_id)
    assert job is not None
    return job


async def history(store: JobStore, job_id: str | None = None) -> list[Run]:
    return await store.runs(RunFilter(job_id=job_id), ALL)


async def node_ids(store: JobStore) -> list[str]:
    return sorted(node.id for node in await store.nodes())


def ids_of(jobs: Sequence[Job]) -> list[str]:
    return [job.id for job in jobs]


def outcomes_of(runs: Sequence[Run]) -> list[Outcome]:
    return [run.outcome for run in runs]


def values_of(job: Job) -> dict[str, Any]:
    values = {field.name: getattr(job, field.name) for field in attrs.fields(Job) if field.name not in UNKEPT}
    return values | {"func_ref": job.func_ref}


def run_values_of(run: Run) -> dict[str, Any]:
    return {field.name: getattr(run, field.name) for field in attrs.fields(Run)}
