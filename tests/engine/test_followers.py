"""Jobs that run after other jobs."""

from __future__ import annotations

from typing import Any

import pytest

from apsched.async_scheduler import AsyncScheduler
from apsched.engine.current import current_run
from apsched.exceptions import Cancel
from apsched.retry import Retry
from apsched.run import Outcome
from apsched.testing.clock import VirtualClock
from apsched.testing.cluster import Cluster
from apsched.triggers.after import NEVER, After
from apsched.triggers.combining import OrTrigger


async def test_a_job_runs_when_the_other_one_has_succeeded_for_the_same_nominal_time(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    async def note() -> None:
        run = current_run()
        notes.append((run.job_id, run.nominal_time, notes.seconds))

    await scheduler.add_job(clock.sleep, "interval", seconds=60, args=[5], id="load")
    await scheduler.add_job(note, After("load"), id="report")

    await clock.advance(130)

    first, second = [run.nominal_time for run in reversed(await scheduler.get_runs("load"))]
    assert notes == [("report", first, 65), ("report", second, 125)]
    (run, _) = await scheduler.get_runs("report")
    assert run.reason is None
    assert run.lateness == 0


async def test_what_is_followed_is_the_last_attempt(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    async def fail() -> None:
        if current_run().attempt < 3:
            raise ValueError

    await scheduler.add_job(notes.time_later, "after", job="load", on="success", id="after success")
    await scheduler.add_job(notes.append, After("load", "failure"), args=["failed"], id="after failure")
    await scheduler.add_job(fail, id="load", retry=Retry(3, 1))

    await clock.advance(10)

    assert notes == [3]


@pytest.mark.parametrize("on", ["success", "failure", "any"])
async def test_it_depends_on_how_the_other_one_ended(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any, on: Any
) -> None:
    async def skip() -> None:
        raise Cancel("nothing to do")

    await scheduler.add_job(notes.append, After("good", on), args=["good"], id="1")
    await scheduler.add_job(notes.append, After("bad", on), args=["bad"], id="2")
    await scheduler.add_job(notes.append, After("idle", on), args=["idle"], id="3")
    await scheduler.add_job(notes.time_later, id="good")
    await scheduler.add_job(divmod, args=[1, 0], id="bad")
    await scheduler.add_job(skip, id="idle")

    await clock.advance(10)

    expected = {"success": {"good"}, "failure": {"bad"}, "any": {"good", "bad", "idle"}}
    assert {note for note in notes if isinstance(note, str)} == expected[on]


async def test_a_chain_runs_to_its_end_and_a_circle_once_round(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    await scheduler.add_job(notes.append, After("c"), args=["a"], id="a")
    await scheduler.add_job(notes.append, After("a"), args=["b"], id="b")
    await scheduler.add_job(notes.append, After("b"), args=["c"], id="c")

    await scheduler.run_job("a")
    await clock.advance(10)

    assert notes == ["a", "b", "c"]


async def test_it_is_no_paused_job_and_can_be_paused_resumed_rescheduled_and_removed(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    job = await scheduler.add_job(notes.time_later, After("load"), id="report")
    assert (job.next_run_time, job.follows) == (NEVER, "load")
    assert "waiting" in str(job)
    assert "waits for job 'load'" in str(await scheduler.explain("report"))

    await scheduler.pause_job("report")
    await scheduler.add_job(clock.sleep, args=[0], id="load")
    await clock.advance(1)
    assert notes == []

    assert await scheduler.resume_job("report") is not None
    await scheduler.add_job(clock.sleep, args=[0], id="load")
    await clock.advance(1)
    assert notes == [1]

    await scheduler.reschedule_job("report", trigger="after", job="other")
    await scheduler.add_job(clock.sleep, args=[0], id="load")
    await clock.advance(1)
    assert notes == [1]


async def test_more_runs_than_may_are_under_way_wait_for_their_turn(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    async def slow() -> None:
        notes.time()
        await clock.sleep(15)

    await scheduler.add_job(clock.sleep, "interval", seconds=10, args=[0], id="load")
    await scheduler.add_job(slow, After("load"), id="report")

    await clock.advance(59)

    assert notes == [10, 25, 40, 55]


async def test_the_run_of_a_node_that_died_is_followed_when_it_is_abandoned(clock: VirtualClock) -> None:
    made: list[str] = []
    cluster = Cluster(clock)
    async with cluster.node() as one, cluster.node() as two:
        await two.scheduler.pause()
        await one.scheduler.add_job(made.append, After("load", "failure"), args=["clean up"], id="clean up")
        await one.scheduler.add_job(clock.sleep, args=[1000], id="load", on_crash="abandon")
        await clock.advance(2)
        await two.scheduler.resume()
        await one.kill()
        await clock.advance(60)

        assert made == ["clean up"]
        (run,) = await two.scheduler.get_runs("clean up")
        assert run.outcome is Outcome.SUCCEEDED


def test_it_has_no_times_of_its_own() -> None:
    with pytest.raises(TypeError, match="triggers must be triggers that have times"):
        OrTrigger([After("load")])


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ((5,), TypeError, "job of After must be the id of a job, got 5"),
        (("",), ValueError, "job of After must be the id of a job, got an empty text"),
        (("a", "won"), ValueError, "on of After must be one of success, failure, any, got 'won'"),
    ],
)
def test_what_is_wrong_is_said(arguments: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        After(*arguments)
