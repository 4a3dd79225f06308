"""Runs, their ids and outcomes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apsched.run import Outcome, Run, parse_run_id, run_id

T0 = datetime(2026, 7, 1, 12, tzinfo=UTC)

moments = st.datetimes(
    datetime(1971, 1, 1),  # noqa: DTZ001  hypothesis wants naive bounds
    datetime(9000, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("Australia/Lord_Howe")]),
)


def make_run(**options: datetime | str | None) -> Run:
    return Run(job_id="job", nominal_time=T0, due_time=T0 + timedelta(seconds=1), outcome=Outcome.RUNNING, **options)  # type: ignore[arg-type]  # fewer than a run has


@given(st.text(min_size=1, max_size=191), moments)
def test_the_id_of_a_run_leads_back_to_its_job_and_time(job_id: str, moment: datetime) -> None:
    assert parse_run_id(run_id(job_id, moment)) == (job_id, moment.astimezone(UTC))


@pytest.mark.parametrize("job_id", ["a@b", "@", "a@2026-03-29T01:00:00Z", "Z", " ", "a b/c?d#e"])
def test_job_ids_that_look_like_run_ids_are_told_apart(job_id: str) -> None:
    assert parse_run_id(run_id(job_id, T0)) == (job_id, T0)


def test_the_id_of_a_run_is_in_utc_with_a_fraction_as_needed() -> None:
    moment = datetime(2026, 3, 29, 3, tzinfo=ZoneInfo("Europe/Berlin"))

    assert run_id("job", moment) == "job@2026-03-29T01:00:00Z"
    assert run_id("job", moment + timedelta(microseconds=1500)) == "job@2026-03-29T01:00:00.001500Z"


def test_times_that_clocks_show_twice_give_two_ids() -> None:
    first = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))

    assert run_id("job", first) != run_id("job", first.replace(fold=1))


@pytest.mark.parametrize(
    "text", ["", "job", "job@", "@Z", "job@Z", "job@2026-03-29T01:00:00", "job@soonZ", "2026-03-29T01:00:00Z"]
)
def test_what_is_no_id_of_a_run_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="run_id must look like 'job@2026-03-29T01:00:00Z'") as caught:
        parse_run_id(text)

    assert repr(text) in str(caught.value)


def test_the_idempotency_key_is_the_id() -> None:
    assert make_run().idempotency_key == make_run().id == "job@2026-07-01T12:00:00Z"


def test_lateness_counts_from_the_due_time() -> None:
    assert make_run().lateness is None
    assert make_run(started_at=T0 + timedelta(seconds=3)).lateness == 2


def test_duration_counts_from_the_start() -> None:
    started, finished = T0 + timedelta(seconds=3), T0 + timedelta(seconds=7)

    assert make_run(started_at=started).duration is None
    assert make_run(finished_at=finished).duration is None
    assert make_run(started_at=started, finished_at=finished).duration == 4


def test_why_a_run_ended_is_its_reason_or_the_last_line_of_its_error() -> None:
    assert make_run().why == ""
    assert make_run(error="Traceback ...\n  ...\nValueError: 3\n").why == "ValueError: 3"
    assert make_run(error="ValueError: 3", reason="it was cancelled").why == "it was cancelled"


def test_only_pending_and_running_are_not_final() -> None:
    assert [outcome for outcome in Outcome if not outcome.is_final] == ["pending", "running"]


def test_outcomes_are_their_words() -> None:
    assert Outcome("succeeded") is Outcome.SUCCEEDED
    assert f"{Outcome.TIMED_OUT}" == "timed_out"


@pytest.mark.parametrize("outcome", Outcome)
def test_help_says_what_an_outcome_means(outcome: Outcome) -> None:
    assert Outcome.__doc__ is not None
    assert f"        {outcome.name}: " in Outcome.__doc__
