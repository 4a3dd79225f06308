"""Exporting jobs to files and importing them."""

from __future__ import annotations

import io
import json
import pickle
import sys
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import attrs
import pytest

from apsched.async_scheduler import AsyncScheduler
from apsched.exceptions import AliasLookupError, ConflictingIdError, SchedulerNotRunningError
from apsched.job import Job
from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore
from apsched.schedulers.background import BackgroundScheduler
from apsched.testing.clock import VirtualClock
from apsched.triggers.base import BaseTrigger
from apsched.triggers.calendarinterval import CalendarIntervalTrigger
from apsched.triggers.combining import AndTrigger, OrTrigger
from apsched.triggers.cron import CronTrigger
from apsched.triggers.date import DateTrigger
from apsched.triggers.interval import IntervalTrigger
from tests.ids import stable

ZONE = "Europe/Helsinki"
OF_APSCHEDULER_3 = Path(__file__).with_name("exported_by_apscheduler_3.json")  # written by export_jobs of 3.11.3


def work(*args: Any, **kwargs: Any) -> None:
    """Do nothing."""


async def work_in_loop() -> None:
    """Do nothing."""


class Harmful:
    """What a pickle does that should not be run."""

    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit",)


class Yearly(BaseTrigger):
    """A trigger of a program's own."""

    def __init__(self, month: int) -> None:
        self.month = month

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        return datetime((previous_fire_time or now).year + 1, self.month, 1, tzinfo=UTC)


TRIGGERS = [
    AndTrigger([CronTrigger(hour=3, timezone=ZONE), CronTrigger(hour=3, day_of_week="mon", timezone=ZONE)]),
    CalendarIntervalTrigger(months=1, hour=3, timezone=ZONE),
    CronTrigger(hour="*/3", day="last fri", jitter=5, start_date="2026-02-03", timezone=ZONE),
    DateTrigger("2030-01-01 08:30:00.25", timezone=ZONE),
    IntervalTrigger(hours=1, end_date="2027-01-01", timezone="+02:00"),
    OrTrigger([CronTrigger(hour=3, timezone=ZONE), IntervalTrigger(days=1, timezone=ZONE)], jitter=2),
    Yearly(5),
]


@pytest.fixture(autouse=True)
def this_module_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])


def all_of(job: Job) -> dict[str, Any]:
    names = [field.name for field in attrs.fields(Job) if not field.name.startswith("_")]
    return {name: getattr(job, name) for name in names}


async def carry_over(scheduler: AsyncScheduler, clock: VirtualClock) -> list[Job]:
    """Return the jobs of *scheduler* in another one that has imported them."""
    file = io.StringIO()
    await scheduler.export_jobs(file)
    file.seek(0)
    async with AsyncScheduler(clock=clock, timezone="UTC") as other:
        await other.import_jobs(file)
        return await other.get_jobs()


def changed(**fields: Any) -> str:
    """Return a file of one job that is as it should be but for *fields*; one that is deleted is `...`."""
    job: dict[str, Any] = {
        "id": "a",
        "next_run_time": "2026-05-01T00:00:00+00:00",
        "func": f"{__name__}:work",
        "trigger": {"type": "date", "state": DateTrigger("2026-05-01", timezone="UTC").__getstate__()},
        "args": [],
        "kwargs": {},
        "name": "work",
    }
    job |= fields
    return json.dumps({"version": 2, "jobs": [{name: value for name, value in job.items() if value is not ...}]})


@pytest.mark.parametrize("trigger", TRIGGERS, ids=stable)
async def test_jobs_go_on_as_they_were(scheduler: AsyncScheduler, clock: VirtualClock, trigger: BaseTrigger) -> None:
    job = await scheduler.add_job(work, trigger, id="a")
    paused = await scheduler.add_job(work, trigger, id="b", next_run_time=None)

    carried = await carry_over(scheduler, clock)

    assert [all_of(each) for each in carried] == [all_of(job), all_of(paused)]
    first = job.next_nominal_time
    times = [each.trigger.get_next_fire_time(first, clock.now()) for each in (job, carried[0])]
    assert times[0] == times[1]


