"""What a node remembers of the jobs that it cannot run."""

from __future__ import annotations

from datetime import UTC, datetime

from apsched.job import Job
from apsched.jobstores._codec import UNREADABLE
from apsched.jobstores._unfit import MOST, Unfit
from apsched.triggers.interval import IntervalTrigger

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


def lost(job_id: str = "job", *, func: str = "no:where", why: str = "it is not found") -> Job:
    return Job(id=job_id, func=func, trigger=IntervalTrigger(hours=1, timezone="UTC"), name="x", quarantine=why)


def test_the_first_node_that_fails_gives_the_mark_and_others_keep_it() -> None:
    unfit = Unfit()
    first, second = lost(), lost()

    unfit.note(first, "a", NOW, None)
    unfit.note(second, "b", NOW, unfit.mark_of(first, "a"))

    assert first.quarantine == "node a could not run it at 2026-07-01 12:00:00+00:00: it is not found"
    assert str(second.quarantine).startswith("node b could not run it")
    assert unfit.of("a") == unfit.of("b") == {"job": first.quarantine}


def test_a_job_that_can_be_run_or_not_even_be_read_gets_no_mark() -> None:
    unfit = Unfit()
    fit, unreadable = lost(), lost(func=UNREADABLE)
    fit.quarantine = None

    for job in (fit, unreadable):
        unfit.note(job, "a", NOW, None)
        assert unfit.mark_of(job, "a") is None
    assert unfit.of("a") == {}


def test_so_many_jobs_are_passed_over_and_no_more() -> None:
    unfit = Unfit()
    for number in range(MOST):
        unfit.note(lost(str(number)), "a", NOW, None)
    further = lost("further")

    unfit.note(further, "a", NOW, None)

    assert unfit.mark_of(further, "a") is None
    assert further.quarantine == "it is not found"
    unfit.forget()
    unfit.note(further, "a", NOW, None)
    assert unfit.mark_of(further, "a") == further.quarantine


def test_a_mark_is_short_and_can_be_kept_by_every_store() -> None:
    unfit = Unfit()
    job = lost(why="\0\ud800" + "x" * 10_000)

    unfit.note(job, "a", NOW, None)

    mark = str(unfit.mark_of(job, "a"))
    assert "\0" not in mark
    assert "\ud800" not in mark
    assert len(mark) == 500
