"""The verbs of the blocking face are those of `AsyncScheduler` and of APScheduler 3, and job handles use them."""

from __future__ import annotations

import asyncio
import inspect
import io
import pydoc
import typing
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from apsched import AsyncScheduler, Job, RunHandle
from apsched._portal import drive
from apsched.exceptions import JobLookupError, RunFailedError, RunLookupError, SchedulerStateError
from apsched.schedulers.background import BackgroundScheduler
from apsched.schedulers.base import BaseScheduler, BlockingRunHandle
from apsched.schedulers.blocking import BlockingScheduler
from apsched.triggers.interval import IntervalTrigger

if TYPE_CHECKING:
    from tests.face.conftest import Record

FAR = datetime(2999, 1, 1, tzinfo=UTC)

V3 = {  # the public names of BaseScheduler in APScheduler 3.11.3, and the parameters that callers name
    "add_executor": ["executor", "alias"],
    "add_job": [
        "func",
        "trigger",
        "args",
        "kwargs",
        "id",
        "name",
        "misfire_grace_time",
        "coalesce",
        "max_instances",
        "next_run_time",
        "jobstore",
        "executor",
        "replace_existing",
    ],
    "add_jobstore": ["jobstore", "alias"],
    "add_listener": ["callback", "mask"],
    "configure": [],
    "export_jobs": ["outfile", "jobstore"],
    "get_job": ["job_id", "jobstore"],
    "get_jobs": ["jobstore", "pending"],
    "import_jobs": ["infile", "jobstore"],
    "modify_job": ["job_id", "jobstore"],
    "pause": [],
    "pause_job": ["job_id", "jobstore"],
    "print_jobs": ["jobstore", "out"],
    "remove_all_jobs": ["jobstore"],
    "remove_executor": ["alias"],
    "remove_job": ["job_id", "jobstore"],
    "remove_jobstore": ["alias"],
    "remove_listener": ["callback"],
    "reschedule_job": ["job_id", "jobstore", "trigger"],
    "resume": [],
    "resume_job": ["job_id", "jobstore"],
    "scheduled_job": ["trigger"],
    "shutdown": ["wait"],
    "start": ["paused"],
    "wakeup": [],
}

OTHERWISE = {
    "start",
    "shutdown",
    "scheduled_job",
    "running",
    "state",
    "timezone",
}  # have a form of their own in the face
ASYNC_ONLY = {
    "clock",
    "is_in_memory",
    "is_inside",
    "is_paused",
    "node",
    "run",
    "serve",
    "request_stop",
    "stop",
    "forget",
}


def public(of: type) -> set[str]:
    return {name for name in dir(of) if not name.startswith("_")}


def nothing() -> None:
    pass


VERBS = sorted(public(AsyncScheduler) - OTHERWISE - ASYNC_ONLY)


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_has_the_parameters_types_and_help_of_its_async_namesake(name: str) -> None:
    blocking, original = getattr(BaseScheduler, name), getattr(AsyncScheduler, name)
    signature, hints, text = inspect.signature(original), typing.get_type_hints(original), original.__doc__
    if name == "run_job":  # hands out a handle that blocks
        signature = signature.replace(return_annotation=BlockingRunHandle)
        hints["return"] = BlockingRunHandle
        text = text.replace("await handle.result()", "handle.result()")

    assert inspect.signature(blocking) == signature
    assert typing.get_type_hints(blocking) == hints
    assert blocking.__doc__ == text
    assert blocking.__doc__
    assert blocking.__name__ == name
    assert not inspect.iscoroutinefunction(blocking)


def test_the_face_is_made_of_what_the_async_scheduler_is_made_of() -> None:
    face, core = inspect.signature(BaseScheduler).parameters, inspect.signature(AsyncScheduler).parameters

    assert set(core) - set(face) == {"start_paused", "listeners_in_thread"}  # start(paused=True); always so
    assert set(face) - set(core) == {"daemon"}
    assert all(face[name] == core[name] for name in set(face) & set(core))


def test_the_face_has_nothing_else() -> None:
    assert public(BaseScheduler) == {*VERBS, *OTHERWISE}


@pytest.mark.parametrize("scheduler", [BackgroundScheduler, BlockingScheduler])
def test_help_shows_the_verbs(scheduler: type[BaseScheduler]) -> None:
    shown = pydoc.plain(pydoc.render_doc(scheduler))

    assert "daemon: 'bool' = True" in shown
    assert "max_idle: How many seconds pass between two looks" in shown
    assert "await handle.result()" not in shown
    assert "add_job(" in shown
    assert "on_conflict: 'str | None' = None" in shown
    assert "Run a job now; its schedule stays as it is" in shown


