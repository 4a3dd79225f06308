"""What becomes of a run whose node died."""

from __future__ import annotations

from datetime import UTC, datetime

import attrs
import pytest

from apsched.engine.plan import CRASH_LIMIT, after_crash
from apsched.job import Job, OnCrash
from apsched.run import DEATH, Outcome, Run
from apsched.triggers.date import DateTrigger

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


def make_job(on_crash: OnCrash = "rerun") -> Job:
    return Job(id="job", name="job", func=print, trigger=DateTrigger(NOW), on_crash=on_crash)


def claimed(epoch: int = 1) -> Run:
    return Run(
        job_id="job",
        nominal_time=NOW,
        due_time=NOW,
        outcome=Outcome.RUNNING,
        epoch=epoch,
        node="lost",
        claimed_at=NOW,
    )


def test_it_waits_for_another_node_under_a_higher_epoch() -> None:
    run = after_crash(make_job(), claimed(), NOW)

    assert (run.outcome, run.epoch, run.node, run.claimed_at) == (Outcome.PENDING, DEATH + 1, None, None)
    assert (run.deaths, run.reason) == (1, "node lost died while it was under way; it is run again")


@pytest.mark.parametrize(("job", "why"), [(make_job("abandon"), "on_crash"), (None, "its job is gone")])
def test_it_is_abandoned_with_a_reason(job: Job | None, why: str) -> None:
    run = after_crash(job, claimed(), NOW)

    assert (run.outcome, run.epoch, run.finished_at) == (Outcome.ABANDONED, DEATH + 1, NOW)
    assert why in str(run.reason)


def test_it_is_given_up_when_so_many_nodes_have_died_under_it() -> None:
    run, nodes = claimed(), 1
    while (successor := after_crash(make_job(), run, NOW)).outcome is Outcome.PENDING:
        run = attrs.evolve(successor, outcome=Outcome.RUNNING, epoch=successor.epoch + 1, node="next", claimed_at=NOW)
        nodes += 1

    assert nodes == CRASH_LIMIT
    assert f"as {CRASH_LIMIT - 1} others did" in str(successor.reason)


@pytest.mark.parametrize("claims", [9, 1000])
def test_runs_that_were_handed_back_are_no_deaths(claims: int) -> None:
    run = after_crash(make_job(), claimed(epoch=claims), NOW)

    assert (run.outcome, run.deaths) == (Outcome.PENDING, 1)
