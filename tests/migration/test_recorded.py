"""Jobs that APScheduler 3 has written are the same jobs here."""

from __future__ import annotations

import datetime as dt
import pickle
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from apsched.jobstores._codec import JobCodec
from apsched.migration import read_jobs
from apsched.triggers.interval import IntervalTrigger
from tests.migration.recorded import (
    EXPORT,
    PICKLES,
    are_jittered,
    converted,
    fire_times,
    found,
    jobs_of,
    state_of,
)

NEWEST = "3.11.3-protocol-5"
BERLIN = ZoneInfo("Europe/Berlin")
EVERY = [pytest.param(name, job_id, id=f"{name}-{job_id}") for name in PICKLES for job_id in jobs_of(name)]


@pytest.mark.parametrize(("name", "job_id"), EVERY)
def test_a_job_goes_on_firing_when_it_would_have(name: str, job_id: str) -> None:
    recorded = jobs_of(name)[job_id]["times"]

    job = converted(name, job_id)

    times = fire_times(job, len(recorded))
    assert times[:1] == recorded[:1]  # exactly, jitter included
    if not job.trigger.jitter:
        assert times == recorded
    elif not isinstance(job.trigger, IntervalTrigger):  # of which jitter adds up there
        assert are_jittered(times[1:], recorded[1:], job.trigger.jitter)


@pytest.mark.parametrize(("name", "job_id"), EVERY)
def test_a_job_can_be_stored_and_is_the_same_then(name: str, job_id: str) -> None:
    job = converted(name, job_id)

    stored = JobCodec().decode(job_id, JobCodec().encode(job), None, None, None, resolve=False)

    assert stored.quarantine is None
    assert stored.trigger.is_same_schedule(job.trigger)
    assert (stored.args, stored.kwargs, stored.name) == (job.args, job.kwargs, job.name)


def test_triggers_look_as_before() -> None:
    others = {"calendar", "calendar_days", "calendar_end", "cron_zero_range", "date_pytz_fixed", "date_dateutil_offset"}

    for job_id in jobs_of(NEWEST).keys() - others:  # which are shown otherwise
        assert str(converted(NEWEST, job_id).trigger) == jobs_of(NEWEST)[job_id]["trigger"]


def test_a_paused_job_stays_paused() -> None:
    job = converted(NEWEST, "paused")

    assert (job.next_run_time, job.next_nominal_time) == (None, None)


def test_options_are_kept() -> None:
    job = converted(NEWEST, "options")

    assert job.name == "Näme"
    assert job.executor == "other"
    assert (job.misfire_grace_time, job.coalesce, job.max_instances) == (42, False, 3)
    assert job.func == "json:dumps"


@pytest.mark.parametrize(("job_id", "grace"), [("grace_none", None), ("interval", 1)])
def test_the_grace_time_is_kept_also_the_one_that_was_the_default(job_id: str, grace: int | None) -> None:
    assert converted(NEWEST, job_id).misfire_grace_time == grace


@pytest.mark.parametrize("name", ["3.11.3-protocol-0", NEWEST])
def test_plain_arguments_are_kept_with_their_types(name: str) -> None:
    job = converted(name, "arguments")

    expected: list[Any] = [
        None, True, -3, 2**70, 1.5, "tëxt", b"\x00\xff", [1, [2]], (3, (4,)), {"a": {"b": 1}}, {5}, frozenset({6}),
        dt.date(2030, 2, 3), dt.datetime(2030, 2, 3, 4, 5, 6, 7), dt.datetime(2030, 2, 3, tzinfo=BERLIN),  # noqa: DTZ001
        dt.timedelta(1, 2, 3), Decimal("1.50"), UUID(int=7),
    ]  # fmt: skip
    assert list(job.args) == [expected]
    assert [*map(type, job.args[0])] == [*map(type, expected)]
    assert job.kwargs == {"sort_keys": True, "indent": 1}


