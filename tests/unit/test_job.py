"""Jobs as values and as handles."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from apsched.exceptions import SchedulerStateError
from apsched.job import Job, JobDefaults
from apsched.triggers.interval import IntervalTrigger

T0 = datetime(2026, 7, 1, 12, tzinfo=UTC)
TRIGGER = IntervalTrigger(hours=1, start_date=T0, timezone="UTC")


def work() -> None: ...


def make_job(id: str = "job", **options: Any) -> Job:
    given: dict[str, Any] = {"id": id, "name": "work", "func": work, "trigger": TRIGGER, "next_run_time": T0, **options}
    return Job(**given)


class Face:
    """Notes the verbs that are called, and answers with a job of another name."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def modify_job(self, job_id: str, jobstore: str | None = None, **changes: Any) -> Job:
        return self.answer("modify", job_id, jobstore, changes)

    def reschedule_job(self, job_id: str, jobstore: str | None = None, trigger: Any = None, **trigger_args: Any) -> Job:
        return self.answer("reschedule", job_id, jobstore, trigger, trigger_args)

    def pause_job(self, job_id: str, jobstore: str | None = None) -> Job:
        return self.answer("pause", job_id, jobstore)

    def resume_job(self, job_id: str, jobstore: str | None = None) -> Job | None:
        return self.answer("resume", job_id, jobstore)

    def remove_job(self, job_id: str, jobstore: str | None = None) -> None:
        self.answer("remove", job_id, jobstore)

    def answer(self, *call: Any) -> Job:
        self.calls.append(call)
        return make_job(name="changed", face=self)


def test_jobs_are_equal_if_they_have_the_same_id() -> None:
    assert make_job(name="one") == make_job(name="other")
    assert make_job("a") != make_job("b")
    assert make_job() != "job"
    assert len({make_job(), make_job(name="other")}) == 1


def test_a_copy_is_a_job_of_its_own() -> None:
    job = make_job(tags={"a": "b"})

    copy = job.copy()
    copy.name = "changed"

    assert (job.name, copy.tags) == ("work", {"a": "b"})


def test_a_job_becomes_another_in_every_value() -> None:
    job, other = make_job(), make_job("other", name="other", max_instances=7, face=Face())

    job.become(other)

    assert repr(job) == repr(other)
    assert (job.max_instances, job.func, job.trigger) == (7, other.func, other.trigger)


def test_a_job_shows_its_state() -> None:
    assert repr(make_job()) == "<Job (id=job name=work)>"
    assert str(make_job()) == "work (trigger: interval[1:00:00], next run at: 2026-07-01 12:00:00 UTC)"
    assert str(make_job(next_run_time=None)) == "work (trigger: interval[1:00:00], paused)"
    assert str(make_job(is_pending=True)) == "work (trigger: interval[1:00:00], pending)"
    assert str(make_job(is_pending=True, next_run_time=None)) == "work (trigger: interval[1:00:00], paused)"
    assert str(make_job(quarantine="why")) == "work (trigger: interval[1:00:00], quarantined: why)"


def test_the_old_name_of_is_pending_works() -> None:
    assert make_job(is_pending=True).pending
    assert not make_job().pending


def test_a_job_names_its_callable_if_that_can_be_imported() -> None:
    assert make_job(func="json:dumps").func_ref == "json:dumps"
    assert make_job(func=json.dumps).func_ref == "json:dumps"
    assert make_job(func=lambda: None).func_ref is None


def test_a_handle_calls_the_verbs_of_its_scheduler() -> None:
    face = Face()
    job = make_job(face=face, jobstore="store")

    assert job.modify(name="changed") is job
    assert (job.name, job.jobstore) == ("changed", None)
    job.reschedule("cron", hour=3)
    job.pause()
    job.resume()
    job.remove()

    assert face.calls == [
        ("modify", "job", "store", {"name": "changed"}),
        ("reschedule", "job", None, "cron", {"hour": 3}),
        ("pause", "job", None),
        ("resume", "job", None),
        ("remove", "job", None),
    ]


@pytest.mark.parametrize(
    ("method", "given", "verb"),
    [
        (Job.modify, {"name": "a"}, "modify_job"),
        (Job.reschedule, {"trigger": "date"}, "reschedule_job"),
        (Job.pause, {}, "pause_job"),
        (Job.resume, {}, "resume_job"),
        (Job.remove, {}, "remove_job"),
    ],
)
def test_a_job_of_no_blocking_scheduler_names_the_verb_to_use(
    method: Callable[..., object], given: dict[str, Any], verb: str
) -> None:
    with pytest.raises(SchedulerStateError, match=rf"use await scheduler.{verb}\('job'"):
        method(make_job(), **given)


def test_defaults_are_taken_from_mappings() -> None:
    assert JobDefaults.of(None) == JobDefaults()
    assert JobDefaults.of({"max_instances": 3, "coalesce": False}) == JobDefaults(max_instances=3, coalesce=False)
    defaults = JobDefaults(keep_runs=1)
    assert JobDefaults.of(defaults) is defaults


def test_wrong_defaults_are_refused() -> None:
    with pytest.raises(TypeError, match="job_defaults has no option 'max_instance'; there are: misfire_grace_time, "):
        JobDefaults.of({"max_instance": 3})
    with pytest.raises(ValueError, match="max_instances must be a whole number from 1 on, got 0"):
        JobDefaults.of({"max_instances": 0})
