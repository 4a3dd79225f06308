"""Stores and executors that users wrote for APScheduler 3, in schedulers."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from apsched.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_QUARANTINED,
    EVENT_JOB_REMOVED,
    JobExecutionEvent,
)
from apsched.exceptions import ConflictingIdError, JobLookupError, SchedulerStateError, TransientJobError
from apsched.executors.base import BaseExecutor, Executor
from apsched.executors.pool import ThreadPoolExecutor
from apsched.job import Job
from apsched.jobstores.base import BaseJobStore
from apsched.run import Outcome
from apsched.schedulers.background import BackgroundScheduler
from apsched.triggers.base import BaseTrigger
from tests.users_executors import (
    BrokenExecutor,
    InlineExecutor,
    LoopExecutor,
    OwnWayExecutor,
    PoolExecutor,
    ProcessExecutor,
    TellingErrors,
)
from tests.users_stores import ColumnStore, DictStore, ObjectStore, TableStore, TellingStore

if TYPE_CHECKING:
    from tests.face.conftest import Record

FAR = datetime(2036, 1, 1, tzinfo=UTC)
PAGE: dict[str, Any] = {}  # what jobs, which are found by name, find of their test


def note(value: object = "ran") -> object:
    PAGE["record"].note(value)
    return value


def add(one: int, other: int) -> int:
    return one + other


async def add_later(one: int, other: int) -> int:
    return one + other


def fail() -> None:
    raise LookupError("no such thing")


def process_id() -> int:
    return os.getpid()


class Countdown(BaseTrigger):
    """Fires now and every hour, as often as is left to it; keeps count itself. A plugin is given the zone."""

    def __init__(self, left: int, timezone: Any = None) -> None:
        self.left = left

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        if self.left == 0:
            return None
        self.left -= 1
        return now if previous_fire_time is None else previous_fire_time + timedelta(hours=1)


@pytest.fixture(autouse=True)
def page(record: Record) -> None:
    PAGE.update(record=record)


@pytest.fixture(params=["dict", "object", "table", "column"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BaseJobStore:
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    stores: dict[str, Callable[[], BaseJobStore]] = {
        "dict": DictStore,
        "object": ObjectStore,
        "table": lambda: TableStore(url),
        "column": lambda: ColumnStore(str(tmp_path / "columns.db")),
    }
    return stores[request.param]()


@pytest.fixture
def told(tmp_path: Path) -> TellingStore:
    return TellingStore(f"sqlite:///{tmp_path / 'jobs.db'}")


# stores


def test_the_verbs_work_on_a_users_store(
    make: Callable[..., BackgroundScheduler], store: BaseJobStore, record: Record
) -> None:
    scheduler = make(jobstores={"default": store})
    scheduler.add_job(note, "interval", hours=1, id="before", args=["before"])
    scheduler.start()
    scheduler.add_job(note, "date", run_date=FAR, id="far")
    scheduler.add_job(note, id="now", args=["now"])

    record.wait_for("now")
    scheduler.pause_job("before")
    scheduler.modify_job("far", name="renamed")
    with pytest.raises(ConflictingIdError):
        scheduler.add_job(note, "date", run_date=FAR, id="far")
    scheduler.add_job(note, "date", run_date=FAR, id="far", name="replaced", replace_existing=True)
    with pytest.raises(JobLookupError):
        scheduler.remove_job("unknown")

    assert [(job.id, job.name, job.next_run_time) for job in scheduler.get_jobs()] == [
        ("far", "replaced", FAR),
        ("before", "note", None),
    ]
    job = scheduler.get_job("before")
    assert job is not None
    assert job.jobstore == "default"
    job.resume()
    assert job.next_run_time is not None
    scheduler.remove_all_jobs()
    assert scheduler.get_jobs() == []
    assert [run.outcome for run in scheduler.get_runs("now")] == [Outcome.SUCCEEDED]


def test_jobs_outlive_the_scheduler(make: Callable[..., BackgroundScheduler], tmp_path: Path) -> None:
    path = str(tmp_path / "columns.db")
    first = make(jobstores={"default": ColumnStore(path)})
    first.start()
    first.add_job(note, "cron", hour=3, id="cron", jitter=None, max_instances=3, misfire_grace_time=5)
    expected = first.get_jobs()[0].next_run_time
    first.shutdown()

    second = make(jobstores={"default": ColumnStore(path)})
    second.start()

    (job,) = second.get_jobs()
    assert (job.id, job.func, job.max_instances, job.misfire_grace_time) == ("cron", note, 3, 5)
    assert job.next_run_time == expected


def test_what_a_users_subclass_adds_is_done(
    make: Callable[..., BackgroundScheduler], told: TellingStore, record: Record
) -> None:
    scheduler = make(jobstores={"default": told})
    scheduler.start()
    removed = threading.Event()
    scheduler.add_listener(lambda event: removed.set(), EVENT_JOB_REMOVED)

    scheduler.add_job(note, id="job")
    record.wait_for("ran")

    assert removed.wait(20)
    scheduler.add_job(note, "interval", hours=1, id="other")
    scheduler.pause_job("other")
    scheduler.remove_job("other")
    assert told.told == [
        ("added", "job"),
        ("removed", "job"),
        ("added", "other"),
        ("updated", "other"),
        ("removed", "other"),
    ]


def test_the_blocking_calls_are_made_in_one_thread_that_is_not_the_event_loop(
    make: Callable[..., BackgroundScheduler],
) -> None:
    threads = set()

    class Noting(DictStore):
        def start(self, scheduler: Any, alias: str) -> None:
            threads.add(threading.current_thread().name)
            super().start(scheduler, alias)
            assert isinstance(scheduler, BackgroundScheduler)
            assert (alias, self._alias, self._logger.name) == ("mine", "mine", "apsched.jobstores.mine")

        def get_due_jobs(self, now: datetime) -> list[Job]:
            threads.add(threading.current_thread().name)
            return super().get_due_jobs(now)

    scheduler = make()
    scheduler.start()
    scheduler.add_jobstore(Noting(), "mine")
    scheduler.get_jobs("mine")
    scheduler.remove_jobstore("mine")

    assert threads == {"apsched-jobstore"}


def test_a_job_whose_callable_is_gone_is_quarantined_and_not_deleted(
    make: Callable[..., BackgroundScheduler], tmp_path: Path, record: Record
) -> None:
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    users = TableStore(url)
    users.start(None, "default")
    job = Job(id="lost", name="lost", func=note, trigger=Countdown(0), next_run_time=datetime(2026, 1, 1, tzinfo=UTC))
    job.func = "tests.no_such_module:run"
    users.add_job(job)
    users.shutdown()
    scheduler = make(jobstores={"default": TableStore(url)})
    scheduler.add_listener(lambda event: record.note(event.job_id), EVENT_JOB_QUARANTINED)

    scheduler.start()

    record.wait_for("lost")
    (kept,) = scheduler.get_jobs()
    assert "tests.no_such_module" in (kept.quarantine or "")


def test_a_job_that_cannot_be_stored_is_refused(make: Callable[..., BackgroundScheduler]) -> None:
    scheduler = make(jobstores={"default": DictStore()})
    scheduler.start()

    with pytest.raises(TransientJobError, match="importable name"):
        scheduler.add_job(lambda: None, "interval", hours=1, id="job")

    assert scheduler.get_jobs() == []


def test_many_jobs_are_added_all_or_none(make: Callable[..., BackgroundScheduler]) -> None:
    scheduler = make(jobstores={"default": DictStore()})
    scheduler.start()
    scheduler.add_job(note, "interval", hours=1, id="b")

    with pytest.raises(ConflictingIdError):
        scheduler.add_jobs([{"func": note, "trigger": "interval", "hours": 1, "id": name} for name in "abc"])

    assert [job.id for job in scheduler.get_jobs()] == ["b"]


def test_what_another_process_adds_is_found(make: Callable[..., BackgroundScheduler], record: Record) -> None:
    states: dict[str, bytes] = {}
    scheduler = make(jobstores={"default": DictStore(states)}, max_idle=0.01)
    scheduler.start()
    other = DictStore(states)
    past = datetime(2026, 1, 1, tzinfo=UTC)

    other.add_job(Job(id="job", name="job", func=note, trigger=Countdown(0), next_run_time=past))

    record.wait_for("ran")


def test_a_plain_call_in_the_schedulers_event_loop_is_refused(
    make: Callable[..., BackgroundScheduler], record: Record
) -> None:
    scheduler = make(jobstores={"default": DictStore()})
    scheduler.start()

    async def ask() -> None:
        try:
            scheduler.get_jobs()
        except SchedulerStateError as exc:
            record.note(str(exc))

    scheduler.add_jobstore("memory", "memory")
    scheduler.add_job(ask, jobstore="memory")

    (message,) = record.wait()
    assert "must be waited for" in message


def test_a_trigger_that_keeps_count_is_stored_as_it_has_counted(
    make: Callable[..., BackgroundScheduler], record: Record
) -> None:
    scheduler = make(jobstores={"default": DictStore()})
    scheduler.start()

    scheduler.add_job(note, Countdown(3), id="job")
    record.wait_for("ran")

    job = scheduler.get_job("job")
    assert job is not None
    assert isinstance(job.trigger, Countdown)
    assert job.trigger.left == 1


@pytest.mark.parametrize("said", [datetime(2036, 1, 1), "tomorrow"])  # noqa: DTZ001
def test_a_trigger_that_says_no_aware_time_is_refused(make: Callable[..., BackgroundScheduler], said: Any) -> None:
    class Wrong(BaseTrigger):
        def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> Any:
            return said

    with pytest.raises(ValueError, match="trigger must say aware datetimes or None"):
        make().add_job(note, Wrong())


# configuration


@pytest.mark.parametrize(
    "options",
    [
        {
            "jobstores": {"default": {"class": "tests.users_stores:DictStore"}},
            "executors": {"default": {"class": "tests.users_executors:PoolExecutor", "workers": 2}},
        },
        {
            "gconfig": {
                "apscheduler.jobstores.default": {"class": "tests.users_stores:DictStore"},
                "apscheduler.executors.default.class": "tests.users_executors:PoolExecutor",
                "apscheduler.executors.default.workers": "2",
            }
        },
    ],
    ids=["mappings", "dotted keys"],
)
def test_they_are_configured_by_class(make: Callable[..., BackgroundScheduler], options: dict[str, Any]) -> None:
    scheduler = make(**options)
    scheduler.start()

    scheduler.add_job(add, "interval", hours=1, args=(1, 2), id="job")

    assert scheduler.run_job("job").result() == 3
    assert scheduler.health().executors["default"].capacity == 2


def test_entry_points_lead_to_them(
    make: Callable[..., BackgroundScheduler], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "users_plugins-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: users-plugins\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(
        "[apsched.jobstores]\nusers-dict = tests.users_stores:DictStore\n"
        "[apsched.executors]\nusers-pool = tests.users_executors:PoolExecutor\n"
        "[apsched.triggers]\nusers-countdown = tests.face.test_users_classes:Countdown\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    scheduler = make(jobstores={"default": {"type": "users-dict"}})
    scheduler.add_executor("users-pool", "pool", workers=2)
    scheduler.start()

    job = scheduler.add_job(add, "users-countdown", left=1, args=(1, 2), executor="pool", next_run_time=None, id="job")

    assert type(job.trigger).__name__ == "Countdown"
    assert scheduler.run_job("job").result() == 3


@pytest.mark.parametrize("wrong", [object(), {"class": "tests.users_executors:PoolExecutor"}])
def test_something_else_is_refused(make: Callable[..., BackgroundScheduler], wrong: Any) -> None:
    with pytest.raises(TypeError, match="a job store"):
        make(jobstores={"default": wrong})


# executors


@pytest.fixture(params=[PoolExecutor, InlineExecutor, ProcessExecutor])
def executor(request: pytest.FixtureRequest) -> BaseExecutor:
    made: BaseExecutor = request.param()
    return made


def test_a_users_executor_runs_jobs(make: Callable[..., BackgroundScheduler], executor: BaseExecutor) -> None:
    scheduler = make(executors={"default": executor})
    scheduler.start()
    scheduler.add_job(add, "interval", hours=1, args=(1, 2), id="good")
    scheduler.add_job(fail, "interval", hours=1, id="bad")
    events: list[JobExecutionEvent] = []
    scheduler.add_listener(events.append, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)

    assert scheduler.run_job("good").result() == 3
    with pytest.raises(LookupError, match="no such thing"):
        scheduler.run_job("bad").result()

    good, bad = (scheduler.get_runs(name)[0] for name in ("good", "bad"))
    assert (good.outcome, bad.outcome) == (Outcome.SUCCEEDED, Outcome.FAILED)
    assert good.started_at is not None
    assert "in fail" in (bad.error or "")


def test_a_coroutine_function_is_awaited_in_the_loop_of_a_users_executor(
    make: Callable[..., BackgroundScheduler],
) -> None:
    scheduler = make(executors={"mine": LoopExecutor()})
    scheduler.start()
    scheduler.add_job(add_later, "interval", hours=1, args=(1, 2), id="job", executor="mine")

    assert scheduler.run_job("job").result() == 3


def test_a_process_runs_the_callable_itself(make: Callable[..., BackgroundScheduler]) -> None:
    scheduler = make(executors={"default": ProcessExecutor()})
    scheduler.start()
    scheduler.add_job(process_id, "interval", hours=1, id="job")

    assert scheduler.run_job("job").result() != os.getpid()


def test_what_cannot_be_pickled_fails(make: Callable[..., BackgroundScheduler]) -> None:
    executor = TellingErrors()
    scheduler = make(executors={"default": executor})
    scheduler.start()
    scheduler.add_job(lambda: None, "interval", hours=1, id="job")

    with pytest.raises(TransientJobError, match="importable name"):
        scheduler.run_job("job").result()

    assert len(executor.errors) == 1


def test_an_executor_that_tells_no_events_ends_runs_too(
    make: Callable[..., BackgroundScheduler], record: Record
) -> None:
    scheduler = make(executors={"default": OwnWayExecutor()})
    scheduler.start()
    scheduler.add_job(note, "interval", hours=1, id="good")
    scheduler.add_job(fail, "interval", hours=1, id="bad")

    assert scheduler.run_job("good").result() is None
    with pytest.raises(LookupError):
        scheduler.run_job("bad").result()
    record.wait_for("ran")


def test_an_executor_that_raises_fails_the_run(make: Callable[..., BackgroundScheduler]) -> None:
    scheduler = make(executors={"default": BrokenExecutor()})
    scheduler.start()
    scheduler.add_job(note, "interval", hours=1, id="job")

    with pytest.raises(OSError, match="no way there"):
        scheduler.run_job("job").result()


def test_runs_of_one_job_at_a_time_end_each_with_its_own_result(make: Callable[..., BackgroundScheduler]) -> None:
    scheduler = make(executors={"default": PoolExecutor(workers=4)})
    scheduler.start()
    scheduler.add_job(add, "interval", hours=1, args=(0, 0), id="job", max_instances=4)

    handles = [scheduler.run_job("job", args=(number, 1)) for number in range(8)]

    assert [handle.result() for handle in handles] == list(range(1, 9))


def test_the_hooks_of_a_users_executor_are_called(make: Callable[..., BackgroundScheduler]) -> None:
    executor = PoolExecutor()
    scheduler = make(executors={"default": executor})
    scheduler.start()
    scheduler.add_job(add, "interval", hours=1, args=(1, 2), id="job")

    scheduler.run_job("job").result()

    assert executor.told == [("job", [EVENT_JOB_EXECUTED])]


def test_a_subclass_of_an_executor_that_overrides_what_is_not_called_is_warned_of() -> None:
    with pytest.warns(UserWarning, match=r"Mine overrides _do_submit_job\(\), which the scheduler does not call"):

        class Mine(ThreadPoolExecutor):
            def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
                pass

    assert issubclass(Mine, Executor)
