"""The state of a job, as job stores for APScheduler 3 pickle it."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from apsched.exceptions import TransientJobError
from apsched.job import Job
from apsched.triggers.interval import IntervalTrigger

T0 = datetime(2026, 7, 1, 12, tzinfo=UTC)
OF_3X = {
    "version": 1,
    "id": "job",
    "func": f"{__name__}:work",
    "trigger": IntervalTrigger(hours=1, start_date=T0, timezone="UTC"),
    "executor": "pool",
    "args": [1],
    "kwargs": {"two": 2},
    "name": "a name",
    "misfire_grace_time": 5,
    "coalesce": False,
    "max_instances": 3,
    "next_run_time": T0,
}


def work(*args: object, **kwargs: object) -> None: ...


class Worker:
    def work(self, value: int) -> int:
        return value


def restored(state: dict[str, Any]) -> Job:
    job = Job.__new__(Job)
    job.__setstate__(state)
    return job


def test_a_state_of_apscheduler_3_makes_a_job_with_default_options() -> None:
    job = restored(OF_3X)

    assert (job.func, job.args, job.next_nominal_time, job.overlap) == (work, (1,), T0, "skip")
    assert (job.jobstore, job._jobstore_alias, job._scheduler) == (None, None, None)
    assert OF_3X.items() <= {**job.__getstate__(), "args": [1]}.items()


def test_a_pickled_job_keeps_its_values() -> None:
    job = attrs.evolve(restored(OF_3X), tags={"a": "b"}, keep_runs=3, overlap="queue_one", jobstore="mine")

    back = pickle.loads(pickle.dumps(job))

    assert back.__getstate__() == job.__getstate__()
    assert back.jobstore is None


def test_a_method_of_an_instance_is_kept_with_the_instance() -> None:
    worker = Worker()

    state = attrs.evolve(restored(OF_3X), func=worker.work).__getstate__()

    assert state["func"] == f"{__name__}:Worker.work"
    assert state["args"] == (worker, 1)


def test_a_callable_without_a_name_has_no_state() -> None:
    with pytest.raises(TransientJobError, match="define it at module level"):
        attrs.evolve(restored(OF_3X), func=lambda: None).__getstate__()


def test_a_callable_that_is_not_found_stays_a_reference() -> None:
    assert restored({**OF_3X, "func": "apsched.no_such_module:run"}).func == "apsched.no_such_module:run"


def test_a_state_of_a_later_version_is_refused() -> None:
    with pytest.raises(ValueError, match="must be of version 1, got 2"):
        restored({**OF_3X, "version": 2})


def test_the_names_of_apscheduler_3_lead_to_what_they_mean() -> None:
    job = restored(OF_3X)
    scheduler: Any = object()

    job._jobstore_alias, job._scheduler = "mine", scheduler

    assert (job.jobstore, job._jobstore_alias, job._scheduler) == ("mine", "mine", scheduler)
