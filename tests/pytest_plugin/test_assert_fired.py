"""`assert_fired` holds what it is asked, and otherwise says what became of the job."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apsched import Outcome, Run
from apsched.testing import assert_fired

DAY = datetime(2026, 1, 1, tzinfo=UTC)


def run(minute: int, outcome: Outcome, job_id: str = "job", **more: Any) -> Run:
    moment = DAY + timedelta(minutes=minute)
    if outcome in (Outcome.SUCCEEDED, Outcome.FAILED):
        more = {"started_at": moment, "finished_at": moment, **more}
    return Run(job_id=job_id, nominal_time=moment, due_time=moment, outcome=outcome, **more)


RUNS = [
    run(2, Outcome.MISSED, reason="it was 7 s late"),
    run(1, Outcome.SUCCEEDED),
    run(3, Outcome.FAILED, error="Traceback\n  ...\nValueError: no\n"),
    run(1, Outcome.SUCCEEDED, job_id="other"),
]


@pytest.mark.parametrize(
    "expected",
    [
        {},
        {"times": 2},
        {"at": [DAY + timedelta(minutes=3), DAY + timedelta(minutes=1)]},
        {"at": ["2026-01-01 00:01", "2026-01-01 01:03+01:00"], "times": 2},
    ],
)
def test_it_says_nothing_where_all_is_as_expected(expected: dict[str, Any]) -> None:
    assert_fired(RUNS, "job", **expected)


def test_it_takes_one_time_and_an_outcome() -> None:
    assert_fired(RUNS, "other", at="2026-01-01 00:01", outcome="succeeded")
    assert_fired(RUNS, "nobody", times=0)
    assert_fired(RUNS, "nobody", at=[])


def test_a_run_under_way_counts() -> None:
    assert_fired([run(1, Outcome.RUNNING)], "job", times=1)


@pytest.mark.parametrize(
    ("job_id", "expected", "message"),
    [
        ("job", {"times": 1}, "job 'job' fired 2 times, not 1 time; what became of it:\n"),
        ("job", {"at": "2026-01-01 00:01"}, "job 'job' did not fire at 2026-01-01 00:01:00+00:00 and at no other time"),
        ("job", {"outcome": "succeeded"}, "job 'job' has 1 run that ended in another way than 'succeeded'; what"),
        ("jobs", {}, "job 'jobs' never fired; there are runs of 'job', 'other'"),
    ],
)
def test_it_says_what_is_not_as_expected(job_id: str, expected: dict[str, Any], message: str) -> None:
    with pytest.raises(AssertionError) as raised:
        assert_fired(RUNS, job_id, **expected)

    assert str(raised.value).startswith(message)


def test_it_says_what_became_of_the_job() -> None:
    with pytest.raises(AssertionError) as raised:
        assert_fired(RUNS, "job", times=3)

    assert str(raised.value).splitlines()[1:] == [
        "  2026-01-01 00:01:00+00:00  succeeded",
        "  2026-01-01 00:02:00+00:00  missed  it was 7 s late",
        "  2026-01-01 00:03:00+00:00  failed  ValueError: no",
    ]


def test_it_says_that_there_are_no_runs() -> None:
    with pytest.raises(AssertionError, match="job 'job' never fired; there are no runs at all"):
        assert_fired([], "job")


def test_it_refuses_an_outcome_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="'fine' is not a valid Outcome"):
        assert_fired(RUNS, "job", outcome="fine")
