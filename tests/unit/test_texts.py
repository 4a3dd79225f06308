"""What is wrong with a call of a verb is said in one sentence: what, with which value, what is allowed, what to do."""
# ruff: noqa: E501  # a row of a table is one line

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest

from apsched import AsyncScheduler
from apsched.exceptions import AliasLookupError, JobLookupError, RunLookupError, SchedulerNotRunningError
from apsched.schedulers.background import BackgroundScheduler
from apsched.triggers.interval import IntervalTrigger
from tests.ids import stable


def work() -> None: ...


@pytest.fixture(params=["before the start", "while it runs"])
def scheduler(request: pytest.FixtureRequest) -> Iterator[BackgroundScheduler]:
    scheduler = BackgroundScheduler(timezone="UTC")
    if request.param == "while it runs":
        scheduler.start()
    scheduler.add_job(work, "interval", hours=1, id="job")
    yield scheduler
    with suppress(SchedulerNotRunningError):
        scheduler.shutdown(wait=False)


@pytest.fixture
def running() -> Iterator[BackgroundScheduler]:
    scheduler = BackgroundScheduler(timezone="UTC")
    scheduler.start()
    scheduler.add_job(work, "interval", hours=1, id="job")
    yield scheduler
    scheduler.shutdown(wait=False)


Case = tuple[Callable[[BackgroundScheduler], object], type[Exception], str]

ALWAYS: Mapping[str, Case] = {
    "trigger for a store": (lambda s: s.reschedule_job("job", "interval", hours=1), AliasLookupError, 'No such job store: interval; there are: default; pass trigger="interval"'),
    "trigger object for a store": (lambda s: s.reschedule_job("job", IntervalTrigger(hours=1)), AliasLookupError, "No such job store: interval[1:00:00]; there are: default; pass trigger=..."),  # type: ignore[arg-type]  # that is the point
    "unknown store": (lambda s: s.reschedule_job("job", "other", "interval"), AliasLookupError, "No such job store: other; there are: default"),
    "misspelt argument of a new trigger": (lambda s: s.reschedule_job("job", trigger="interval", hour=1), TypeError, "trigger 'interval' has no argument 'hour'; did you mean 'hours'? there are: weeks, days, hours, minutes, seconds, start_date, end_date, timezone, jitter, exclude"),
    "job without a func": (lambda s: s.add_jobs([{"trigger": "date"}]), TypeError, "job 1 of 1 has no func; give it the callable or its reference as 'func'"),
    "second job without a func": (lambda s: s.add_jobs([{"func": work}, {}]), TypeError, "job 2 of 2 has no func; give it the callable or its reference as 'func'"),
    "job of a generator without a func": (lambda s: s.add_jobs(iter([{}])), TypeError, "job 1 has no func; give it the callable or its reference as 'func'"),
    "job that is no mapping": (lambda s: s.add_jobs([work]), TypeError, f"job 1 of 1 must be a mapping of the parameters of add_job by name, got {work!r}; for example {{'func': print, 'trigger': 'interval', 'hours': 1}}"),  # type: ignore[list-item]  # that is the point
    "job with a store of its own": (lambda s: s.add_jobs([{"func": work, "jobstore": "b"}]), TypeError, "job 1 of 1 must not name a job store of its own, got 'b'; pass jobstore= for all"),
    "declared job that is no mapping": (lambda s: s.sync([3]), TypeError, "job 1 of 1 must be a mapping of the parameters of add_job by name, got 3; for example {'func': print, 'trigger': 'interval', 'hours': 1}"),  # type: ignore[list-item]  # that is the point
    "declared job without a func": (lambda s: s.sync([{"id": "a"}]), TypeError, "job 1 of 1 has no func; give it the callable or its reference as 'func'"),
    "declared job with bad tags": (lambda s: s.sync([{"id": "a", "func": work, "tags": 3}]), TypeError, "tags must be a mapping of texts to texts, got 3"),
    "new executor of a wrong type": (lambda s: s.modify_job("job", executor=5), TypeError, "executor must be the alias of an executor, a text, got 5"),
    "no jobs": (lambda s: s.get_jobs(limit=0), ValueError, "limit must be None or a whole number from 1 on, got 0"),
    "half a job": (lambda s: s.get_jobs(limit=0.5), ValueError, "limit must be None or a whole number from 1 on, got 0.5"),  # type: ignore[arg-type]  # that is the point
    "fewer than no times": (lambda s: s.explain("job", count=-1), ValueError, "count must be a whole number from 0 to 1000, got -1"),
    "too many times": (lambda s: s.explain("job", count=1001), ValueError, "count must be a whole number from 0 to 1000, got 1001"),
    "times of a wrong type": (lambda s: s.explain("job", count="5"), ValueError, "count must be a whole number from 0 to 1000, got '5'"),  # type: ignore[arg-type]  # that is the point
    "unknown page": (lambda s: s.get_jobs(after="other"), JobLookupError, "No job by the id of other was found"),
}  # fmt: skip

