"""`explain` and `sync` on a scheduler at work."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from apsched.async_scheduler import AsyncScheduler
from apsched.testing.clock import VirtualClock
from apsched.triggers.base import BaseTrigger


async def test_explain_tells_the_next_times(
    scheduler: AsyncScheduler, clock: VirtualClock, at: Callable[[float], datetime]
) -> None:
    await scheduler.add_job(int, "interval", seconds=10, id="job")
    await clock.advance(15)

    explanation = await scheduler.explain("job", count=3)

    assert explanation.next_times == (at(20), at(30), at(40))
    assert "runs next at" in str(explanation)


async def test_explain_tells_what_became_of_a_nominal_time(
    scheduler: AsyncScheduler, clock: VirtualClock, at: Callable[[float], datetime]
) -> None:
    await scheduler.add_job(int, "interval", seconds=10, id="job")
    await scheduler.pause()
    await clock.advance(55)
    await scheduler.resume()
    await clock.advance()

    replaced = await scheduler.explain("job", at(20))
    ran = await scheduler.explain("job", at(50))
    coming = await scheduler.explain("job", at(60))
    never = await scheduler.explain("job", at(61))

    assert "one of 4 nominal times in one record): coalesced" in replaced.text
    assert "succeeded; started 5.000 s after it was due" in ran.text
    assert "will be due at" in coming.text
    assert "is no nominal time of the trigger" in never.text


class Failing(BaseTrigger):
    """Fails whatever it is asked."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        raise RuntimeError("of the user")

    def __getstate__(self) -> dict[str, Any]:
        return {}


async def test_explain_tells_that_a_trigger_fails(scheduler: AsyncScheduler, at: Callable[[float], datetime]) -> None:
    await scheduler.add_job(int, Failing(), id="job", next_run_time=at(10))

    explanation = await scheduler.explain("job", at(20))

    assert explanation.next_times == (at(10),)
    _, ahead, then = explanation.text.splitlines()
    assert ahead == "Its trigger does not tell what comes then: it raises RuntimeError: of the user."
    assert then.endswith("no record is kept of it, and the trigger does not tell: it raises RuntimeError: of the user.")


async def test_explain_tells_of_a_job_that_is_gone(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    await scheduler.add_job(int, id="job")
    await clock.advance()

    explanation = await scheduler.explain("job", clock.now())

    assert explanation.job is None
    assert "There is no job 'job'" in explanation.text
    assert "succeeded" in explanation.text


async def test_sync_adds_changes_and_removes_what_the_code_declares(
    scheduler: AsyncScheduler, clock: VirtualClock
) -> None:
    await scheduler.add_job(int, "interval", seconds=1000, id="foreign")
    first = await scheduler.sync(
        [{"func": int, "trigger": "interval", "seconds": 10 * number, "id": str(number)} for number in (1, 2, 3)]
    )
    second = await scheduler.sync(
        [
            {"func": int, "trigger": "interval", "seconds": 10, "id": "1"},
            {"func": int, "trigger": "interval", "seconds": 99, "id": "2"},
            {"func": int, "trigger": "interval", "seconds": 40, "id": "4"},
        ]
    )

    assert first.added == ("1", "2", "3")
    assert (second.unchanged, second.changed, second.added, second.removed) == (("1",), ("2",), ("4",), ("3",))
    assert {job.id for job in await scheduler.get_jobs()} == {"foreign", "1", "2", "4"}


async def test_sync_leaves_the_schedule_of_an_unchanged_job_alone(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    declared = [{"func": notes.time, "trigger": "interval", "seconds": 100, "id": "job"}]
    for _ in range(5):  # as if the program were deployed each minute
        await scheduler.sync(declared)
        await clock.advance(60)

    assert notes == [100, 200, 300]


async def test_a_dry_run_only_reports(scheduler: AsyncScheduler) -> None:
    report = await scheduler.sync([{"func": int, "trigger": "interval", "hours": 1, "id": "job"}], dry_run=True)

    assert report.added == ("job",)
    assert await scheduler.get_jobs() == []


async def test_a_declared_job_needs_an_id(scheduler: AsyncScheduler) -> None:
    with pytest.raises(ValueError, match="a declared job must have an id"):
        await scheduler.sync([{"func": int}])