def test_an_interval_goes_on_from_the_next_run_even_if_that_was_never_on_its_grid() -> None:
    job = converted(NEWEST, "off_grid")

    times = fire_times(job, 3)
    assert times == jobs_of(NEWEST)["off_grid"]["times"][:3]
    assert times[0].endswith(":30:15.123456+00:00")


def test_an_interval_without_a_start_is_the_schedule_that_code_declares_again() -> None:
    declared = IntervalTrigger(hours=1, timezone="UTC")

    assert converted(NEWEST, "off_grid").trigger.is_same_schedule(declared)


def test_a_jittered_cron_job_gets_the_nominal_time_that_cron_said() -> None:
    job = converted(NEWEST, "cron_jitter")

    assert job.next_nominal_time is not None
    assert job.next_run_time is not None
    assert (job.next_nominal_time.minute, job.next_nominal_time.second) == (0, 0)
    assert job.next_nominal_time <= job.next_run_time
    assert found(state_of(NEWEST, "cron_jitter")).remarks == ("its jitter of 120 s does not add up any more",)


def test_a_coroutine_function_goes_to_the_event_loop() -> None:
    assert converted(NEWEST, "coroutine").executor == "asyncio"
    kept = found(state_of(NEWEST, "coroutine"), imports=False).job
    assert kept is not None
    assert kept.executor == "default"


def test_a_job_whose_callable_is_missing_is_kept_with_a_remark() -> None:
    result = found(state_of(NEWEST, "missing"))

    assert result.job is not None
    assert result.job.func == "no_such_module:job"
    assert "stays quarantined" in result.remarks[0]


def test_a_job_of_a_program_is_kept_with_a_remark_that_says_so() -> None:
    state = state_of("3.11.3-protocol-0", "paused").replace(b"Vjson:dumps\n", b"V__main__:nothing_of_that_name\n")

    result = found(state)

    assert result.job is not None
    assert "is in the program that added it" in result.remarks[0]


def test_a_job_that_its_store_does_not_schedule_is_paused() -> None:
    result = found(state_of(NEWEST, "cron_list"), is_scheduled=False)

    assert result.job is not None
    assert result.job.next_run_time is None
    assert "it is paused" in result.remarks[0]


def test_an_export_holds_the_same_jobs() -> None:
    exported = {each.id: each.job for each in read_jobs(str(EXPORT))}

    assert exported.keys() == jobs_of(NEWEST).keys()
    for job_id, job in exported.items():
        assert job is not None
        recorded = jobs_of(NEWEST)[job_id]["times"]
        if not job.trigger.jitter:
            assert fire_times(job, len(recorded)) == recorded


# states that differ


def changed(job_id: str, **changes: Any) -> bytes:
    state = {
        "version": 1, "id": job_id, "func": "json:dumps", "trigger": None, "executor": "default", "args": (),
        "kwargs": {}, "name": "n", "misfire_grace_time": 1, "coalesce": True, "max_instances": 1, "next_run_time": None,
    }  # fmt: skip
    return pickle.dumps({**state, **changes})


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        (pickle.dumps([]), "its state must be a dictionary, got a list"),
        (pickle.dumps({}), "its state has no trigger, next_run_time"),
        (changed("a", version=2), "its state must be of version 1"),
        (changed("a"), "its trigger must be one of APScheduler's own, got a NoneType"),
        (changed("a", max_instances=0), "max_instances must be a whole number from 1 on"),
        (changed("a", func="nothing"), "func must be a callable or a text"),
        (changed("a", next_run_time=3.5), "its next run time must be an aware datetime"),
        (b"", "its pickle is damaged"),
        (b"\x80\x05garbage", "its pickle is damaged"),
        (state_of(NEWEST, "interval")[:-20], "its pickle is damaged"),
    ],
)
def test_a_state_that_cannot_be_used_is_told_of(state: bytes, problem: str) -> None:
    result = found(state)

    assert result.job is None
    assert problem in str(result.problem)


def test_arguments_that_contain_themselves_are_told_of() -> None:
    circle: list[Any] = []
    circle.append(circle)

    assert found(changed("a", args=circle)).problem == "its arguments contain themselves, or are nested too deep"
