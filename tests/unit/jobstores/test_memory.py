"""What is special about the memory store."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import attrs
import pytest

from apsched._portal import drive
from apsched.engine.plan import make_planner
from apsched.exceptions import ConflictingIdError
from apsched.job import Job
from apsched.jobstores.base import JobFilter, RunFilter
from apsched.jobstores.memory import MemoryJobStore
from apsched.run import Outcome, Plan, Run
from apsched.triggers.base import BaseTrigger
from apsched.triggers.date import DateTrigger
from apsched.triggers.interval import IntervalTrigger

T0 = datetime(2026, 7, 1, 12, tzinfo=UTC)
FAR = T0 + timedelta(days=365)
ONCE = DateTrigger(T0)
EVERY_10 = IntervalTrigger(seconds=10, start_date=T0, timezone="UTC")

plan = make_planner({"default"})


def make_job(id: str = "job", trigger: BaseTrigger = EVERY_10, due: datetime | None = T0, **options: Any) -> Job:
    return Job(id=id, name=id, func="m:f", trigger=trigger, next_run_time=due, next_nominal_time=due, **options)


def make_run(job_id: str = "job", at: datetime = T0) -> Run:
    return Run(job_id=job_id, nominal_time=at, due_time=at, outcome=Outcome.PENDING, is_manual=True)


def open_store(**bounds: int) -> MemoryJobStore:
    """Return a store that knows the node."""
    store = MemoryJobStore(**bounds)
    drive(store.join("node", 15.0, T0))
    return store


def take(store: MemoryJobStore, now: datetime = T0) -> list[Plan]:
    return drive(store.take_due(now, {"default": 1000}, plan, "node"))


def end(run: Run, outcome: Outcome = Outcome.SUCCEEDED) -> Run:
    return attrs.evolve(run, outcome=outcome, finished_at=run.nominal_time)


def run_all(store: MemoryJobStore, now: datetime = T0) -> None:
    """Run what is due to its end."""
    drive(store.finish([end(run) for made in take(store, now) for run in made.runs]))


def history(store: MemoryJobStore, job_id: str | None = None) -> list[Run]:
    return drive(store.runs(RunFilter(job_id=job_id), 10_000))


@pytest.fixture
def store() -> MemoryJobStore:
    return open_store()


# it never suspends


def test_no_method_suspends(store: MemoryJobStore) -> None:
    drive(store.__aenter__())
    drive(store.add([make_job("a"), make_job("b")]))
    drive(store.update("a", lambda job: job))
    drive(store.get("a"))
    drive(store.select(JobFilter()))
    drive(store.next_run_time({"default": 1}, "a"))
    drive(store.add_run(make_run("a")))
    drive(store.finish([end(run) for made in take(store) for run in made.runs]))
    drive(store.runs(RunFilter(), 10))
    drive(store.prune(T0, 10))
    drive(store.remove("a"))
    drive(store.clear())
    drive(store.__aexit__(None, None, None))


def test_it_is_not_shared(store: MemoryJobStore) -> None:
    assert not store.is_shared


def test_leaving_it_forgets_the_jobs_and_keeps_the_history(store: MemoryJobStore) -> None:
    drive(store.add([make_job("a"), make_job("b", due=FAR)]))
    run_all(store)

    drive(store.__aexit__(None, None, None))

    assert drive(store.select(JobFilter())) == []
    assert [run.job_id for run in history(store)] == ["a"]


def test_leaving_it_cancels_the_pending_runs_of_finished_jobs_too(store: MemoryJobStore) -> None:
    drive(store.add([make_job(trigger=ONCE)]))
    ((run,),) = (made.runs for made in take(store))
    drive(store.finish([end(run, Outcome.PENDING)]))

    drive(store.__aexit__(None, None, None))

    assert [known.outcome for known in history(store)] == [Outcome.CANCELLED]
    assert drive(store.next_run_time({"default": 1}, "a")) is None
    assert take(store, FAR) == []


# the job at hand is the job that is kept


def test_a_job_at_hand_moves_on(store: MemoryJobStore) -> None:
    job = make_job()

    (kept,) = drive(store.add([job]))
    take(store)

    assert kept is job
    assert drive(store.get("job")) is job
    assert job.next_run_time == T0 + timedelta(seconds=10)


def test_a_job_at_hand_shows_changes(store: MemoryJobStore) -> None:
    job = make_job()
    drive(store.add([job]))

    changed = drive(store.update("job", lambda old: attrs.evolve(old, name="changed")))

    assert changed is job
    assert job.name == "changed"


def test_a_job_at_hand_becomes_what_replaces_it(store: MemoryJobStore) -> None:
    job = make_job()
    drive(store.add([job]))

    (kept,) = drive(store.add([make_job(tags={"a": "b"})], lambda old, new: new))

    assert kept is job
    assert job.tags == {"a": "b"}


def test_a_job_at_hand_shows_that_it_is_finished(store: MemoryJobStore) -> None:
    job = make_job(trigger=ONCE)
    drive(store.add([job]))

    take(store)

    assert (job.next_run_time, job.next_nominal_time) == (None, None)


def test_a_job_that_is_refused_is_left_as_it_was(store: MemoryJobStore) -> None:
    job = make_job()
    drive(store.add([job]))

    with pytest.raises(ConflictingIdError):
        drive(store.add([make_job(tags={"a": "b"})]))

    assert job.tags == {}


# memory is bounded


def growth_of(work: Any) -> int:
    """Return by how many bytes memory has grown when *work* is over."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        work()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return after - before


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_updates(store: MemoryJobStore) -> None:
    drive(store.add([make_job(str(number), due=FAR) for number in range(10)]))

    def change(job: Job) -> Job:
        assert job.next_run_time is not None
        job.next_run_time = job.next_nominal_time = job.next_run_time + timedelta(seconds=1)
        return job

    def work() -> None:
        for number in range(100_000):
            drive(store.update(str(number % 10), change))

    assert growth_of(work) < 1_000_000
    assert drive(store.next_run_time({"default": 1}, "a")) == FAR + timedelta(seconds=10_000)
    assert len(take(store, FAR + timedelta(days=365))) == 10