@pytest.mark.parametrize("name", V3)
def test_a_verb_of_apscheduler_3_is_there_with_its_parameters(name: str) -> None:
    parameters = [known for known in inspect.signature(getattr(BaseScheduler, name)).parameters if known != "self"]

    assert parameters[: len(V3[name])] == V3[name]


# handles


@pytest.fixture(params=["before the start", "while it runs"])
def held(request: pytest.FixtureRequest, scheduler: BackgroundScheduler) -> BackgroundScheduler:
    if request.param == "while it runs":
        scheduler.start()
    return scheduler


def test_a_handle_modifies_its_job(held: BackgroundScheduler) -> None:
    job = held.add_job(nothing, "interval", hours=1, id="a")

    assert job.modify(name="other", max_instances=6) is job

    assert (job.name, job.max_instances) == ("other", 6)
    assert held.get_job("a").name == "other"  # type: ignore[union-attr]


def test_a_handle_reschedules_its_job(held: BackgroundScheduler) -> None:
    job = held.add_job(nothing, "interval", hours=1, id="a")

    job.reschedule("date", run_date=FAR)

    assert job.next_run_time == FAR
    assert held.get_job("a").next_run_time == FAR  # type: ignore[union-attr]


def test_a_handle_pauses_and_resumes_its_job(held: BackgroundScheduler) -> None:
    job = held.add_job(nothing, "date", run_date=FAR, id="a")

    job.pause()
    assert job.next_run_time is None

    assert job.resume() is job
    assert job.next_run_time == FAR


def test_a_handle_removes_its_job(held: BackgroundScheduler) -> None:
    job = held.add_job(nothing, "interval", hours=1, id="a")

    job.remove()

    assert held.get_job("a") is None
    with pytest.raises(JobLookupError, match="No job by the id of a was found"):
        job.remove()


@pytest.mark.parametrize("get", ["get_job", "get_jobs", "modify_job", "pause_job", "resume_job", "add_jobs"])
def test_every_job_that_is_given_out_is_a_handle(held: BackgroundScheduler, get: str) -> None:
    held.add_job(nothing, "interval", hours=1, id="a")

    ways: dict[str, Callable[[], Any]] = {
        "get_jobs": lambda: held.get_jobs()[0],
        "add_jobs": lambda: held.add_jobs([{"func": nothing, "trigger": "interval", "hours": 1, "id": "b"}])[0],
    }

    got = ways.get(get, lambda: getattr(held, get)("a"))()

    got.modify(name="other")
    assert held.get_job(got.id).name == "other"  # type: ignore[union-attr]


def test_a_paused_job_stays_paused_over_the_start(scheduler: BackgroundScheduler) -> None:
    job = scheduler.add_job(nothing, "interval", hours=1)
    job.pause()

    scheduler.start()

    assert job.next_run_time is None
    assert not job.pending


def test_handles_are_equal_by_id(held: BackgroundScheduler) -> None:
    job = held.add_job(nothing, "interval", hours=1, id="a")
    other = held.add_job(nothing, "interval", hours=1, id="b")

    assert job == held.get_job("a") == job.copy()
    assert job != other
    assert job != "a"
    assert len({job, other, job.copy()}) == 2


def test_a_handle_shows_what_comes_next(scheduler: BackgroundScheduler, record: Record) -> None:
    job = scheduler.add_job(record.note, "interval", seconds=0.05)
    first = job.next_run_time
    assert first is not None
    scheduler.start()

    record.wait(2)

    assert job.next_run_time is not None
    assert job.next_run_time > first


def test_a_job_of_the_async_scheduler_says_which_verb_to_await() -> None:
    job = drive(AsyncScheduler(timezone="UTC").add_job(nothing, "interval", hours=1, id="a"))

    calls: dict[str, Callable[[], object]] = {
        "modify_job": lambda: job.modify(name="other"),
        "reschedule_job": lambda: job.reschedule("interval", hours=1),
        "pause_job": job.pause,
        "resume_job": job.resume,
        "remove_job": job.remove,
    }
    for verb, call in calls.items():
        with pytest.raises(SchedulerStateError, match=rf"use await scheduler\.{verb}\('a'"):
            call()


# verbs of the face


def test_scheduled_job_adds_what_it_decorates_and_returns_it(scheduler: BackgroundScheduler, record: Record) -> None:
    scheduler.start()

    @scheduler.scheduled_job("interval", seconds=0.01, id="a", args=["ran"])
    def job(value: str) -> None:
        record.note(value)

    record.wait_for("ran")
    job("called")
    record.wait_for("called")
    assert scheduler.get_job("a") is not None


