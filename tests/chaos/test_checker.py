"""The checker sees each breach of the promise, and lets pass what is allowed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

from apsched.job import Job
from apsched.run import Outcome, Run
from apsched.triggers.interval import IntervalTrigger
from tests.chaos.checker import Checker, Report
from tests.chaos.courses import Course, Stretch
from tests.chaos.faults import Fault, Faults
from tests.chaos.ledger import Attempt

START = datetime(2026, 1, 1, tzinfo=UTC)
ONE, TWO = "host:1:a", "host:2:b"
LEASE = 6.0

TRIGGER = IntervalTrigger(seconds=1, start_date=START, timezone="UTC")


def moment(second: float) -> datetime:
    return START + timedelta(seconds=second)


def course(**options: Any) -> Course:
    job = Job(id="job", name="job", func="os:getpid", trigger=TRIGGER, **options)
    return Course(job, [Stretch(TRIGGER, START, moment(3))])


def record(second: int, **options: Any) -> Run:
    at = moment(second)
    run = Run(job_id="job", nominal_time=at, due_time=at, outcome=Outcome.SUCCEEDED, epoch=1, node=ONE, started_at=at)
    return attrs.evolve(run, **options)


def attempt(second: int, **options: Any) -> Attempt:
    began = float(second)
    return attrs.evolve(Attempt("job", record(second).id, ONE, 1, began, began + 0.5, is_whole=True), **options)


RUNS = [record(0), record(1), record(2)]
ATTEMPTS = [attempt(0), attempt(1), attempt(2)]
RERUN = [*RUNS[:2], record(2, epoch=3, node=TWO)]
KILL = Fault("kill", 1, 3.0)


def check(
    runs: list[Run], attempts: list[Attempt], faults: list[Fault] | None = None, what: Course | None = None
) -> Report:
    offset = START.timestamp()
    return Checker({"job": what or course()}, runs, attempts, Faults(faults or []), LEASE, offset).check()


def test_nothing_is_found_where_all_is_well() -> None:
    report = check(RUNS, ATTEMPTS)

    assert report.failures == []
    assert (report.nominal_times, report.starts, report.again) == (3, 3, 0)


@pytest.mark.parametrize(
    ("runs", "attempts", "failure"),
    [
        (RUNS[:2], ATTEMPTS[:2], "lost: job@2026-01-01T00:00:02Z"),
        ([*RUNS, record(3)], [*ATTEMPTS, attempt(3)], "invented: job@2026-01-01T00:00:03Z"),
        ([*RUNS, RUNS[0]], ATTEMPTS, "two records of one id"),
        ([RUNS[0], record(2, first_nominal_time=START, count=3)], [ATTEMPTS[0], ATTEMPTS[2]], "recorded 2 times"),
        ([RUNS[0], record(2, first_nominal_time=moment(1), count=1)], [ATTEMPTS[0], ATTEMPTS[2]], "stands for 1"),
        (RUNS, ATTEMPTS[:2], "of which the ledger has no end"),
        (RUNS, [*ATTEMPTS, attempt(2, epoch=3, node=TWO, began=10.0)], "written by a zombie"),
        (RERUN, [*ATTEMPTS, attempt(2, epoch=3, node=TWO, began=10.0)], "though nothing had happened"),
        (RERUN, [*ATTEMPTS[:2], attempt(2, epoch=3, node=TWO), attempt(2, began=2.1)], "epoch 1 after epoch 3"),
        (RUNS, [*ATTEMPTS[:2], attempt(2, began=1.2)], "overlapping"),
        ([*RUNS[:2], record(2, outcome=Outcome.SKIPPED, reason="x")], ATTEMPTS, "is skipped and was started"),
        ([*RUNS[:2], record(2, outcome=Outcome.SKIPPED)], ATTEMPTS[:2], "does not say why"),
        ([*RUNS[:2], record(2, outcome=Outcome.ABANDONED, reason="x")], ATTEMPTS, "is abandoned"),
        ([*RUNS[:2], record(2, outcome=Outcome.RUNNING, reason="x")], ATTEMPTS, "is running"),
        ([*RUNS[:2], record(2, started_at=moment(99))], ATTEMPTS, "late"),
    ],
)
def test_a_breach_is_seen(runs: list[Run], attempts: list[Attempt], failure: str) -> None:
    assert any(failure in found for found in check(runs, attempts).failures)


def test_a_second_start_after_a_crash_is_counted() -> None:
    attempts = [*ATTEMPTS[:2], attempt(2, ended=None, is_whole=False), attempt(2, epoch=3, node=TWO, began=9.5)]

    report = check(RERUN, attempts, [KILL])

    assert report.failures == []
    assert report.again == 1


def test_a_second_start_before_a_lease_can_be_over_is_a_breach() -> None:
    attempts = [*ATTEMPTS[:2], attempt(2, ended=None), attempt(2, epoch=3, node=TWO, began=4.0)]

    assert any("nothing had happened" in found for found in check(RERUN, attempts, [KILL]).failures)


def test_abandon_allows_no_second_start() -> None:
    attempts = [*ATTEMPTS[:2], attempt(2, ended=None), attempt(2, epoch=3, node=TWO, began=9.5)]

    failures = check(RERUN, attempts, [KILL], course(on_crash="abandon")).failures

    assert failures == ["started 2 times in spite of 'abandon': job@2026-01-01T00:00:02Z"]


def test_a_start_after_the_run_was_abandoned_is_a_breach_unless_the_node_stood_still() -> None:
    given_up = record(2, outcome=Outcome.ABANDONED, reason="x", epoch=2, finished_at=moment(8))
    runs, attempts = [*RUNS[:2], given_up], [*ATTEMPTS[:2], attempt(2, began=8.5)]
    stood_still = Fault("freeze", 1, 2.0, 8.4)

    failures = check(runs, attempts, what=course(on_crash="abandon")).failures
    report = check(runs, attempts, [stood_still], course(on_crash="abandon"))

    assert any("after it was abandoned" in found for found in failures)
    assert (report.failures, report.late_starts) == ([], 1)


def test_what_waited_when_its_job_was_removed_is_recorded_as_cancelled() -> None:
    removed = course()
    removed.is_removed = True
    runs = [*RUNS[:2], record(2, outcome=Outcome.CANCELLED, reason="x")]

    assert check(runs, ATTEMPTS[:2], what=removed).failures == []
    assert check(runs, ATTEMPTS[:2]).failures


def test_short_faults_in_a_row_make_a_long_silence() -> None:
    faults = Faults([Fault("freeze", 1, 10.0, 11.0), Fault("cut", 1, 12.0, 13.0), Fault("lock", None, 13.5, 14.0)])

    assert faults.can_have_silenced(ONE, 5.0, 20.0, LEASE)
    assert not faults.can_have_silenced(TWO, 5.0, 20.0, LEASE)
    assert not faults.can_have_silenced(ONE, 5.0, 12.5, LEASE)
