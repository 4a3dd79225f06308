"""Jobs that code declares are compared with those in a store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from apsched.engine.make_job import Draft, JobMaker
from apsched.engine.sync import SyncReport, compare
from apsched.job import Job, JobDefaults
from tests.ids import stable

T0 = datetime(2026, 7, 1, 12, tzinfo=UTC)
LATER = datetime(2026, 7, 2, 12, tzinfo=UTC)


def work(*args: object, **kwargs: object) -> None: ...


def other_work(*args: object, **kwargs: object) -> None: ...


def draft(job_id: str, now: datetime = LATER, **options: Any) -> Draft:
    parameters = {"func": work, "trigger": "interval", "hours": 1, **options}
    return JobMaker(JobDefaults(), UTC).draft(now, id=job_id, **parameters)


def stored(job_id: str, **options: Any) -> Job:
    return draft(job_id, T0, **options).job


def test_jobs_are_parted_into_added_changed_unchanged_and_removed() -> None:
    drafts = [draft("new"), draft("same"), draft("other", hours=2)]

    report = compare(drafts, [stored("gone"), stored("other"), stored("same")], prune=True)

    assert report == SyncReport(added=("new",), changed=("other",), unchanged=("same",), removed=("gone",))


def test_without_pruning_nothing_is_removed() -> None:
    assert compare([], [stored("gone")], prune=False).removed == ()


@pytest.mark.parametrize(
    "change",
    [
        {"name": "changed"},
        {"func": other_work},
        {"args": [1]},
        {"kwargs": {"a": 1}},
        {"executor": "pool"},
        {"misfire_grace_time": 5},
        {"coalesce": False},
        {"max_instances": 2},
        {"overlap": "allow"},
        {"tags": {"a": "b"}},
        {"keep_runs": 5},
        {"timeout": 5},
        {"minutes": 1},
        {"jitter": 5},
        {"timezone": "Europe/Berlin"},
        {"trigger": "cron", "hours": None},
    ],
    ids=stable,
)
def test_every_option_and_the_schedule_count(change: dict[str, Any]) -> None:
    options = {name: value for name, value in {"hours": 1, **change}.items() if value is not None}
    declared = JobMaker(JobDefaults(), UTC).draft(LATER, **{"func": work, "trigger": "interval", **options}, id="job")

    assert compare([declared], [stored("job")], prune=True).changed == ("job",)


@pytest.mark.parametrize(
    "change", [{"next_run_time": None, "next_nominal_time": None}, {"quarantine": "it cannot run"}, {"jobstore": "x"}]
)
def test_what_has_become_of_a_job_does_not_count(change: dict[str, Any]) -> None:
    job = attrs.evolve(stored("job"), **change)

    assert compare([draft("job")], [job], prune=True).unchanged == ("job",)


def test_a_callable_and_its_reference_are_the_same() -> None:
    job = attrs.evolve(stored("job", func="json:dumps", args=[1]), func="json:dumps")

    assert compare([draft("job", func="json:dumps", args=[1])], [job], prune=True).unchanged == ("job",)


def test_callables_without_a_reference_are_compared_themselves() -> None:
    def make() -> Callable[[], None]:
        return lambda: None

    one, other = make(), make()

    assert compare([draft("job", func=one)], [stored("job", func=one)], prune=True).unchanged == ("job",)
    assert compare([draft("job", func=other)], [stored("job", func=one)], prune=True).changed == ("job",)