RUNNING: Mapping[str, Case] = {
    "unknown executor of a job without an id": (lambda s: s.add_job(work, executor="other"), AliasLookupError, "No such executor for job 'work': other; there are: asyncio, default"),
    "unknown executor of a job with a name": (lambda s: s.add_job(work, executor="other", name="tick"), AliasLookupError, "No such executor for job 'tick': other; there are: asyncio, default"),
    "unknown executor": (lambda s: s.modify_job("job", executor="other"), AliasLookupError, "No such executor for job 'job': other; there are: asyncio, default"),
    "unknown store": (lambda s: s.add_job(work, jobstore="other"), AliasLookupError, "No such job store: other; there are: default"),
    "unknown run": (lambda s: s.cancel_run("job@2026-01-01T00:00:00Z"), RunLookupError, "no run has the id 'job@2026-01-01T00:00:00Z'; get_runs() lists the runs that are kept"),
}  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), ALWAYS.values(), ids=ALWAYS)
def test_what_is_wrong_is_said_in_one_sentence(
    scheduler: BackgroundScheduler, call: Callable[[BackgroundScheduler], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        call(scheduler)

    assert str(caught.value) == message


@pytest.mark.parametrize(("call", "error", "message"), RUNNING.values(), ids=RUNNING)
def test_what_is_wrong_while_it_runs_is_said_in_one_sentence(
    running: BackgroundScheduler, call: Callable[[BackgroundScheduler], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        call(running)

    assert str(caught.value) == message


def test_a_store_is_named_by_text_before_the_start() -> None:
    with pytest.raises(TypeError, match="jobstore must be the alias of a job store, a text, got 5"):
        BackgroundScheduler(timezone="UTC").add_job(work, jobstore=5)  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize(
    ("add", "jobs", "note"),
    [
        ("add_jobs", [{"func": work}, {"func": work, "id": "a", "max_instances": 0}], f"job 2 of 2: id='a', func={work!r}"),
        ("add_jobs", [{"func": work, "id": "a"}] * 2, f"job 2 of 2: id='a', func={work!r}"),
        ("add_jobs", [{"func": work, "trigger": "sun"}], f"job 1 of 1: func={work!r}, trigger='sun'"),
        ("sync", [{"func": work}], f"job 1 of 1: func={work!r}"),
        ("sync", [{"func": work, "id": "a", "name": ""}], f"job 1 of 1: id='a', func={work!r}"),
    ],
    ids=stable,
)  # fmt: skip
def test_an_error_about_one_of_many_jobs_says_which(
    scheduler: BackgroundScheduler, add: str, jobs: list[dict[str, Any]], note: str
) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011  whichever it is
        getattr(scheduler, add)(jobs)

    assert caught.value.__notes__ == [note]
    assert len(scheduler.get_jobs()) == 1


def test_a_run_that_has_ended_is_said_to_have_ended(running: BackgroundScheduler) -> None:
    handle = running.run_job("job")
    run = handle.wait()

    with pytest.raises(RunLookupError) as caught:
        running.cancel_run(handle.run_id)

    assert caught.value.run_id == handle.run_id
    assert str(caught.value) == (
        f"run {handle.run_id!r} cannot be cancelled: it has ended at {run.finished_at} with the outcome 'succeeded'"
    )


def test_a_run_that_was_cancelled_is_said_to_have_been(running: BackgroundScheduler) -> None:
    running.pause()
    handle = running.run_job("job")
    running.cancel_run(handle.run_id)

    with pytest.raises(RunLookupError, match=r"with the outcome 'cancelled' \(cancelled by hand\)$"):
        running.cancel_run(handle.run_id)


MAKING: Mapping[str, tuple[Callable[[], object], type[Exception], str]] = {
    "dictionary that is none": (lambda: BackgroundScheduler(3), TypeError, "BackgroundScheduler takes a dictionary with keys such as 'apscheduler.timezone' before its keywords, got 3"),  # type: ignore[arg-type]  # that is the point
    "two dictionaries": (lambda: AsyncScheduler({}, {}), TypeError, "AsyncScheduler takes one dictionary and keywords, got also {}"),  # type: ignore[call-arg,arg-type]  # that is the point
    "misspelt key": (lambda: BackgroundScheduler().configure({"apsched.job_default.coalesce": "no"}), TypeError, "configure has no argument 'job_default'; did you mean 'job_defaults'? there are: jobstores, executors, job_defaults, timezone"),
    "misspelt keyword": (lambda: BackgroundScheduler(job_default={}), TypeError, "BackgroundScheduler has no argument 'job_default'; did you mean 'job_defaults'? there are: jobstores, executors, job_defaults, timezone, notifier, clock, max_idle, lease, keep_history, keep_log, capabilities, middleware, blocked_after, daemon"),  # type: ignore[call-arg]  # that is the point
    "prefix": (lambda: BackgroundScheduler().configure({}, prefix=3), TypeError, "prefix must be a text such as 'apscheduler.', several, or None for all keys, got 3"),  # type: ignore[arg-type]  # that is the point
    "value of a wrong type": (lambda: BackgroundScheduler(timezone=3), TypeError, "timezone must be a time zone name such as 'Europe/Helsinki' or a tzinfo, got 3; pass one of these"),  # type: ignore[arg-type]  # that is the point
    "executor of a wrong type": (lambda: BackgroundScheduler(executors={"a": 3}), TypeError, "an executor must be an instance, the alias of a plugin, or a mapping with that under 'type' or a class under 'class', got 3"),  # type: ignore[dict-item]  # that is the point
    "store of a wrong type": (lambda: BackgroundScheduler(jobstores={"a": 3}), TypeError, "a job store must be an instance, the alias of a plugin, or a mapping with that under 'type' or a class under 'class', got 3"),  # type: ignore[dict-item]  # that is the point
    "store without a type": (lambda: BackgroundScheduler(jobstores={"a": {"typ": "memory"}}), TypeError, "a job store must be an instance, the alias of a plugin, or a mapping with that under 'type' or a class under 'class', got {'typ': 'memory'}"),
    "stores without aliases": (lambda: BackgroundScheduler(jobstores="memory"), TypeError, "jobstores must be a mapping of aliases to jobstores, such as {'default': ...}, got 'memory'"),  # type: ignore[arg-type]  # that is the point
    "notifier of a wrong type": (lambda: BackgroundScheduler(notifier="redis"), TypeError, "notifier must be None or an instance of apsched.notifiers.base.Notifier, got 'redis'"),  # type: ignore[arg-type]  # that is the point
    "clock of a wrong type": (lambda: BackgroundScheduler(clock=3), TypeError, "clock must be None or an instance of apsched.clock.Clock, got 3"),  # type: ignore[arg-type]  # that is the point
    "unknown store": (lambda: BackgroundScheduler(jobstores={"a": "memry"}), LookupError, "no job store has the alias 'memry'; there are: memory, mongodb, redis, sqlalchemy; did you mean 'memory'?"),
    "misspelt argument of an executor": (lambda: BackgroundScheduler(executors={"a": {"type": "threadpool", "max_worker": 3}}), TypeError, "executor 'threadpool' has no argument 'max_worker'; did you mean 'max_workers'? there are: max_workers, pool_kwargs"),
    "wrong argument of an executor": (lambda: BackgroundScheduler(executors={"a": {"type": "threadpool", "max_workers": "x"}}), TypeError, "max_workers must be a whole number from 1 on, got 'x'"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "error", "message"), MAKING.values(), ids=MAKING)
def test_what_is_wrong_with_the_parts_of_a_scheduler_is_said_in_one_sentence(
    make: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        make()

    assert str(caught.value) == message


PATIENCE = [("no", TypeError), (None, TypeError), (-1, ValueError), (float("nan"), ValueError)]


@pytest.mark.parametrize(("wait", "error"), PATIENCE)
def test_a_shutdown_waits_for_seconds_or_not(running: BackgroundScheduler, wait: Any, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        running.shutdown(wait)

    assert str(caught.value) == f"wait must be True, False or seconds from 0 on, got {wait!r}"
    assert running.running


@pytest.mark.parametrize(("wait", "error"), PATIENCE)
async def test_a_shutdown_of_the_async_scheduler_does_too(wait: Any, error: type[Exception]) -> None:
    async with AsyncScheduler(timezone="UTC") as scheduler:
        with pytest.raises(error) as caught:
            await scheduler.shutdown(wait)

        assert str(caught.value) == f"wait must be True, False or seconds from 0 on, got {wait!r}"
        assert scheduler.running
