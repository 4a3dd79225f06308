"""Event codes and classes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from apsched import events
from apsched.events import (
    EVENT_ALL,
    EVENT_JOB_MISSED,
    EVENT_SCHEDULER_STARTED,
    JobEvent,
    JobExecutionEvent,
    JobSubmissionEvent,
    SchedulerEvent,
)
from apsched.run import Outcome, Run

T0 = datetime(2026, 7, 1, 12, tzinfo=UTC)

OF_APSCHEDULER_3 = {  # printed by APScheduler 3.11.3
    "EVENT_SCHEDULER_STARTED": 1,
    "EVENT_SCHEDULER_START": 1,
    "EVENT_SCHEDULER_SHUTDOWN": 2,
    "EVENT_SCHEDULER_PAUSED": 4,
    "EVENT_SCHEDULER_RESUMED": 8,
    "EVENT_EXECUTOR_ADDED": 16,
    "EVENT_EXECUTOR_REMOVED": 32,
    "EVENT_JOBSTORE_ADDED": 64,
    "EVENT_JOBSTORE_REMOVED": 128,
    "EVENT_ALL_JOBS_REMOVED": 256,
    "EVENT_JOB_ADDED": 512,
    "EVENT_JOB_REMOVED": 1024,
    "EVENT_JOB_MODIFIED": 2048,
    "EVENT_JOB_EXECUTED": 4096,
    "EVENT_JOB_ERROR": 8192,
    "EVENT_JOB_MISSED": 16384,
    "EVENT_JOB_SUBMITTED": 32768,
    "EVENT_JOB_MAX_INSTANCES": 65536,
}


def codes() -> dict[str, int]:
    return {name: value for name, value in vars(events).items() if name.startswith("EVENT_") and name != "EVENT_ALL"}


@pytest.mark.parametrize("name", OF_APSCHEDULER_3)
def test_a_constant_of_apscheduler_3_has_its_number(name: str) -> None:
    assert codes()[name] == OF_APSCHEDULER_3[name]


def test_constants_beyond_apscheduler_3_have_numbers_of_their_own() -> None:
    further = [value for name, value in codes().items() if name not in OF_APSCHEDULER_3]

    assert len(set(further)) == len(further)
    assert not set(further) & set(OF_APSCHEDULER_3.values())


def test_every_number_is_one_bit_of_all() -> None:
    assert all(value.bit_count() == 1 for value in codes().values())
    assert sum(set(codes().values())) == EVENT_ALL


def test_every_number_has_a_name() -> None:
    assert {SchedulerEvent(value).name for value in codes().values()} == {*codes()} - {"EVENT_SCHEDULER_START"}


def test_a_number_that_is_not_known_is_its_own_name() -> None:
    assert SchedulerEvent(2**40).name == str(2**40)


def test_events_have_the_attributes_of_apscheduler_3() -> None:
    run = Run(job_id="job", nominal_time=T0, due_time=T0, outcome=Outcome.MISSED)
    started = SchedulerEvent(EVENT_SCHEDULER_STARTED, "alias")
    submitted = JobSubmissionEvent(
        events.EVENT_JOB_SUBMITTED, job_id="job", jobstore="default", scheduled_run_times=[T0], runs=(run,)
    )
    missed = JobExecutionEvent(EVENT_JOB_MISSED, job_id="job", jobstore="default", scheduled_run_time=T0, run=run)

    assert (started.code, started.alias) == (1, "alias")
    assert (submitted.job_id, submitted.jobstore, submitted.scheduled_run_times) == ("job", "default", [T0])
    assert (missed.job_id, missed.jobstore, missed.scheduled_run_time) == ("job", "default", T0)
    assert (missed.retval, missed.exception, missed.traceback) == (None, None, None)


def test_events_are_made_as_in_apscheduler_3() -> None:
    submitted = JobSubmissionEvent(events.EVENT_JOB_SUBMITTED, "job", "default", [T0])
    failed = JobExecutionEvent(events.EVENT_JOB_ERROR, "job", "default", T0, None, LookupError("no"), "the traceback")

    assert (submitted.job_id, submitted.scheduled_run_times, submitted.runs) == ("job", [T0], ())
    assert (failed.scheduled_run_time, str(failed.exception), failed.traceback) == (T0, "no", "the traceback")
    assert (failed.run.id, failed.run.outcome) == ("job@2026-07-01T12:00:00Z", Outcome.FAILED)
    assert JobEvent(events.EVENT_JOB_ADDED, "job", "default").alias is None


def test_events_are_of_the_classes_of_apscheduler_3() -> None:
    assert issubclass(JobExecutionEvent, JobEvent)
    assert issubclass(JobSubmissionEvent, JobEvent)
    assert issubclass(JobEvent, SchedulerEvent)


def test_help_names_every_constant() -> None:
    assert events.__doc__ is not None
    assert all(f"`{name}`" in events.__doc__ for name in (*codes(), "EVENT_ALL"))