def test_memory_does_not_grow_with_the_number_of_jobs_that_are_added_and_removed() -> None:
    store = open_store(keep_gone_jobs=100)

    def work() -> None:
        for number in range(20_000):
            drive(store.add([make_job(str(number), due=FAR)]))
            drive(store.remove(str(number)))

    assert growth_of(work) < 1_000_000


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_jobs_that_finish() -> None:
    store = open_store(keep_gone_jobs=100)

    def work() -> None:
        for number in range(20_000):
            drive(store.add([make_job(str(number), ONCE)]))
            run_all(store)

    assert growth_of(work) < 1_000_000
    assert len(history(store)) == 100


def test_memory_does_not_grow_with_the_number_of_runs() -> None:
    store = open_store(keep_runs=10)
    drive(store.add([make_job()]))

    def work() -> None:
        for number in range(10_000):
            run_all(store, T0 + timedelta(seconds=10 * number))

    assert growth_of(work) < 100_000
    assert len(history(store)) == 10


def test_jobs_stay_due_when_many_outdated_ones_are_dropped(store: MemoryJobStore) -> None:
    jobs = [make_job(str(number), due=T0 + timedelta(seconds=number % 10)) for number in range(5000)]
    drive(store.add(jobs))
    for number in range(0, 5000, 2):
        drive(store.remove(str(number)))
    for number in range(1, 5000, 4):
        drive(store.update(str(number), lambda job: attrs.evolve(job, executor="other")))

    taken = [made.job.id for made in drive(store.take_due(T0 + timedelta(seconds=9), {"default": 9999}, plan, "node"))]

    assert sorted(map(int, taken)) == sorted([*range(3, 5000, 4), *range(1, 5000, 4)])  # the others are quarantined
    assert len(drive(store.select(JobFilter(is_quarantined=True)))) == 1250


# the history of jobs that are gone


def test_the_history_of_the_jobs_that_went_last_is_kept() -> None:
    store = open_store(keep_gone_jobs=2)
    for name in "abcd":
        drive(store.add([make_job(name)]))
        run_all(store)
        drive(store.remove(name))

    assert sorted(run.job_id for run in history(store)) == ["c", "d"]


def test_a_job_that_went_twice_went_at_the_second_time() -> None:
    store = open_store(keep_gone_jobs=2)
    for name in "abac":
        drive(store.add([make_job(name)]))
        run_all(store)
        drive(store.remove(name))

    assert sorted({run.job_id for run in history(store)}) == ["a", "c"]


def test_the_history_of_a_job_that_has_come_back_is_kept() -> None:
    store = open_store(keep_gone_jobs=1)
    for name in "ab":
        drive(store.add([make_job(name)]))
        run_all(store)
    drive(store.remove("a"))
    drive(store.add([make_job("a", due=FAR)]))

    drive(store.remove("b"))

    assert sorted(run.job_id for run in history(store)) == ["a", "b"]


@pytest.mark.parametrize("trigger", [ONCE, EVERY_10], ids=["finished", "removed"])
@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.PENDING])
def test_a_job_has_gone_when_its_last_run_has_ended(trigger: BaseTrigger, outcome: Outcome) -> None:
    store = open_store(keep_gone_jobs=0)
    drive(store.add([make_job(trigger=trigger)]))
    (made,) = take(store)
    if trigger is EVERY_10:
        drive(store.remove("job"))
    assert [run.outcome for run in history(store)] == [Outcome.RUNNING]

    while made.runs:
        assert len(drive(store.finish([end(made.runs[0], outcome)]))) == 1
        outcome = Outcome.SUCCEEDED
        made = next(iter(take(store)), Plan(job=made.job))

    assert history(store) == []