async def test_every_option_is_carried_over(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    await scheduler.add_executor("threadpool", "few")
    job = await scheduler.add_job(
        work,
        "cron",
        [1, "x", (2, b"bytes"), {"$date": "no tag"}],
        {"day": date(2026, 5, 1), "id": UUID(int=7), "wait": timedelta(seconds=1.5)},
        "an id of mine",
        "ääkköset",
        30.5,
        False,
        3,
        datetime(2026, 5, 1, 12, 30, 0, 17, tzinfo=UTC),
        overlap="queue_all",
        tags={"team": "a"},
        keep_runs=5,
        on_crash="abandon",
        timeout=2.5,
    )

    (carried,) = await carry_over(scheduler, clock)

    assert all_of(carried) == all_of(job)


async def test_a_coroutine_function_stays_in_the_event_loop(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    await scheduler.add_job(work_in_loop, "interval", hours=1)

    (carried,) = await carry_over(scheduler, clock)

    assert (carried.func, carried.executor) == (work_in_loop, "asyncio")


async def test_an_imported_job_runs_at_its_time_and_late_if_that_has_passed(
    scheduler: AsyncScheduler, clock: VirtualClock, tmp_path: Path
) -> None:
    await scheduler.add_job(work, "interval", hours=1, id="hourly")
    await scheduler.export_jobs(tmp_path / "jobs.json")
    await scheduler.remove_all_jobs()
    await clock.advance(hours=2, minutes=30)

    (job,) = await scheduler.import_jobs(tmp_path / "jobs.json")
    await clock.advance(hours=1)

    assert job.jobstore == "default"
    runs = [(run.outcome.value, run.lateness) for run in await scheduler.get_runs("hourly")]
    assert runs[0] == ("succeeded", 0)
    assert runs[-1] in [("coalesced", None), ("succeeded", 1800)]


async def test_jobs_of_one_store_are_exported_and_imported_to_another(
    scheduler: AsyncScheduler, tmp_path: Path
) -> None:
    await scheduler.add_jobstore(SQLAlchemyJobStore(f"sqlite:///{tmp_path}/jobs.sqlite"), "kept")
    await scheduler.add_job(work, "interval", hours=1, id="a")
    await scheduler.add_job(work, "interval", hours=1, id="b")
    await scheduler.export_jobs(str(tmp_path / "jobs.json"), "default")

    imported = await scheduler.import_jobs(str(tmp_path / "jobs.json"), "kept")
    await scheduler.export_jobs(tmp_path / "kept.json", "kept")

    assert [(job.id, job.jobstore) for job in imported] == [("a", "kept"), ("b", "kept")]
    assert (tmp_path / "kept.json").read_text() == (tmp_path / "jobs.json").read_text()


async def test_a_taken_id_leaves_the_store_as_it_was(scheduler: AsyncScheduler) -> None:
    file = io.StringIO()
    for job_id in "abc":
        await scheduler.add_job(work, "interval", ["exported"], hours=1, id=job_id)
    await scheduler.export_jobs(file)
    await scheduler.remove_all_jobs()
    await scheduler.add_job(work, "interval", ["mine"], hours=2, id="b")

    file.seek(0)
    with pytest.raises(ConflictingIdError):
        await scheduler.import_jobs(file)
    assert [job.args for job in await scheduler.get_jobs()] == [("mine",)]

    file.seek(0)
    await scheduler.import_jobs(file, replace_existing=True)
    assert [job.args for job in await scheduler.get_jobs()] == [("exported",)] * 3


async def test_an_unknown_alias_leaves_the_store_as_it_was(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    with pytest.raises(AliasLookupError, match="No such executor for job 'work': nowhere"):
        await scheduler.import_jobs(io.StringIO(changed(executor="nowhere")))
    with pytest.raises(AliasLookupError, match="No such job store: nowhere"):
        await scheduler.import_jobs(io.StringIO(changed()), "nowhere")

    assert await scheduler.get_jobs() == []


async def test_exporting_needs_open_stores(clock: VirtualClock) -> None:
    with pytest.raises(SchedulerNotRunningError, match="start it first"):
        await AsyncScheduler(clock=clock).export_jobs(io.StringIO())


def test_jobs_are_imported_before_the_start_too(tmp_path: Path) -> None:
    (tmp_path / "jobs.json").write_text(changed(next_run_time=None))
    scheduler = BackgroundScheduler()

    (job,) = scheduler.import_jobs(tmp_path / "jobs.json")
    before = str(job)
    scheduler.start()
    try:
        after = str(scheduler.get_job("a"))
    finally:
        scheduler.shutdown()

    assert before == "work (trigger: date[2026-05-01 00:00:00 UTC], paused)"
    assert after == before


async def test_jobs_that_cannot_be_written_are_named_and_the_file_stays_as_it_was(
    scheduler: AsyncScheduler, tmp_path: Path
) -> None:
    path = tmp_path / "jobs.json"
    path.write_text("old")
    await scheduler.add_job(lambda: None, "interval", hours=1, id="nameless")
    await scheduler.add_job(work, "interval", [object()], hours=1, id="odd")
    await scheduler.add_job(work, "interval", hours=1, id="good")

    with pytest.raises(ValueError, match="2 of 3 jobs cannot be exported, and no file is written: ") as caught:
        await scheduler.export_jobs(path)

    assert "job 'nameless': " in str(caught.value)
    assert "it is a lambda" in str(caught.value)
    assert "job 'odd': args[0] cannot be stored" in str(caught.value)
    assert path.read_text() == "old"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the file is not a file that export_jobs has written: Expecting value"),
        ("[]", "it has no list of jobs"),
        ('{"version": 3, "jobs": []}', "the file is of version 3, and this release reads up to 2"),
        ('{"version": 1, "jobs": [{}]}', r"job 1 of 1 \(None\) cannot be imported: its state has no trigger"),
        ('{"version": 2, "jobs": [7]}', "the file, job 1 of 1 must be an object .*, got 7"),
        (changed(id=...), r"job 1 of 1 \(None\) cannot be imported: id must be a text of 1 to 191 characters"),
        (changed(id=""), "id must be a text of 1 to 191 characters"),
        (changed(func=...), r"\('a'\) cannot be imported: .*its func must be a reference"),
        (changed(func="nowhere:at_all"), "the reference 'nowhere:at_all' leads to nothing"),
        (changed(func=f"{__name__}:ZONE"), "must lead to a callable, got str"),
        (changed(func=f"{__name__}:work_in_loop", args=[1]), "positional arguments: 1 given, 0 taken"),
        (changed(trigger=...), "its trigger is damaged"),
        (changed(trigger={"type": "sundial", "state": {}}), "a trigger of the unknown type 'sundial'"),
        (changed(trigger={"type": "interval", "state": {}}), "its trigger 'interval' cannot be built"),
        (changed(name=...), "it has no name"),
        (changed(max_instances=0), "max_instances must be a whole number from 1 on, got 0"),
        (changed(misfire_grace_time="1"), "misfire_grace_time must be None or a number of seconds, got '1'"),
        (changed(colour=True), "it has no field colour; there are: id, next_run_time, "),
        (changed(kwargs=[]), "kwargs must be a mapping"),
        (changed(next_run_time=...), "it has no next_run_time"),
        (changed(next_run_time=12), "its next_run_time must be text such as .* or null, got 12"),
        (changed(next_run_time="2026-05-01"), "its next_run_time must be text such as"),
        (changed(next_nominal_time="tomorrow"), "its next_nominal_time must be text such as"),
    ],
)
async def test_a_file_that_is_not_as_it_should_be_is_refused_naming_job_and_field(
    scheduler: AsyncScheduler, text: str, problem: str
) -> None:
    good = json.loads(changed(id="good"))["jobs"]
    document = json.loads(text) if text.startswith("{") else None
    if document is not None and document["version"] == 2 and isinstance(document["jobs"][0], dict):
        text = json.dumps(document | {"jobs": [*good, *document["jobs"]]})
        problem = problem.replace("job 1 of 1", "job 2 of 2")

    with pytest.raises(ValueError, match=problem):
        await scheduler.import_jobs(io.StringIO(text))

    assert await scheduler.get_jobs() == []


async def test_a_file_of_apscheduler_3_is_read_without_running_its_pickles(scheduler: AsyncScheduler) -> None:
    jobs = await scheduler.import_jobs(OF_APSCHEDULER_3)

    assert {job.id: (str(job.trigger), job.next_run_time and job.next_run_time.isoformat()) for job in jobs} == {
        "calendar": ("calendarinterval[months=1, time='03:00:00']", "2030-02-01T03:00:00+02:00"),
        "date": ("date[2030-01-01 00:00:01 UTC]", "2030-01-01T00:00:01+00:00"),
        "interval": ("interval[1:00:00]", "2030-01-01T08:30:00+02:00"),
        "or": ("or[cron[hour='3'], interval[1 day, 0:00:00]]", "2030-03-01T03:00:00+02:00"),
        "paused": ("cron[day='last fri', hour='*/3']", None),
    }
    options = {job.id: (job.name, job.misfire_grace_time, job.coalesce, job.max_instances) for job in jobs}
    assert options["interval"] == ("hourly", 1, True, 1)
    assert options["or"] == ("dumps", 30, False, 4)
    assert {job.func for job in jobs} == {json.dumps}
    (interval,) = (job for job in jobs if job.id == "interval")
    assert (interval.args, interval.kwargs) == (([1, date(2020, 1, 1)],), {"indent": 2, "default": None})


async def test_a_file_of_apscheduler_3_with_a_job_that_cannot_be_read_is_refused_whole(
    scheduler: AsyncScheduler,
) -> None:
    document = json.loads(OF_APSCHEDULER_3.read_text())
    harmful = pickle.dumps(Harmful())
    document["jobs"][-1]["kwargs"] = {"obj": {"__apscheduler_pickle__": b64encode(harmful).decode()}}

    with pytest.raises(ValueError, match=r"the file, job 5 of 5 \('paused'\) cannot be imported: .*exec"):
        await scheduler.import_jobs(io.StringIO(json.dumps(document)))

    assert await scheduler.get_jobs() == []


async def test_two_jobs_of_one_id_are_refused(scheduler: AsyncScheduler) -> None:
    (job,) = json.loads(changed())["jobs"]

    with pytest.raises(ValueError, match="job 2 of 2 has the id 'a', which an earlier job of the file has"):
        await scheduler.import_jobs(io.StringIO(json.dumps({"version": 2, "jobs": [job, job]})))


@pytest.mark.parametrize("kind", [str, Path])
async def test_a_file_is_named_in_errors(scheduler: AsyncScheduler, tmp_path: Path, kind: Callable[..., Any]) -> None:
    (tmp_path / "jobs.json").write_text(changed(id=7))

    with pytest.raises(ValueError, match=r"jobs\.json, job 1 of 1 \(7\) cannot be imported: id must be"):
        await scheduler.import_jobs(kind(tmp_path / "jobs.json"))
    with pytest.raises(FileNotFoundError):
        await scheduler.import_jobs(kind(tmp_path / "nowhere.json"))
