"""Options that contradict each other."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import pytest

from apsched.async_scheduler import AsyncScheduler
from apsched.engine.make_job import JobMaker
from apsched.job import Job, JobDefaults
from apsched.retry import Retry
from apsched.testing.clock import START, VirtualClock
from apsched.triggers.after import After
from apsched.triggers.date import DateTrigger

DAY = 86400
DAILY: dict[str, Any] = {"trigger": "cron", "hour": 9}
HOURLY: dict[str, Any] = {"trigger": "interval", "hours": 1}

CONTRADICTIONS: list[tuple[dict[str, Any], str, str]] = [
    ({**HOURLY, "overlap": "allow", "max_instances": 3}, "max_instances=3", "overlap='allow'"),
    ({**HOURLY, "overlap": "allow", "max_instances": 1}, "max_instances=1", "overlap='allow'"),
    ({"trigger": After("other"), "misfire_grace_time": 60}, "misfire_grace_time=60", "after[other succeeds]"),
    ({**HOURLY, "expect_success_within": 9000, "keep_runs": 0}, "expect_success_within=9000", "keep_runs=0"),
    ({**DAILY, "expect_success_within": 3600}, "expect_success_within=3600", "86400 s between two times"),
    ({**HOURLY, "expect_success_within": 3600}, "expect_success_within=3600", "3600 s between two times"),
    ({**HOURLY, "retry": {"backoff": 7200}}, "backoff=7200", "longest=3600"),
    ({**HOURLY, "retry": {"backoff": 60, "give_up_at": 30}}, "backoff=60", "give_up_at=30"),
    ({**HOURLY, "retry": {"give_up_at": 5}}, "backoff=10", "give_up_at=5"),
]

HARMLESS: list[dict[str, Any]] = [
    {**HOURLY, "overlap": "allow"},
    {**HOURLY, "overlap": "queue_all", "max_instances": 3},
    {**HOURLY, "on_crash": "abandon", "retry": Retry()},
    {**HOURLY, "expect_success_within": 3601},
    {**HOURLY, "keep_runs": 0},
    {**HOURLY, "retry": {"backoff": 7200, "longest": 7200}},
    {**HOURLY, "retry": {"give_up_at": 10}},
    {**HOURLY, "retry": {"max_attempts": 1, "give_up_at": 1}},
    {**HOURLY, "retry": {"give_up_at": "next_run"}},
    {"trigger": "cron", "day_of_week": "mon-fri", "expect_success_within": 1.5 * DAY},
    {"trigger": "cron", "hour": 9, "next_run_time": None, "expect_success_within": 60},
    {"trigger": DateTrigger(START), "overlap": "queue_one", "coalesce": False, "expect_success_within": 60},
    {"trigger": After("other"), "misfire_grace_time": None, "expect_success_within": 60},
]


@pytest.fixture
def maker() -> JobMaker:
    return JobMaker(JobDefaults(), UTC)


def draft(maker: JobMaker, **options: Any) -> Job:
    return maker.draft(START, int, **options).job


@pytest.mark.parametrize(("options", "one", "other"), CONTRADICTIONS)
def test_options_that_contradict_each_other_are_both_named(
    maker: JobMaker, options: dict[str, Any], one: str, other: str
) -> None:
    with pytest.raises(ValueError, match="=") as info:
        draft(maker, **options)

    assert one in str(info.value)
    assert other in str(info.value)


@pytest.mark.parametrize("options", HARMLESS)
def test_options_that_get_on_are_taken(maker: JobMaker, options: dict[str, Any]) -> None:
    assert isinstance(draft(maker, **options), Job)


def test_a_default_gives_way_to_what_is_asked_for() -> None:
    maker = JobMaker(JobDefaults(max_instances=3, misfire_grace_time=60), UTC)

    assert draft(maker, **HOURLY, overlap="allow").overlap == "allow"
    assert draft(maker, trigger=After("other")).misfire_grace_time == 60


@pytest.mark.parametrize(
    "defaults",
    [{"overlap": "allow", "max_instances": 3}, {"expect_success_within": 60, "keep_runs": 0}],
)
def test_defaults_that_contradict_each_other_are_refused(defaults: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="=") as info:
        AsyncScheduler(job_defaults=defaults)

    assert all(name in str(info.value) for name in defaults)


@pytest.mark.parametrize(
    ("options", "changes", "text"),
    [
        (HOURLY, {"overlap": "allow", "max_instances": 3}, "max_instances=3 has no effect"),
        ({**HOURLY, "keep_runs": 0}, {"expect_success_within": 9000}, "which keep_runs=0 forgets"),
        ({**HOURLY, "expect_success_within": 9000}, {"keep_runs": 0}, "which keep_runs=0 forgets"),
        (DAILY, {"expect_success_within": 3600}, "must be longer than the 86400 s"),
        ({"trigger": After("other")}, {"misfire_grace_time": 3}, "what follows another run is never late"),
    ],
)
async def test_a_change_that_would_contradict_is_refused_and_changes_nothing(
    options: dict[str, Any], changes: dict[str, Any], text: str
) -> None:
    async with AsyncScheduler(clock=VirtualClock(), timezone="UTC") as scheduler:
        before = await scheduler.add_job(int, id="job", **options)
        state = before.__getstate__()

        with pytest.raises(ValueError, match=text):
            await scheduler.modify_job("job", **changes)

        after = await scheduler.get_job("job")
        assert after is not None
        assert after.__getstate__() == state


async def test_a_schedule_that_contradicts_what_is_expected_is_refused() -> None:
    async with AsyncScheduler(clock=VirtualClock(), timezone="UTC") as scheduler:
        job = await scheduler.add_job(int, id="job", **HOURLY, expect_success_within=2 * 3600)

        with pytest.raises(ValueError, match="expect_success_within=7200 must be longer than the 86400 s"):
            await scheduler.reschedule_job("job", **DAILY)

        assert await scheduler.get_job("job") == job
        assert job.next_run_time == datetime(2026, 1, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("max_instances", [0, -1])
async def test_no_way_leads_to_less_than_one_instance(max_instances: int) -> None:
    text = "max_instances must be a whole number from 1 on, got "
    async with AsyncScheduler(clock=VirtualClock(), timezone="UTC") as scheduler:
        job: dict[str, Any] = {"func": int, **HOURLY, "id": "job", "max_instances": max_instances}
        for call in (
            lambda: scheduler.add_job(**job),
            lambda: scheduler.add_jobs([job]),
            lambda: scheduler.sync([job]),
        ):
            with pytest.raises(ValueError, match=text):
                await call()
        await scheduler.add_job(int, id="job", **HOURLY)
        with pytest.raises(ValueError, match=text):
            await scheduler.modify_job("job", max_instances=max_instances)
    for value in (max_instances, str(max_instances)):
        with pytest.raises(ValueError, match=text):
            AsyncScheduler({"apsched.job_defaults.max_instances": value})
    with pytest.raises(ValueError, match=text):
        AsyncScheduler(job_defaults={"max_instances": max_instances})
    with pytest.raises(ValueError, match=text):
        JobDefaults(max_instances=max_instances)


async def test_a_file_with_a_job_of_no_instances_is_refused() -> None:
    async with AsyncScheduler(clock=VirtualClock(), timezone="UTC") as scheduler:
        await scheduler.add_job("builtins:int", id="job", **HOURLY)
        exported = io.StringIO()
        await scheduler.export_jobs(exported)
        await scheduler.remove_job("job")
        text = exported.getvalue().replace('"max_instances": 1', '"max_instances": 0')
        assert text != exported.getvalue()

        with pytest.raises(ValueError, match="max_instances must be a whole number from 1 on, got 0"):
            await scheduler.import_jobs(io.StringIO(text))
