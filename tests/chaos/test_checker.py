"""The checker sees each breach of the promise, and lets pass what is allowed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

from apsched.job import Job
from apsched.retry import Retry
from apsched.run import DEATH, Outcome, Run
from apsched.run import Attempt as Known
from apsched.triggers.after import NEVER, After
from apsched.triggers.interval import IntervalTrigger
from tests.chaos.checker import Report, check
from tests.chaos.courses import Course, Stretch
from tests.chaos.evidence import Evidence
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
    run = Run(job_id="job", nominal_time=at, due_time=at, outcome=Outcome.SUCCEEDED, epoch=1, node=ONE)
    return attrs.evolve(run, **{"claimed_at": at, "started_at": at, **options})


def attempt(second: int, **options: Any) -> Attempt:
    began = float(second)
    return attrs.evolve(Attempt("job", record(second).id, ONE, 1, began, began + 0.5, "end"), **options)


def cut_short(second: int) -> Attempt:
    """Return an attempt whose process died."""
    return attempt(second, ended=None, how="cut short")


def second_start(began: float) -> Attempt:
    """Return a start of the last run on another node, after the first one was taken for dead."""
    return attempt(2, epoch=DEATH + 2, node=TWO, began=began, ended=began + 0.5, number=2)


RUNS = [record(0), record(1), record(2)]
ATTEMPTS = [attempt(0), attempt(1), attempt(2)]
DIED = Known(number=1, outcome=Outcome.ABANDONED, node=ONE, finished_at=moment(9))
RERUN = [*RUNS[:2], record(2, epoch=DEATH + 2, node=TWO, attempts=(DIED,))]
KILL = Fault("kill", 1, 3.0)

FAILURE = Known(number=1, outcome=Outcome.FAILED, node=ONE)
RETRY = course(retry=Retry(2, 1.0))
RETRIED = [*RUNS[:2], record(2, epoch=2, node=TWO, attempts=(FAILURE,))]
FLAWED = [*ATTEMPTS[:2], attempt(2, how="failed")]
AGAIN = attempt(2, epoch=2, node=TWO, began=3.6, number=2)


def judge(
    runs: list[Run],
    attempts: list[Attempt],
    faults: list[Fault] | None = None,
    *courses: Course,
    cancellations: dict[str, int | None] | None = None,
) -> Report:
    known = {each.job.id: each for each in courses or (course(),)}
    return check(Evidence(known, runs, attempts, Faults(faults or []), LEASE, START.timestamp(), cancellations or {}))


def test_nothing_is_found_where_all_is_well() -> None:
    report = judge(RUNS, ATTEMPTS)

    assert report.failures == []
    assert (report.nominal_times, report.starts, report.again) == (3, 3, 0)


@pytest.mark.parametrize(
    ("runs", "attempts", "failure"),
    [
        (RUNS[:2], ATTEMPTS[:2], "lost: job@2026-01-01T00:00:02Z"),
        ([*RUNS, record(3)], [*ATTEMPTS, attempt(3)], "invented: job@2026-01-01T00:00:03Z"),
        ([*RUNS, RUNS[0]], ATTEMPTS, "two records of one id"),
        ([*RUNS, record(3, job_id="other")], ATTEMPTS, "of a job that nobody has added"),
        ([RUNS[0], record(2, first_nominal_time=START, count=3)], [ATTEMPTS[0], ATTEMPTS[2]], "recorded 2 times"),
        ([RUNS[0], record(2, first_nominal_time=moment(1), count=1)], [ATTEMPTS[0], ATTEMPTS[2]], "stands for 1"),
        (RUNS, ATTEMPTS[:2], "of which the ledger has no 'end'"),
        (RUNS, [*ATTEMPTS, attempt(3)], "was started and has no record"),
        (RUNS, [*ATTEMPTS, second_start(10.0)], "written by a zombie"),
        (RERUN, [*ATTEMPTS, second_start(10.0)], "though nothing had happened"),
        (RUNS, [*ATTEMPTS, attempt(2, began=2.1)], "was started twice under epoch 1"),
        (RERUN, [*ATTEMPTS, attrs.evolve(second_start(10.0), number=1)], "as attempt 1 after attempt 1"),
        ([*RUNS[:2], record(2, epoch=DEATH + 1)], ATTEMPTS, "says 1 deaths in its epoch and 0 in its attempts"),
        ([*RUNS[:2], record(2, attempts=(FAILURE,))], ATTEMPTS, "was attempted again after attempt 1 of 1"),
        (RUNS, [*ATTEMPTS[:2], attempt(2, began=1.2)], "overlapping"),
        ([*RUNS[:2], record(2, outcome=Outcome.SKIPPED, reason="x")], ATTEMPTS, "is skipped and was started"),
        ([*RUNS[:2], record(2, outcome=Outcome.SKIPPED)], ATTEMPTS[:2], "does not say why"),
        ([*RUNS[:2], record(2, outcome=Outcome.ABANDONED, reason="x")], ATTEMPTS, "is abandoned"),
        ([*RUNS[:2], record(2, outcome=Outcome.CANCELLED, reason="x")], ATTEMPTS, "is cancelled"),
        ([*RUNS[:2], record(2, outcome=Outcome.FAILED, reason="x")], ATTEMPTS, "is failed"),
        ([*RUNS[:2], record(2, outcome=Outcome.RUNNING, reason="x")], ATTEMPTS, "is running"),
        ([*RUNS[:2], record(2, started_at=moment(1.9))], ATTEMPTS, "early"),
        ([*RUNS[:2], record(2, started_at=moment(199))], ATTEMPTS, "late"),
    ],
)
def test_a_breach_is_seen(runs: list[Run], attempts: list[Attempt], failure: str) -> None:
    assert any(failure in found for found in judge(runs, attempts).failures)


# deaths


def test_a_second_start_after_a_crash_is_counted() -> None:
    report = judge(RERUN, [*ATTEMPTS[:2], cut_short(2), second_start(9.5)], [KILL])

    assert report.failures == []
    assert report.again == 1


def test_a_second_start_before_a_lease_can_be_over_is_a_breach() -> None:
    failures = judge(RERUN, [*ATTEMPTS[:2], cut_short(2), second_start(4.0)], [KILL]).failures

    assert any("nothing had happened" in found for found in failures)


def test_a_late_start_of_a_node_that_stood_still_is_no_breach() -> None:
    attempts = [*ATTEMPTS[:2], second_start(9.5), attempt(2, began=12.1, ended=12.2, how="cut short")]

    assert judge(RERUN, attempts, [Fault("freeze", 1, 2.0, 12.0)]).failures == []
    assert judge(RERUN, attempts).failures


def test_abandon_allows_no_second_start() -> None:
    attempts = [*ATTEMPTS[:2], cut_short(2), second_start(9.5)]

    failures = judge(RERUN, attempts, [KILL], course(on_crash="abandon")).failures

    assert failures == ["started 2 times in spite of 'abandon': job@2026-01-01T00:00:02Z"]


def test_a_run_is_abandoned_only_if_its_node_was_hit() -> None:
    given_up = record(2, outcome=Outcome.ABANDONED, reason="x", epoch=DEATH + 1, finished_at=moment(9))
    runs, attempts = [*RUNS[:2], given_up], [*ATTEMPTS[:2], cut_short(2)]

    assert judge(runs, attempts, [KILL], course(on_crash="abandon")).failures == []
    assert any("was abandoned" in found for found in judge(runs, attempts, [], course(on_crash="abandon")).failures)


def test_a_run_may_be_given_up_after_five_deaths() -> None:
    deaths = tuple(attrs.evolve(DIED, number=number) for number in range(1, 5))
    given_up = record(2, outcome=Outcome.ABANDONED, reason="x", finished_at=moment(9), attempts=deaths)

    def failures(number: int) -> list[str]:
        runs = [*RUNS[:2], attrs.evolve(given_up, epoch=number * DEATH + 1, attempts=deaths[: number - 1])]
        return judge(runs, ATTEMPTS[:2], [KILL]).failures

    assert failures(5) == []
    assert any("is abandoned" in found for found in failures(4))


def test_a_start_after_the_run_was_abandoned_is_a_breach_unless_the_node_stood_still() -> None:
    given_up = record(2, outcome=Outcome.ABANDONED, reason="x", epoch=DEATH + 1, finished_at=moment(8))
    runs, attempts = [*RUNS[:2], given_up], [*ATTEMPTS[:2], attempt(2, began=8.5)]
    stood_still = Fault("freeze", 1, 2.0, 8.4)

    failures = judge(runs, attempts, [], course(on_crash="abandon")).failures
    report = judge(runs, attempts, [stood_still], course(on_crash="abandon"))

    assert any("after it was abandoned" in found for found in failures)
    assert (report.failures, report.late_starts) == ([], 1)


def test_short_faults_in_a_row_make_a_long_silence() -> None:
    faults = Faults([Fault("freeze", 1, 10.0, 11.0), Fault("cut", 1, 12.0, 13.0), Fault("lock", None, 13.5, 14.0)])

    assert faults.can_have_silenced(ONE, 5.0, 20.0, LEASE)
    assert not faults.can_have_silenced(TWO, 5.0, 20.0, LEASE)
    assert not faults.can_have_silenced(ONE, 5.0, 12.5, LEASE)


# retries


@pytest.mark.parametrize("on_crash", ["rerun", "abandon"])
def test_an_attempt_after_one_that_failed_is_counted(on_crash: str) -> None:
    report = judge(RETRIED, [*FLAWED, AGAIN], [], course(retry=Retry(2, 1.0), on_crash=on_crash))

    assert report.failures == []
    assert (report.retried, report.again) == (1, 0)


@pytest.mark.parametrize(
    ("runs", "attempts", "failure"),
    [
        (RETRIED, [*FLAWED, attrs.evolve(AGAIN, began=3.0)], "was attempted again 0.500 s after attempt 1"),
        (RETRIED, [*ATTEMPTS, AGAIN], "has failed in attempt 1, of which the ledger has no end"),
        (RUNS, [*FLAWED, AGAIN], "was started as attempt 2 and has a record of 1"),
        ([*RUNS[:2], record(2, attempts=(attrs.evolve(FAILURE, number=2),))], ATTEMPTS, "has attempts [2]"),
        (
            [*RUNS[:2], record(2, epoch=3, attempts=(FAILURE, attrs.evolve(FAILURE, number=2)))],
            [*FLAWED, AGAIN],
            "was attempted again after attempt 2 of 2",
        ),
        (
            [*RUNS[:2], record(2, outcome=Outcome.FAILED, reason="x")],
            FLAWED,
            "has failed for good after attempt 1 of 2",
        ),
    ],
)
def test_a_wrong_attempt_is_seen(runs: list[Run], attempts: list[Attempt], failure: str) -> None:
    assert any(failure in found for found in judge(runs, attempts, [], RETRY).failures)


def test_a_run_may_fail_in_its_last_attempt() -> None:
    failed = attrs.evolve(RETRIED[2], outcome=Outcome.FAILED, reason="x")

    assert judge([*RUNS[:2], failed], [*FLAWED, attrs.evolve(AGAIN, how="failed")], [], RETRY).failures == []


# followers

FOLLOWER = Course(
    Job(id="after", name="after", func="os:getpid", trigger=After("job", "success")),
    [Stretch(After("job", "success"), NEVER)],
)
FOLLOWING = [
    record(second, job_id="after", due_time=moment(second + 0.5), started_at=moment(second + 0.6))
    for second in range(3)
]
FOLLOWED = [
    attrs.evolve(attempt(second, began=second + 0.6, ended=second + 0.7), job_id="after", run_id=FOLLOWING[second].id)
    for second in range(3)
]


def test_what_follows_a_run_is_owed() -> None:
    report = judge([*RUNS, *FOLLOWING], [*ATTEMPTS, *FOLLOWED], [], course(), FOLLOWER)

    assert report.failures == []
    assert (report.nominal_times, report.followed) == (6, 3)


@pytest.mark.parametrize(
    ("runs", "failure"),
    [
        ([*RUNS, *FOLLOWING[:2]], "lost: after@2026-01-01T00:00:02Z"),
        (
            [*RUNS[:2], record(2, outcome=Outcome.SKIPPED, reason="x"), *FOLLOWING],
            "invented: after@2026-01-01T00:00:02Z",
        ),
    ],
)
def test_what_follows_nothing_or_not_is_seen(runs: list[Run], failure: str) -> None:
    assert any(failure in found for found in judge(runs, [*ATTEMPTS, *FOLLOWED], [], course(), FOLLOWER).failures)


def test_what_begins_before_that_which_it_follows_has_ended_is_seen() -> None:
    early = attrs.evolve(FOLLOWED[2], began=2.4)

    failures = judge([*RUNS, *FOLLOWING], [*ATTEMPTS, *FOLLOWED[:2], early], [], course(), FOLLOWER).failures

    assert failures == ["after@2026-01-01T00:00:02Z has begun before job@2026-01-01T00:00:02Z had ended"]


# cancelling, queueing and replacing


def test_what_waited_when_its_job_was_removed_is_recorded_as_cancelled() -> None:
    removed = course()
    removed.is_removed = True
    runs = [*RUNS[:2], record(2, outcome=Outcome.CANCELLED, reason="x")]

    assert judge(runs, ATTEMPTS[:2], [], removed).failures == []


def test_what_somebody_has_cancelled_is_not_started_again() -> None:
    cancelled = attrs.evolve(RETRIED[2], outcome=Outcome.CANCELLED, reason="x", finished_at=moment(4))
    runs = [*RUNS[:2], cancelled]

    def failures(epoch: int | None) -> list[str]:
        return judge(runs, [*FLAWED, AGAIN], [], RETRY, cancellations={cancelled.id: epoch}).failures

    assert failures(2) == failures(None) == []
    assert failures(1) == [f"{cancelled.id} was started again though it had been cancelled under epoch 1"]


def test_a_thread_that_was_cancelled_is_in_nobodys_way() -> None:
    cancelled = record(1, outcome=Outcome.CANCELLED, reason="x", finished_at=moment(1.8))
    attempts = [ATTEMPTS[0], attempt(1, ended=9.0), ATTEMPTS[2]]

    assert judge([RUNS[0], cancelled, RUNS[2]], attempts, cancellations={cancelled.id: 1}).failures == []


def test_what_queues_starts_in_its_order() -> None:
    attempts = [ATTEMPTS[0], attempt(1, began=2.6, ended=2.7), attempt(2, began=2.0, ended=2.5)]

    failures = judge(RUNS, attempts, [], course(overlap="queue_all")).failures

    assert len(failures) == 1
    assert "which came later" in failures[0]


def test_what_is_queued_is_not_skipped() -> None:
    runs = [*RUNS[:2], record(2, outcome=Outcome.SKIPPED, reason="x", started_at=None)]

    assert judge(runs, ATTEMPTS[:2], [], course(overlap="queue_one")).failures == []
    assert judge(runs, ATTEMPTS[:2], [], course(overlap="queue_all")).failures


def test_a_run_ends_soon_after_another_one_has_replaced_it() -> None:
    def failures(ended: float) -> list[str]:
        attempts = [ATTEMPTS[0], attempt(1, ended=ended), ATTEMPTS[2]]
        return judge(RUNS, attempts, [], course(overlap="cancel_running")).failures

    assert failures(2.9) == []
    assert any("had replaced it" in found for found in failures(30.0))