def test_scheduled_job_takes_the_place_of_a_job_of_the_same_id(held: BackgroundScheduler) -> None:
    for name in ("first", "second"):
        held.scheduled_job("interval", hours=1, id="a", name=name)(nothing)

    assert [job.name for job in held.get_jobs()] == ["second"]


def test_print_jobs_prints_the_jobs_of_every_store(
    scheduler: BackgroundScheduler, capsys: pytest.CaptureFixture[str]
) -> None:
    scheduler.add_jobstore("memory", "other")
    scheduler.add_job(nothing, "interval", hours=1, name="tick")
    scheduler.print_jobs()
    before = capsys.readouterr().out
    scheduler.start()
    scheduler.pause_job(scheduler.get_jobs()[0].id)
    out = io.StringIO()

    scheduler.print_jobs(out=out)

    assert before == "Pending jobs:\n    tick (trigger: interval[1:00:00], pending)\n"
    assert out.getvalue().startswith("Jobstore default:\n    tick (trigger: interval[1:00:00], paused)\n")


def test_a_run_by_hand_gives_its_result(scheduler: BackgroundScheduler) -> None:
    scheduler.start()
    scheduler.add_job(lambda value=1: value * 2, "date", run_date=FAR, id="double")

    handle = scheduler.run_job("double", args=[21])

    assert isinstance(handle, BlockingRunHandle)
    assert handle.result() == 42
    assert handle.wait().retval == 42
    assert handle.run_id == handle.run.id


def test_a_run_by_hand_that_was_cancelled_has_no_result(scheduler: BackgroundScheduler) -> None:
    scheduler.start(paused=True)
    scheduler.add_job(nothing, "date", run_date=FAR, id="a")
    handle = scheduler.run_job("a")

    scheduler.cancel_run(handle.run_id)

    with pytest.raises(RunFailedError, match="cancelled by hand"):
        handle.result()
    with pytest.raises(RunLookupError):
        scheduler.cancel_run(handle.run_id)


def test_the_blocking_and_the_async_handle_of_a_run_have_the_same_names() -> None:
    assert public(BlockingRunHandle) | {"run"} == public(RunHandle) | {"run"}


def test_parts_are_added_and_removed_while_it_runs(scheduler: BackgroundScheduler, record: Record) -> None:
    scheduler.start()
    scheduler.add_jobstore("memory", "other")
    scheduler.add_executor("threadpool", "few", max_workers=1)
    job = scheduler.add_job(record.note, jobstore="other", executor="few", args=["ran"])
    record.wait_for("ran")
    assert job.jobstore == "other"

    scheduler.remove_jobstore("other")
    scheduler.remove_executor("few")

    assert set(scheduler.health().jobstores) == {"default"}
    assert set(scheduler.health().executors) == {"default", "asyncio"}


def test_a_coroutine_job_that_would_have_to_wait_for_a_verb_is_told_so_before_anything_is_done(
    scheduler: BackgroundScheduler, record: Record
) -> None:
    async def job() -> None:
        for add in (scheduler.add_jobstore, scheduler.add_executor):
            try:
                add({"type": "memory"}, "other")
            except SchedulerStateError as exc:
                record.note(str(exc))

    scheduler.start()
    scheduler.add_job(job)

    assert all("call it from a thread" in message for message in record.wait(2))
    assert set(scheduler.health().jobstores) == {"default"}


def test_a_coroutine_job_may_call_such_a_verb_in_a_thread(scheduler: BackgroundScheduler, record: Record) -> None:
    async def job() -> None:
        await asyncio.to_thread(scheduler.add_jobstore, "memory", "other")
        record.note()

    scheduler.start()
    scheduler.add_job(job)

    record.wait()
    assert set(scheduler.health().jobstores) == {"default", "other"}


def test_jobs_can_be_explained_and_synchronised(held: BackgroundScheduler) -> None:
    declared = [{"id": "a", "func": nothing, "trigger": IntervalTrigger(hours=1)}]

    assert held.sync(declared).added == ("a",)

    assert held.sync(declared).unchanged == ("a",)
    assert "a" in str(held.explain("a"))
    assert isinstance(held.get_job("a"), Job)


def test_the_callable_of_a_job_may_be_given_by_name() -> None:
    scheduler = BackgroundScheduler()

    job = scheduler.add_job(func=nothing, trigger="date", run_date=FAR, id="named")

    assert job.func is nothing