def test_without_room_for_gone_jobs_removing_one_that_has_pending_runs_forgets_them() -> None:
    store = open_store(keep_gone_jobs=0)
    drive(store.add([make_job(due=FAR)]))
    drive(store.add_run(make_run()))
    drive(store.add_run(make_run()))

    drive(store.remove("job"))

    assert history(store) == []
    assert take(store) == []


@pytest.mark.parametrize("is_removed", [True, False])
@pytest.mark.parametrize("keep", [0, 3])
def test_a_job_that_is_gone_keeps_as_many_runs_as_it_has_named(keep: int, is_removed: bool) -> None:
    store = open_store(keep_runs=1)
    trigger = IntervalTrigger(seconds=10, start_date=T0, end_date=T0 + timedelta(seconds=45), timezone="UTC")
    drive(store.add([make_job(trigger=trigger, keep_runs=keep)]))
    for number in range(4):
        run_all(store, T0 + timedelta(seconds=10 * number))
    (made,) = take(store, T0 + timedelta(seconds=40))
    if is_removed and drive(store.get("job")) is not None:
        drive(store.remove("job"))

    drive(store.finish([end(run) for run in made.runs]))

    assert len(history(store)) == keep


def test_pruning_has_nothing_to_do(store: MemoryJobStore) -> None:
    drive(store.add([make_job()]))
    run_all(store)

    assert drive(store.prune(FAR, 10)) == 0
    assert len(history(store)) == 1


# errors


def test_what_was_taken_before_an_error_in_a_plan_is_returned(store: MemoryJobStore) -> None:
    drive(store.add([make_job("a"), make_job("b", due=T0 + timedelta(seconds=1))]))

    def fail_for_b(job: Job, open_runs: Sequence[Run], now: datetime, owner: str) -> Plan:
        if job.id == "b":
            raise ZeroDivisionError
        return plan(job, open_runs, now, owner)

    now = T0 + timedelta(seconds=1)

    assert [made.job.id for made in drive(store.take_due(now, {"default": 9}, fail_for_b, "node"))] == ["a"]
    with pytest.raises(ZeroDivisionError):
        drive(store.take_due(now, {"default": 9}, fail_for_b, "node"))
    assert [made.job.id for made in take(store, now)] == ["b"]


@pytest.mark.parametrize("name", ["keep_runs", "keep_gone_jobs"])
@pytest.mark.parametrize("value", [-1, 1.5, "10", None, True])
def test_a_bound_must_be_a_whole_number_from_0_on(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must be a whole number from 0 on, got {value!r}$"):
        MemoryJobStore(**{name: value})  # type: ignore[arg-type]  # what is tested


@pytest.mark.parametrize("limit", [1, 3, 7, 60])
def test_the_first_jobs_are_those_of_the_whole_list_whatever_became_of_them(limit: int) -> None:
    store = open_store()
    jobs = [make_job(f"job-{n:02}", due=T0 + timedelta(minutes=n % 7)) for n in range(40)]
    drive(store.add([*jobs, make_job("nowhere", executor="gone", due=T0), make_job("paused", due=None)]))
    for n in range(0, 40, 3):
        drive(store.update(f"job-{n:02}", partial(put_off, hours=n % 5)))
    drive(store.remove("job-01"))
    drive(store.take_due(T0, {"default": 2}, plan, "node"))  # quarantines the job that has no executor

    found = drive(store.select(JobFilter(), limit))

    assert "nowhere" in [job.id for job in drive(store.select(JobFilter(is_quarantined=True)))]
    assert [job.id for job in found] == [job.id for job in drive(store.select(JobFilter()))[:limit]]


def put_off(job: Job, hours: int) -> Job:
    job.next_run_time = T0 + timedelta(hours=hours) if hours else None
    return job


@pytest.mark.parametrize("limit", [0, 1, 5, 200])
def test_the_latest_runs_are_those_of_the_whole_history(limit: int) -> None:
    store = open_store()
    drive(store.add([make_job(f"job-{n}") for n in range(5)]))
    made = [make_run(f"job-{n % 5}", T0 + timedelta(seconds=n * 7 % 31)) for n in range(100)]
    kept = [drive(store.add_run(run)) for run in made]
    where = RunFilter(since=T0 + timedelta(seconds=3), until=T0 + timedelta(seconds=25))
    expected = sorted(filter(where.accepts, kept), key=lambda run: (run.nominal_time, run.job_id), reverse=True)

    assert drive(store.runs(where, limit)) == expected[:limit]
    assert drive(store.runs(where, limit, expected[9])) == expected[10 : 10 + limit]
