"""What people are told of a job and of one nominal time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from apsched.engine.explain import explain, next_times
from apsched.engine.plan import due_time
from apsched.job import Job
from apsched.run import Outcome, Run
from apsched.triggers.base import BaseTrigger
from apsched.triggers.cron import CronTrigger
from apsched.triggers.date import DateTrigger
from apsched.triggers.interval import IntervalTrigger

T0 = datetime(2026, 7, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
BERLIN = ZoneInfo("Europe/Berlin")


def hourly(**options: Any) -> IntervalTrigger:
    return IntervalTrigger(hours=1, start_date=T0, timezone="UTC", **options)


def make_job(trigger: BaseTrigger | None = None, due: datetime | None = T0, **options: Any) -> Job:
    trigger = hourly() if trigger is None else trigger
    return Job(id="job", name="job", func="m:f", trigger=trigger, next_run_time=due, next_nominal_time=due, **options)


def tell(job: Job | None, when: datetime | None = None, *runs: Run) -> list[str]:
    return explain(job, "job", when, runs, 2).text.splitlines()


def told_of(job: Job | None, when: datetime, *runs: Run) -> str:
    return tell(job, when, *runs)[1]


def test_the_next_times_are_those_of_the_trigger() -> None:
    assert next_times(make_job(), 3) == [T0, T0 + HOUR, T0 + 2 * HOUR]
    assert next_times(make_job(hourly(end_date=T0 + HOUR)), 3) == [T0, T0 + HOUR]
    assert next_times(make_job(due=None), 3) == []


def test_an_explanation_holds_what_it_tells_of() -> None:
    job, run = make_job(), Run(job_id="job", nominal_time=T0, due_time=T0, outcome=Outcome.PENDING)

    explanation = explain(job, "job", T0, [run], 2)

    assert (explanation.job, explanation.next_times, explanation.runs) == (job, (T0, T0 + HOUR), (run,))
    assert str(explanation) == explanation.text


def test_a_job_tells_what_comes_next() -> None:
    expected = "Job 'job' (interval[1:00:00]) runs next at 2026-07-01 12:00:00+00:00, 2026-07-01 13:00:00+00:00"

    assert tell(make_job()) == [f"{expected}."]
    assert tell(make_job(hourly(jitter=60))) == [f"{expected}, each up to 60 s later."]


def test_a_job_tells_what_comes_next_without_being_asked_for_times() -> None:
    assert explain(make_job(), "job", None, [], 0).text.endswith("runs next at 2026-07-01 12:00:00+00:00.")


def test_a_paused_job_says_so() -> None:
    assert tell(make_job(due=None)) == ["Job 'job' is paused; resume_job lets it run again."]


def test_a_quarantined_job_says_why() -> None:
    assert tell(make_job(quarantine="it cannot run")) == ["Job 'job' is quarantined: it cannot run."]


def test_a_job_that_is_gone_is_said_to_be() -> None:
    sentences = tell(None, T0)

    assert sentences[0].startswith("There is no job 'job'")
    assert sentences[1] == "2026-07-01 12:00:00+00:00: no record is kept of it."


def test_a_record_tells_what_became_of_the_time() -> None:
    options: dict[str, Any] = {"job_id": "job", "nominal_time": T0, "due_time": T0}
    started = T0 + timedelta(seconds=1.5)

    running = Run(**options, outcome=Outcome.RUNNING, started_at=started, node="node")
    ended = Run(
        **options,
        outcome=Outcome.SUCCEEDED,
        started_at=started,
        finished_at=started + timedelta(seconds=2),
        node="node",
    )
    missed = Run(**options, outcome=Outcome.MISSED, reason="too late", first_nominal_time=T0 - 2 * HOUR, count=3)
    many = Run(**options, outcome=Outcome.COALESCED, first_nominal_time=T0 - 9 * HOUR, count=None)

    when = "2026-07-01 12:00:00+00:00"
    assert told_of(None, T0, running) == f"{when}: running; started 1.500 s after it was due on node node."
    assert told_of(None, T0, ended) == (
        f"{when}: succeeded; started 1.500 s after it was due on node node and took 2.000 s."
    )
    assert told_of(None, T0, missed) == f"{when} (one of 3 nominal times in one record): missed: too late."
    assert told_of(None, T0, many) == f"{when} (one of more than 1000 nominal times in one record): coalesced."


def test_a_time_to_come_is_told_with_its_jitter() -> None:
    trigger = hourly(jitter=600)
    due = due_time("job", trigger, T0 + HOUR)

    assert told_of(make_job(trigger), T0 + HOUR).endswith(f": will be due at {due.isoformat(sep=' ')}.")


def test_a_next_run_time_beside_the_grid_will_run() -> None:
    moment = T0 + timedelta(minutes=7)

    assert told_of(make_job(hourly(jitter=600), moment), moment).endswith(": will be due at 2026-07-01 12:07:00+00:00.")


def test_a_time_beside_the_grid_is_told_from_one_on_it() -> None:
    assert told_of(make_job(), T0 + timedelta(minutes=7)) == (
        "2026-07-01 12:07:00+00:00 is no nominal time of the trigger interval[1:00:00]; "
        "the next one is 2026-07-01 13:00:00+00:00."
    )


def test_a_time_after_the_last_one_has_none_after_it() -> None:
    assert told_of(make_job(hourly(end_date=T0)), T0 + HOUR).endswith("; there is none after it.")
    assert told_of(make_job(DateTrigger(T0)), T0 + HOUR).endswith("; there is none after it.")


def test_a_time_will_not_run_while_the_job_is_paused() -> None:
    assert told_of(make_job(due=None), T0 + HOUR).endswith(": will not run while the job is paused.")


def test_a_time_that_is_past_has_no_record_any_more() -> None:
    assert ": no record is kept of it; it came before" in told_of(make_job(due=T0 + 2 * HOUR), T0 + HOUR)


def test_a_time_that_clocks_show_twice_is_found_from_any_zone() -> None:
    first = datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN)
    job = make_job(CronTrigger(minute=30, timezone=BERLIN), first)

    for moment in (first, first.astimezone(UTC), first.replace(fold=1), first.replace(fold=1).astimezone(UTC)):
        assert ": will be due at 2026-10-25 02:30:00+0" in told_of(job, moment)
    assert "02:30:00+01:00" in told_of(job, first.replace(fold=1).astimezone(UTC))
